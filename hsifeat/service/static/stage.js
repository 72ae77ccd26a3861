// The scene on the stage: false colours, map, labels, cursor and suggestions, in pixels of the scene.

const { L } = window;
const CHECK_ZOOM = 2;
const WHOLE_PX = 300_000, LABEL_CANVAS_PX = 2400, PATTERN_CANVAS_PX = 2000;

// An image overlay that is a canvas instead of a file.
const CanvasOverlay = L.ImageOverlay.extend({
  _initImage() {
    this._image = this._url;
    this._image.classList.add("leaflet-image-layer");
    if (this._zoomAnimated) this._image.classList.add("leaflet-zoom-animated");
    this._image.onselectstart = L.Util.falseFn;
  },
});

// Whether a sub-pixel of a map pixel has the pattern of a class; the first class has none.
const PATTERNS = [
  () => false, (x, y, k) => (x + y) % k === 0, (x, y, k) => (x - y + k) % k === 0, (x, y, k) => y % k === 0, (x, y, k) => x % k === 0,
  (x, y, k) => x % k === 0 || y % k === 0, (x, y, k) => x % k === k >> 1 && y % k === k >> 1, (x, y, k) => (x + y) % k === 0 || (x - y + k) % k === 0,
];

const boundsOf = ({ row, col, rows, cols, step }) => [[-(row + rows * step), col], [-row, col + cols * step]];
const isDark = ([red, green, blue]) => 0.3 * red + 0.6 * green + 0.1 * blue < 110;

export class Stage {
  constructor(element, rows, cols) {
    Object.assign(this, { element, rows, cols, raster: null, places: [], colours: [] });
    this.map = L.map(element, {
      crs: L.CRS.Simple, minZoom: -6, maxZoom: 6, zoomSnap: 0.25, keyboard: false, attributionControl: false, doubleClickZoom: false,
    });
    this.fit();
    new ResizeObserver(() => this.map.invalidateSize({ animate: false })).observe(element);
    this.canvases = ["map", "labels"].map(() => document.createElement("canvas"));
    this.canvases[1].classList.add("smooth");
    this.layers = this.canvases.map((canvas, index) =>
      new CanvasOverlay(canvas, boundsOf({ row: 0, col: 0, rows, cols, step: 1 }), { zIndex: 10 + index }).addTo(this.map));
    const line = { interactive: false, className: "cursor", fill: false };
    this.map.on("zoomend", () => { if (this.style) this.paint(this.style); });
    this.frames = [L.rectangle([[0, 0], [0, 0]], { ...line, color: "#000", weight: 4 }), L.rectangle([[0, 0], [0, 0]], { ...line, color: "#fff", weight: 2 })];
    this.draft = L.polyline([], { color: "#fff", weight: 2, dashArray: "4 3", interactive: false }).addTo(this.map);
  }

  fit() {
    this.map.fitBounds([[-this.rows, 0], [0, this.cols]], { animate: false });
  }

  // The part of the scene to ask for, at the resolution of the screen.
  view() {
    const scale = 2 ** this.map.getZoom();
    let step = 1;
    while (step < 16 && 2 * step * scale <= 1.5) step *= 2;
    if (this.rows * this.cols <= WHOLE_PX * step * step) return { row: 0, col: 0, rows: this.rows, cols: this.cols, step };
    const shown = this.map.getBounds().pad(0.15);
    const row = Math.max(0, Math.floor(-shown.getNorth())), col = Math.max(0, Math.floor(shown.getWest()));
    const bottom = Math.min(this.rows, Math.ceil(-shown.getSouth())), right = Math.min(this.cols, Math.ceil(shown.getEast()));
    return { row, col, rows: Math.max(bottom - row, 1), cols: Math.max(right - col, 1), step };
  }

