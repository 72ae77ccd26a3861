// Checks of the map: random places, one after the other. The person names the class of each without seeing the map.

const $ = (id) => document.getElementById(id);

export class Check {
  // `bench` has what the page shares: stage, service, state, say, point, paint and done.
  constructor(bench) {
    Object.assign(this, { bench, places: [], at: 0, active: false });
    $("check-bar")?.addEventListener("click", ({ target }) => {
      const { number, check } = target.closest("button")?.dataset ?? {};
      if (number !== undefined) this.answer(Number(number));
      else if (check) this[check]();
    });
  }

  async start(count) {
    const { bench } = this;
    if (bench.state.classes.size < 2) return bench.say("Add two classes first.", true);
    const response = await bench.service.ask("checks", "checks", { count });
    if (!response) return null;
    const { places } = await response.json();
    const { map } = bench.stage;
    // What the service says to the last answer at each place.
    Object.assign(this, { places, at: 0, answers: new Map(), active: true, view: [map.getCenter(), map.getZoom()] });
    bench.forgetPlaces();
    $("tools").hidden = true;
    $("check-bar").hidden = false;
    this.showClasses();
    $("stage").focus({ preventScroll: true });
    // On a phone, the button is far below the scene.
    $("stage").parentElement.scrollIntoView({ block: "nearest" });
    bench.paint();
    return this.show();
  }

  showClasses() {
    if (this.active) $("check-classes").replaceChildren(...[...this.bench.state.classes].map(([number, entry]) => this.button(number, entry)));
  }

  button(number, { name, key, rgb }) {
    const button = document.createElement("button"), swatch = document.createElement("i"), kbd = document.createElement("kbd");
    button.type = "button";
    button.dataset.number = number;
    swatch.style.background = `rgb(${rgb.join(" ")})`;
    kbd.textContent = key;
    button.append(swatch, name, ...key ? [kbd] : []);
    return button;
  }

  show() {
    if (this.at >= this.places.length) return this.stop();
    const [row, col] = this.places[this.at], { bench } = this, progress = `Place ${this.at + 1} of ${this.places.length}`;
    $("check-progress").textContent = progress;
    $("workbench").dataset.check = `${row},${col}`;
    bench.stage.showCheck([row, col]);
    bench.point([row, col]);
    bench.say(`${progress}, row ${row}, column ${col}. Which class is at the mark?`);
    return null;
  }

  answer(number) {
    const [row, col] = this.places[this.at];
    this.answers.set(this.at, this.bench.service.change("checks", { row, col, number }));
    this.at += 1;
    this.show();
  }

  skip() {
    this.answer(0);
  }

  back() {
    this.at = Math.max(0, this.at - 1);
    this.show();
  }

  // Answers that are still on their way come before the score.
  async stop() {
    const { bench, answers } = this;
    this.active = false;
    $("check-bar").hidden = true;
    $("tools").hidden = false;
    delete $("workbench").dataset.check;
    bench.stage.showCheck(null);
    bench.stage.map.setView(...this.view, { animate: false });
    bench.paint();
    bench.say("Saving the answers …");
    $("check").focus();
    const refused = (await Promise.all(answers.values())).filter((answer) => !answer).length;
    if (refused) bench.say(`The service refused ${refused} of ${answers.size} answers. ${bench.service.problem}`, true);
    else if (!this.active) bench.say("The answers are saved. The score follows.");
    bench.done();
  }

  // Whether a key was taken.
  key(key) {
    const entry = [...this.bench.state.classes].find(([, { key: own }]) => own === key);
    if (entry) this.answer(entry[0]);
    else if (key === "0") this.skip();
    else if (key === "z" || key === "Backspace") this.back();
    else if (key === "Escape") this.stop();
    else return false;
    return true;
  }
}
