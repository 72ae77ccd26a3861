// The workbench: what clicks and keys do, and what is asked of the service. The service keeps all labels.

import { Check } from "./check.js";
import { Service, problemOf, sentence } from "./service.js";
import { Stage } from "./stage.js";
import { startTour } from "./tour.js";

const $ = (id) => document.getElementById(id);
const bench = $("workbench"), { base, scene } = bench.dataset;
const editable = bench.dataset.editable === "1";
const stage = new Stage($("stage"), Number(bench.dataset.rows), Number(bench.dataset.cols));
const service = new Service(base, { complain, warn, update: showMessage }), ask = (...values) => service.ask(...values);
const state = {
  version: Number(bench.dataset.version), tool: "move", current: null, erase: false, classes: new Map(), cursor: null, corners: [], stroke: null, error: "", note: "",
  places: [], place: -1, asked: "", truth: null, clicked: 0,
};

// Messages and labels ------------------------------------------------------------------------------------------------------

function say(text, error = false) {
  $("readout").textContent = text;
  complain(error ? text : "");
}

// Show an error, or nothing, in place of earlier errors and notes.
function complain(text) {
  Object.assign(state, { error: text, note: "" });
  showMessage();
}

// Show a note of the service, which is not an error, beside an error.
function warn(note) {
  if (note) state.note = sentence(note);
  showMessage();
}

// What is unsaved while the service is away comes first, and nothing else replaces it.
function showMessage() {
  const message = $("message"), text = [service.status, state.error, state.note].filter(Boolean).join(" ");
  message.hidden = !text;
  // A screen reader would read the same text again.
  if (message.textContent !== text) message.textContent = text;
}

const SAYINGS = {
  undo: ["Your last step is undone.", "There is nothing to undo."], redo: ["The step is done again.", "There is nothing to redo."],
  "checks/join": ["The answers are labels now. Undo takes that back.", "There are no answers to use."], import: ["The labels are imported, as one step that can be undone.", "The file has no labels in this scene."],
};

// Change labels, and then map them.
async function change(path, body) {
  state.clicked = performance.now();
  complain("");  // not when the answer is there: an earlier change may be refused meanwhile
  const { clicked } = state, answer = await service.change(path, body);
  if (!answer) {
    settle(clicked);
    return refresh();  // the service stopped the map before
  }
  take(answer);
  await updateClasses(answer.classes);
  const [done, nothing] = SAYINGS[path] ?? [], said = (answer.changed ? done : nothing) ?? "";
  if (said) $("readout").textContent = said;  // an error stays
  return refresh(answer.note, said);
}

// An import, an undo, another page or another person may have changed the classes. `digest` is that of the classes of the service.
async function updateClasses(digest) {
  if (digest !== document.querySelector(".classes").dataset.digest) await window.htmx.ajax("GET", `${base}/classes`, { target: "#classes" });
}

function take({ version, counts }) {
  state.version = state.counted = version;
  bench.dataset.version = version;
  for (const button of document.querySelectorAll(".class")) button.querySelector(".count").lastChild.textContent = counts[button.dataset.number] ?? 0;
}

// Map, score, spectrum --------------------------------------------------------------------------------------------------

const options = () => ({ head: $("head").value, inputs: $("inputs").value, smooth: $("smooth").value });