  // The part of the scene that is on the screen.
  shown() {
    const bounds = this.map.getBounds(), clamp = (value, most) => Math.max(0, Math.min(most, value));
    const row = clamp(Math.floor(-bounds.getNorth()), this.rows - 1), col = clamp(Math.floor(bounds.getWest()), this.cols - 1);
    return { row, col, rows: Math.max(1, clamp(Math.ceil(-bounds.getSouth()), this.rows) - row), cols: Math.max(1, clamp(Math.ceil(bounds.getEast()), this.cols) - col) };
  }

  pixelAt({ lat, lng }) {
    return [-lat, lng];
  }

  contains([row, col]) {
    return row >= 0 && col >= 0 && row < this.rows && col < this.cols;
  }

  showColours(address, view) {
    const step = view.step;
    const row = Math.floor(view.row / step) * step, col = Math.floor(view.col / step) * step;
    const place = { row, col, rows: Math.ceil((view.row + view.rows - row) / step), cols: Math.ceil((view.col + view.cols - col) / step), step };
    const image = L.imageOverlay(address, boundsOf(place), { zIndex: 1, alt: "" });
    this.colours.push(image);
    const isLatest = () => this.colours.at(-1) === image;
    // Earlier images stay until this one is there, so nothing flickers.
    image.once("load", () => { for (const earlier of this.colours.splice(0, this.colours.indexOf(image))) earlier.remove(); });
    image.on("error", () => setTimeout(() => { if (isLatest()) image.setUrl(`${address}#${Date.now()}`); }, 1000));
    image.addTo(this.map);
  }

  // Values of the raster at a pixel; null outside.
  valueAt([row, col]) {
    const raster = this.raster;
    if (!raster) return null;
    const y = Math.floor((row - raster.row) / raster.step), x = Math.floor((col - raster.col) / raster.step);
    if (y < 0 || x < 0 || y >= raster.rows || x >= raster.cols) return null;
    const at = y * raster.cols + x;
    return { label: raster.labels[at], mapped: raster.classes[at], confidence: raster.confidence[at] / 255 };
  }

  showRaster(raster) {
    this.raster = raster;
    for (const layer of this.layers) layer.setBounds(L.latLngBounds(boundsOf(raster)));
  }

  paint(style) {
    this.style = style;
    if (!this.raster) return;
    this.paintMap(style);
    this.paintLabels(style);
  }

  paintMap({ classes, visible, opacity, shade, patterns, truth }) {
    const { rows, cols, classes: mapped, confidence } = this.raster;
    // Patterns have the size of the screen's pixels at every zoom.
    const most = Math.min(16, Math.floor(PATTERN_CANVAS_PX / Math.max(rows, cols)));
    const scale = patterns ? Math.max(1, Math.min(most, Math.round(this.raster.step * 2 ** this.map.getZoom()))) : 1;
    const canvas = this.canvases[0];
    canvas.width = cols * scale;
    canvas.height = rows * scale;
    this.layers[0].getElement().hidden = !visible;
    if (!visible) return;
    const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
    const words = new Uint32Array(image.data.buffer);
    for (let y = 0; y < rows; y += 1) for (let x = 0; x < cols; x += 1) {
      const at = y * cols + x, number = mapped[at];
      if (!number) continue;
      let [red, green, blue] = classes.get(number)?.rgb ?? [128, 128, 128];
      let alpha = opacity;
      if (truth) {
        const wrong = truth[at] && truth[at] !== number;
        [red, green, blue] = wrong ? [230, 0, 120] : [255, 255, 255];
        alpha = wrong ? Math.max(opacity, 0.7) : truth[at] ? opacity * 0.35 : 0;
      } else if (shade) {
        // From a guess (1 of the classes) to certainty.
        const sure = Math.max(0, (confidence[at] / 255 - 1 / classes.size) / (1 - 1 / classes.size));
        red *= sure; green *= sure; blue *= sure;
      }
      const word = (Math.round(255 * alpha) << 24) | (blue << 16) | (green << 8) | red;
      if (scale === 1) { words[at] = word; continue; }
      const ink = isDark([red, green, blue]) ? 0xffffff : 0, marked = (Math.round(255 * Math.min(1, alpha + 0.25)) << 24) | ink;
      const pattern = PATTERNS[(number - 1) % PATTERNS.length];
      for (let v = 0; v < scale; v += 1) for (let u = 0; u < scale; u += 1) {
        const top = y * scale + v, left = x * scale + u;
        words[top * canvas.width + left] = !truth && pattern(left, top, 7) ? marked : word;
      }
    }
    context.putImageData(image, 0, 0);
  }

