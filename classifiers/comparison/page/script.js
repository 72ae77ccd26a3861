"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

for (const table of all("table.sortable")) {
  const heads = all("th[data-col]", table);
  const sort = (head) => {
    const column = Number(head.dataset.col), body = table.tBodies[0], said = head.dataset.said || head.textContent;
    const before = head.getAttribute("aria-sort"), text = "text" in head.dataset;
    const order = before ? (before === "ascending" ? "descending" : "ascending") : (head.dataset.first || (text ? "ascending" : "descending"));
    const sign = order === "ascending" ? 1 : -1;
    const value = (row) => row.cells[column].dataset.v;
    const compare = (a, b) => {
      if (value(a) === "" || value(b) === "") return (value(a) === "") - (value(b) === "");
      return sign * (text ? value(a).localeCompare(value(b)) : value(a) - value(b));
    };
    body.append(...[...body.rows].sort(compare));
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    document.getElementById("sorted").textContent = `Sorted by ${said}, ${order}`;
  };
  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(head));
  }
}

const controls = document.querySelector(".controls");
const show = () => {
  const chosen = Object.fromEntries(new FormData(controls));
  for (const part of all(".lens :is([data-entry], [data-split], [data-score])"))
    part.hidden = Object.entries(chosen).some(([key, value]) => key in part.dataset && part.dataset[key] !== value);
};
controls.hidden = false;
controls.addEventListener("change", show);
controls.addEventListener("submit", (event) => event.preventDefault());
for (const link of all("a[data-show]"))
  link.addEventListener("click", () => { controls.elements.entry.value = link.dataset.show; show(); });
show();
window.addEventListener("beforeprint", () => all("details").forEach((part) => { part.open = true; }));