// Draw the map anew. `note` is shown with the notes on the map, and `said` with the reason why there is no map.
async function refresh(note = "", said = "") {
  const clicked = state.clicked, asked = performance.now();
  // What is still being scored, or is about to be, are the labels of before.
  clearTimeout(refresh.timer);
  service.stop("score", "curve");
  const response = await ask("raster", "raster", { ...stage.view(), ...options() });
  if (!response) return settle(clicked);
  const answered = performance.now();
  const place = Object.fromEntries(["row", "col", "rows", "cols", "step"].map((name) => [name, Number(response.headers.get(`X-${name}`))]));
  const content = await response.arrayBuffer(), count = place.rows * place.cols;
  stage.showRaster({
    ...place, labels: new Uint16Array(content, 0, count), classes: new Uint16Array(content, 2 * count, count), confidence: new Uint8Array(content, 4 * count, count),
  });
  state.version = Number(response.headers.get("X-Version"));
  await updateClasses(response.headers.get("X-Classes"));
  await loadTruth();
  paint();
  const message = response.headers.get("X-Message");
  // An error stays beside the reason why there is no map.
  if (message) $("readout").textContent = `${said} No map yet: ${message}.`.trim();
  warn(note || response.headers.get("X-Note"));
  if (!message && clicked) {
    const painted = performance.now();
    $("timing").textContent = `map after ${((painted - clicked) / 1000).toFixed(2)} s`;
    bench.dataset.ms = Math.round(painted - clicked);
    // Until the label was saved, until the map was there, and until it was painted.
    bench.dataset.parts = [asked - clicked, answered - asked, painted - answered].map(Math.round).join();
  }
  settle(clicked);
  bench.dataset.drawn = state.version;
  bench.dataset.mapped = message ? 0 : 1;
  clearTimeout(refresh.timer);
  refresh.timer = setTimeout(refreshScore, 200);
}

// A click is answered, or refused.
function settle(clicked) {
  if (state.clicked === clicked) state.clicked = 0;
  showSpectrum();
}

async function refreshScore() {
  const { version } = state;
  const response = await ask("score", "score", { ...options(), folds: $("folds").value, truth: $("truth")?.value ?? "" });
  if (!response) return;
  $("score").innerHTML = await response.text();
  bench.dataset.scored = version;
  const curve = await ask("curve", "curve", { ...options(), folds: $("folds").value });
  if (curve) $("curve").innerHTML = await curve.text();
}

async function loadTruth() {
  const name = $("truth")?.value;
  state.truth = null;
  if ($("errors")) $("errors").disabled = !name;
  if (!name || !$("errors").checked) return;
  const { row, col, rows, cols, step } = stage.raster;
  const response = await ask("truth", "truth", { name, row, col, rows: rows * step, cols: cols * step, step });
  if (response) state.truth = new Uint16Array(await response.arrayBuffer());
}

function paint() {
  stage.paint({
    classes: state.classes, visible: $("show-map").checked && !check.active, opacity: $("opacity").value / 100, shade: $("shade").checked, patterns: $("patterns").checked,
    truth: state.truth,
  });
}

// While a slider moves, a coarse image that the service has in memory is enough.
function showColours({ coarse = false } = {}) {
  const names = $("bands").children;
  for (const id of ["red", "green", "blue"]) document.querySelector(`output[for=${id}]`).textContent = names[$(id).value].textContent;
  const picture = $("picture").value;
  for (const id of ["red", "green", "blue", "cut", "gamma"]) $(id).disabled = Boolean(picture);
  if (picture) return stage.showColours(picture, { row: 0, col: 0, rows: stage.rows, cols: stage.cols, step: 1 });
  const view = stage.view();
  if (coarse) view.step = Math.max(view.step, Number(bench.dataset.overviewStep));
  const query = new URLSearchParams({ ...view, red: $("red").value, green: $("green").value, blue: $("blue").value, cut: $("cut").value, gamma: $("gamma").value });
  return stage.showColours(`${scene}/colour.png?${query}`, view);
}

function later(action, ms) {
  let timer;
  return () => { clearTimeout(timer); timer = setTimeout(action, ms); };
}

const showSpectrum = later(async () => {
  // The map of a click comes first.
  if (!state.cursor || state.clicked) return;
  const [row, col] = state.cursor;
  const response = await ask("spectrum", "spectrum", { row, col });
  if (response) $("spectrum").innerHTML = await response.text();
}, 200);

// Point and label -------------------------------------------------------------------------------------------------------

function point(place, { follow = false, zoom = null } = {}) {
  if (!stage.contains(place)) return;
  state.cursor = place.map(Math.floor);
  stage.moveCursor(state.cursor, { follow, zoom });
  const [row, col] = state.cursor, value = stage.valueAt(state.cursor), name = (number) => state.classes.get(number)?.name ?? `class ${number}`;
  const parts = [`row ${row}, column ${col}`];
  if (value?.label) parts.push(`labelled ${name(value.label)}`);
  if (value?.mapped && !check.active) parts.push(`mapped as ${name(value.mapped)}, ${Math.round(100 * value.confidence)} % sure`);
  // A message stays until the next action, not until the mouse moves.
  $("readout").textContent = parts.join("; ");
  showSpectrum();
}

