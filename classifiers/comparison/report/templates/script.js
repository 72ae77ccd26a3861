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

const classes = all(".legend li[data-colour]").map((item) => {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-pressed", "false");
  button.append(...item.childNodes);
  item.append(button);
  return button;
});
const wholes = new Map();
// Maps have exactly the colours of the legend, so pixels of other classes are recognised by their colour and faded.
const fade = (picture, colour) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
  const pen = canvas.getContext("2d");
  pen.drawImage(picture, 0, 0);
  const image = pen.getImageData(0, 0, canvas.width, canvas.height), values = image.data;
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  for (let at = 0; at < values.length; at += 4)
    if (values[at] !== red || values[at + 1] !== green || values[at + 2] !== blue) values[at + 3] *= 0.12;
  pen.putImageData(image, 0, 0);
  return canvas.toDataURL();
};
const pressed = () => classes.find((button) => button.getAttribute("aria-pressed") === "true");
const isolate = () => all(".by-class img").filter((picture) => picture.checkVisibility()).forEach(async (picture) => {
  const only = pressed();
  if (!only && !wholes.has(picture)) return;
  if (!wholes.has(picture)) wholes.set(picture, Object.assign(new Image(), { src: picture.src }));
  const whole = wholes.get(picture);
  await whole.decode();
  if (only === pressed()) picture.src = only ? fade(whole, only.parentNode.dataset.colour) : whole.src;
});
for (const button of classes)
  button.addEventListener("click", () => {
    const only = button === pressed() ? null : button;
    classes.forEach((other) => other.setAttribute("aria-pressed", String(other === only)));
    isolate();
  });
all(".pressable").forEach((note) => { note.hidden = false; });

const controls = document.querySelector(".controls");
const show = () => {
  const chosen = Object.fromEntries(new FormData(controls));
  for (const part of all(".lens :is([data-entry], [data-split], [data-score])"))
    part.hidden = Object.entries(chosen).some(([key, value]) => key in part.dataset && part.dataset[key] !== value);
  isolate();
};
controls.hidden = false;
controls.addEventListener("change", show);
controls.addEventListener("submit", (event) => event.preventDefault());
for (const link of all("a[data-show]"))
  link.addEventListener("click", () => { controls.elements.entry.value = link.dataset.show; show(); });
show();
window.addEventListener("beforeprint", () => all("details").forEach((part) => { part.open = true; }));
