// A tour of two minutes: a small dialog that points at one part of the page after the other. It can be left at any step.

const STEPS = [
  ["#stage", "Your scene", "Drag to move, scroll or pinch to zoom. The panel “False colours” chooses the three bands that you see."],
  ["#classes", "1. Classes", "Add the classes that you want to tell apart, such as meadow and birch. A class is chosen by its button or its key."],
  [".tools", "2. Labels", "Choose a class, then click where you are certain. Label single pixels, squares of 3×3, whole segments, or polygons. Everything is saved at once; undo takes back your last step."],
  ["#h-map", "3. The map", "From the second class on, each label gives a new map within a moment. Fade it, shade where it is unsure, or add patterns to the colours."],
  ["#score", "4. Is it any good?", "Labelled places are held out in turn, and the share of them that the map finds again is the score. The sentence says which question it answers. It needs each class in several places."],
  ["#suggest", "5. Label here next", "Shows places where a label would help most: the map is unsure there, and much of the scene is like them. Press n for the next place."],
  ["#check", "6. Check the map", "Name random places one after the other, without seeing the map. The share that the map has right is its accuracy, the number that a reviewer believes."],
  ["#files", "7. Take it with you", "“Files” has the map as GeoTIFF, the model, and your labels. Come back to this address any time: your labels are still here."],
];

export function startTour(onEnd) {
  const dialog = document.getElementById("tour"), next = document.getElementById("tour-next"), leave = document.getElementById("tour-leave");
  let index = -1, pointed = null;

  function point(target) {
    pointed?.classList.remove("pointed");
    pointed = target;
    pointed?.classList.add("pointed");
    pointed?.scrollIntoView({ block: "nearest" });
  }

  function show() {
    index += 1;
    if (index === STEPS.length) return end();
    const [selector, title, text] = STEPS[index];
    document.getElementById("tour-title").textContent = title;
    document.getElementById("tour-text").textContent = text;
    next.textContent = index === STEPS.length - 1 ? "Begin" : `Next, ${index + 1} of ${STEPS.length}`;
    point(document.querySelector(selector));
  }

  function end() {
    point(null);
    dialog.close();
    next.onclick = leave.onclick = dialog.onkeydown = null;
    onEnd();
  }

  next.onclick = show;
  leave.onclick = end;
  dialog.onkeydown = (event) => { if (event.key === "Escape") end(); };
  dialog.show();
  show();
  next.focus({ preventScroll: true });
}