function label(points, kind = state.tool) {
  if (!editable || check.active || kind === "move") return null;
  if (!state.erase && state.current === null) return say("Choose a class first, or add one.", true);
  return change("edits", { kind, number: state.erase ? 0 : state.current, points });
}

// The pixels along a stroke. A quick hand gives few places, which lie far apart; `null` stands between places that are not connected.
function strokeCells(stroke) {
  const cells = [];
  stroke.forEach((place, index) => {
    const before = stroke[index - 1] ?? place;
    if (!place) return;
    const steps = Math.max(1, Math.ceil(2 * Math.max(...place.map((value, axis) => Math.abs(value - before[axis])))));
    for (let step = 1; step <= steps; step += 1) cells.push(place.map((value, axis) => Math.floor(before[axis] + (value - before[axis]) * step / steps)));
  });
  return cells.filter((cell) => stage.contains(cell));
}

function corner(place) {
  state.corners.push(place);
  stage.showDraft([...state.corners, state.corners[0]]);
  say(`${state.corners.length} corners. Enter or a double click closes the polygon; Escape drops it.`);
}

function closePolygon() {
  const corners = state.corners;
  state.corners = [];
  stage.showDraft([]);
  if (corners.length < 3) return say("A polygon has three corners at least.");
  say(`Polygon of ${corners.length} corners.`);
  return label(corners, "polygon");
}

function click(place) {
  if (!stage.contains(place) || check.active) return;
  if (state.tool === "polygon") corner(place);
  else label([place]);
}

function chooseTool(tool) {
  state.tool = tool;
  $("stage").dataset.tool = tool;
  for (const button of document.querySelectorAll("[data-tool][role=radio]")) {
    button.setAttribute("aria-checked", button.dataset.tool === tool);
    button.tabIndex = button.dataset.tool === tool ? 0 : -1;
  }
  if (tool !== "polygon") { state.corners = []; stage.showDraft([]); }
  // With the brush, dragging paints. Fingers still move the scene.
  stage.map.dragging[tool === "brush" && matchMedia("(pointer: fine)").matches ? "disable" : "enable"]();
}

function chooseClass(number, tool = state.tool === "move" ? "pixel" : state.tool) {
  state.current = number;
  setErase(false);
  showChoice();
  if (tool !== state.tool) chooseTool(tool);
  say(tool === "move" ? "Choose a class and a tool, then click." : `Clicks label ${state.classes.get(number).name}.`);
}

function showChoice() {
  for (const button of document.querySelectorAll(".class")) button.setAttribute("aria-pressed", Number(button.dataset.number) === state.current);
}

function setErase(on) {
  state.erase = on;
  $("erase")?.setAttribute("aria-pressed", on);
  if (on && state.tool === "move") chooseTool("pixel");
}

// `added` says that this page added a class.
function readClasses(added = false) {
  const earlier = state.classes;
  state.classes = new Map([...document.querySelectorAll(".class")].map(({ dataset: { number, name, colour, key } }) => [
    Number(number), { name, key, rgb: [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)) },
  ]));
  const unknown = [...state.classes.keys()].filter((number) => !earlier.has(number));
  // A class that was just added is chosen; when the page opens, a tap must not label yet. What others add changes no choice.
  if (editable && unknown.length && (added || !earlier.size)) chooseClass(unknown[0], earlier.size || unknown.length === 1 ? undefined : "move");
  else if (!state.classes.has(state.current)) state.current = null;
  showChoice();
  check.showClasses();
  paint();
}

async function suggest() {
  const view = $("in-view").checked ? stage.shown() : {}, asked = JSON.stringify([state.version, view, options()]);
  if (state.asked !== asked) {
    say("Looking for places where a label helps most …");
    const response = await ask("suggestions", "suggestions", { ...options(), ...view });
    if (!response) return;
    Object.assign(state, { places: await response.json(), place: -1, asked, placesNote: response.headers.get("X-Note") });
    stage.showPlaces(state.places, choosePlace);
  }
  if (state.places.length) goTo((state.place + 1) % state.places.length);
  else say($("in-view").checked ? "Every segment in view has a label already." : "Every segment has a label already.");
  warn(state.placesNote);  // after the text of the place, which clears older messages
}