  // Each labelled pixel is a square with a frame, at least 5 pixels of the screen wide.
  paintLabels({ classes, patterns }) {
    const { rows, cols, labels, step } = this.raster;
    // About one pixel of the canvas for one of the screen: larger ones take time to draw.
    const wanted = Math.ceil(step * 2 ** this.map.getZoom() * window.devicePixelRatio);
    const side = Math.max(1, Math.min(16, wanted, Math.floor(LABEL_CANVAS_PX / Math.max(rows, cols))));
    const canvas = this.canvases[1];
    canvas.width = cols * side;
    canvas.height = rows * side;
    const context = canvas.getContext("2d"), onePx = side / (step * 2 ** this.map.getZoom()), half = Math.max(side / 2, 2.5 * onePx);
    const marks = [];
    for (let at = 0; at < labels.length; at += 1) {
      if (labels[at]) marks.push([(at % cols + 0.5) * side, (Math.floor(at / cols) + 0.5) * side, classes.get(labels[at])]);
    }
    const squares = (reach, colour) => {
      for (const [x, y, entry] of marks) {
        context.fillStyle = colour(entry?.rgb ?? [128, 128, 128]);
        context.fillRect(x - reach, y - reach, 2 * reach, 2 * reach);
      }
    };
    squares(half + 2.5 * onePx, () => "#000");
    squares(half + 1.5 * onePx, () => "#fff");
    squares(half, (rgb) => `rgb(${rgb.join(" ")})`);
    if (!patterns || half < 5 * onePx) return;
    context.font = `700 ${1.5 * half}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const [x, y, entry] of marks) {
      if (!entry) continue;
      context.fillStyle = isDark(entry.rgb) ? "#fff" : "#000";
      context.fillText(entry.key || entry.name[0], x, y + 0.1 * half);
    }
  }

  moveCursor([row, col], { follow = false, zoom = null } = {}) {
    for (const frame of this.frames) frame.setBounds([[-row - 1, col], [-row, col + 1]]).addTo(this.map);
    const point = [-row - 0.5, col + 0.5];
    if (zoom !== null && this.map.getZoom() < zoom) this.map.setView(point, zoom, { animate: false });
    else if (follow && !this.map.getBounds().pad(-0.1).contains(point)) this.map.panTo(point, { animate: false });
  }

  // The place of a check: a frame around the pixel, and a ring that is easy to find. It stays when the cursor moves.
  showCheck(place) {
    for (const part of this.checkParts ?? []) part.remove();
    if (!place) return;
    const [row, col] = place, point = [-row - 0.5, col + 0.5], bounds = [[-row - 1, col], [-row, col + 1]];
    const line = (color, weight) => ({ interactive: false, fill: false, color, weight });
    this.checkParts = [line("#000", 5), line("#fff", 2)].flatMap((style) => [
      L.rectangle(bounds, style), L.circleMarker(point, { ...style, radius: 24 }),
    ]).map((part) => part.addTo(this.map));
    this.map.setView(point, Math.max(this.map.getZoom(), CHECK_ZOOM), { animate: false });
  }

  showDraft(points) {
    this.draft.setLatLngs(points.map(([row, col]) => [-row, col]));
  }

  showPlaces(places, choose) {
    for (const marker of this.places) marker.remove();
    this.places = places.map((place, index) =>
      L.marker([-place.row - 0.5, place.col + 0.5], {
        icon: L.divIcon({ className: "place", html: `<span>${index + 1}</span>`, iconSize: [0, 0] }), title: place.reason, riseOnHover: true,
      }).on("click", () => choose(index)).addTo(this.map));
  }
}