function goTo(index) {
  state.place = index;
  const { row, col, reason } = state.places[index];
  // A place in view is marked where it is, so that the view stays.
  point([row, col], $("in-view").checked ? {} : { follow: true, zoom: 1.5 });
  say(`Place ${index + 1} of ${state.places.length}, row ${row}, column ${col}. ${reason}`);
  bench.dataset.place = `${row},${col}`;
}

// The mark lies close to its place, where fingers hit it: a click on the mark of the place that is shown labels the place.
function choosePlace(index) {
  const { row, col } = state.places[index];
  if (index === state.place && editable && !["move", "polygon"].includes(state.tool)) click([row + 0.5, col + 0.5]);
  else goTo(index);
}

const check = new Check({
  stage, service, state, say, point, paint, done: refreshScore,
  forgetPlaces: () => { state.asked = ""; stage.showPlaces([], choosePlace); },
});
const startCheck = () => (check.active ? null : check.start(Number($("check-count").value)));

// Events ----------------------------------------------------------------------------------------------------------------

const map = stage.map, inside = later(() => { if (stage.rows * stage.cols > 300_000) refresh(); showColours(); }, 120);
map.on("moveend", inside);
map.on("mousemove", ({ latlng }) => {
  const place = stage.pixelAt(latlng);
  if (state.stroke) state.stroke.push(place);
  point(place);
});
map.on("mousedown", ({ latlng, originalEvent }) => {
  if (state.tool === "brush" && originalEvent.button === 0 && stage.contains(stage.pixelAt(latlng))) state.stroke = [stage.pixelAt(latlng)];
});
map.on("mouseout", () => state.stroke?.push(null));  // the way outside of the stage is unknown
document.addEventListener("mouseup", () => {
  const cells = new Map(strokeCells(state.stroke ?? []).map((cell) => [cell.join(), cell]));
  state.stroke = null;
  // The service takes 10,000 points at once.
  for (let rest = [...cells.values()]; rest.length; rest = rest.slice(10_000)) label(rest.slice(0, 10_000), "brush");
});
map.on("click", ({ latlng }) => { if (state.tool !== "brush") { point(stage.pixelAt(latlng)); click(stage.pixelAt(latlng)); } });
map.on("dblclick", () => { if (state.tool === "polygon") closePolygon(); });

const ACTIONS = {
  v: () => chooseTool("move"), x: () => chooseTool("pixel"), b: () => chooseTool("brush"), s: () => chooseTool("segment"), p: () => chooseTool("polygon"),
  e: () => setErase(!state.erase), z: () => change("undo"), y: () => change("redo"), n: suggest, c: startCheck, m: () => $("show-map").click(),
};
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if ((key !== "Escape" && target.matches("input:not([type=checkbox], [type=range]), select, textarea")) || event.altKey || (check.active && target.closest("#check-bar") && ["Enter", " "].includes(key))) return;
  if ((event.ctrlKey || event.metaKey) && key.toLowerCase() !== "z") return;
  if (check.active && !event.ctrlKey && !event.metaKey && check.key(key)) return event.preventDefault();
  const onStage = target === $("stage"), entry = [...state.classes].find(([, { key: own }]) => own === key);
  if (event.ctrlKey || event.metaKey) change(event.shiftKey ? "redo" : "undo");
  else if (onStage && key in ARROWS) {
    const reach = event.shiftKey ? 10 : 1, [row, col] = state.cursor ?? [stage.rows >> 1, stage.cols >> 1], [down, right] = ARROWS[key];
    const clamp = (value, size) => Math.max(0, Math.min(size - 1, value));
    point([clamp(row + reach * down, stage.rows), clamp(col + reach * right, stage.cols)], { follow: true });
  } else if (onStage && key === "Enter" && state.corners.length >= 3) closePolygon();
  else if (onStage && (key === "Enter" || key === " ") && state.cursor) click(state.cursor.map((value) => value + 0.5));
  else if (onStage && key === "+") map.zoomIn();
  else if (onStage && key === "-") map.zoomOut();
  else if (key === "Escape") {
    state.corners = [];
    stage.showDraft([]);
    complain("");
    for (const menu of document.querySelectorAll(".menu[open]")) {
      if (menu.contains(target)) menu.querySelector("summary").focus();
      menu.open = false;
    }
    return;
  }
  else if (target.matches("[role=radio]") && key in ARROWS) {
    const radios = [...document.querySelectorAll("[data-tool][role=radio]")], at = radios.indexOf(target) + (ARROWS[key][0] + ARROWS[key][1]);
    const next = radios[(at + radios.length) % radios.length];
    chooseTool(next.dataset.tool);
    next.focus();
  } else if (editable && entry && !check.active) chooseClass(entry[0]);
  else if (key in ACTIONS && !check.active && (editable || "vnm".includes(key))) ACTIONS[key]();
  else return;
  event.preventDefault();
});

document.addEventListener("click", (event) => {
  const { target } = event, button = target.closest("button");
  if (button?.id === "join") change("checks/join");
  else if (button?.matches(".class")) { if (check.active) check.answer(Number(button.dataset.number)); else chooseClass(Number(button.dataset.number)); }
  else if (button?.dataset.tool) chooseTool(button.dataset.tool);
  // A link to a map that can't be made would lead away from this page.
  else if (bench.dataset.mapped !== "1" && target.closest("[data-download]")) {
    event.preventDefault();
    complain("There is no map yet: label two classes first.");
  }
  for (const menu of document.querySelectorAll(".menu[open]")) if (!menu.contains(target)) menu.open = false;
});
const on = (id, type, action) => $(id)?.addEventListener(type, action);
on("erase", "click", () => setErase(!state.erase));
on("undo", "click", () => change("undo"));
on("redo", "click", () => change("redo"));
on("suggest", "click", suggest);
on("check", "click", startCheck);
on("help", "click", () => startTour(() => $("stage").focus()));
for (const id of ["show-map", "opacity", "shade", "patterns"]) on(id, "input", paint);
const slid = later(() => showColours({ coarse: true }), 60);
for (const id of ["red", "green", "blue", "cut", "gamma"]) { on(id, "input", slid); on(id, "change", later(showColours, 80)); }
for (const id of ["head", "inputs", "smooth"]) on(id, "change", () => {
  for (const link of document.querySelectorAll("[data-download]")) link.href = `${link.href.split("?")[0]}?${new URLSearchParams(options())}`;
  state.clicked = performance.now();
  say("Making the map …");
  refresh();
});
on("picture", "change", () => showColours());
on("folds", "change", refreshScore);
for (const id of ["truth", "errors"]) on(id, "change", async () => { await loadTruth(); paint(); if (id === "truth") refreshScore(); });
on("import", "submit", async (event) => {
  event.preventDefault();
  const before = state.version;
  await change("import", new FormData(event.target));
  if (state.version === before) return;
  event.target.reset();
  event.target.closest("details").querySelector("summary").focus();
  event.target.closest("details").open = false;
});

document.body.addEventListener("htmx:afterSwap", ({ target, detail }) => { if (target.id === "classes") readClasses(detail.requestConfig.verb === "post"); });
document.body.addEventListener("htmx:responseError", async ({ detail }) => {
  say(await problemOf(new Response(detail.xhr.responseText, { status: detail.xhr.status })), true);
});
document.body.addEventListener("htmx:sendError", ({ detail }) => {
  if (detail.requestConfig.verb === "post") say("The class is not saved, because the service doesn't answer. Send it again.", true);
});

// Other people edit a shared set, too. A map can be newer than the numbers of labels.
if (bench.dataset.shared === "1") setInterval(async () => {
  if (document.hidden) return;
  const response = await ask("state", "state");
  const answer = response && await response.json();
  if (!answer) return;
  const isNew = answer.version !== state.version;
  if (isNew || answer.version !== state.counted) take(answer);
  if (isNew) refresh();
}, 3000);

chooseTool("move");
readClasses();
showColours();
refresh();
if (!localStorage.getItem("hsifeat-tour")) startTour(() => { localStorage.setItem("hsifeat-tour", "seen"); $("stage").focus(); });
