// Coasts, borders, lakes, rivers and a graticule on the map.

/* global L */

/** @import { View } from "./views.js" */

const UNIT = 100; // steps of a degree in the file
const GRATICULE_STEP = 30; // degrees
const PARALLEL_STEP = 2; // degrees between the points of a parallel, which is a circle around a pole

const COAST = getComputedStyle(document.documentElement).getPropertyValue("--coast").trim();

/** How each kind of line looks. */
const STYLES = {
  rivers: { color: "#2f7fd0", weight: 0.9, opacity: 0.75 },
  lakes: { color: "#2f7fd0", weight: 0.9, opacity: 0.9 },
  borders: { color: "#20262c", weight: 0.8, opacity: 0.55, dashArray: "4 3" },
  coasts: { color: COAST, weight: 1, opacity: 0.85 },
};

/**
 * Return the points of a line, latitude first, from its first point and the differences to the next ones.
 *
 * @param {number[]} packed
 * @returns {[number, number][]}
 */
function points(packed) {
  let [x, y] = [0, 0];
  /** @type {[number, number][]} */
  const line = [];
  for (let at = 0; at < packed.length; at += 2) {
    x += packed[at];
    y += packed[at + 1];
    line.push([y / UNIT, x / UNIT]);
  }
  return line;
}

/** Return the meridians and parallels. */
function graticule() {
  /** @type {[number, number][][]} */
  const lines = [];
  for (let lon = -180; lon <= 180; lon += GRATICULE_STEP) lines.push([[-90, lon], [-1, lon]], [[-1, lon], [1, lon]], [[1, lon], [90, lon]]);
  for (let lat = -60; lat <= 60; lat += GRATICULE_STEP) {
    lines.push(Array.from({ length: 360 / PARALLEL_STEP + 1 }, (_, n) => [lat, n * PARALLEL_STEP - 180]));
  }
  return lines;
}

export class MapLines {
  /**
   * @param {any} map A Leaflet map.
   * @param {View} view
   */
  constructor(map, view) {
    this.map = map;
    this.view = view;
    const pane = map.createPane("lines");
    Object.assign(pane.style, { zIndex: 430, pointerEvents: "none" });
    this.renderer = L.canvas({ pane: "lines", padding: 0.2 });
    /** @type {any} */
    this.group = null;
  }

  /**
   * Show the lines or hide them; they are loaded when they are shown first.
   *
   * @param {boolean} wanted
   */
  async show(wanted) {
    if (wanted && !this.group) {
      const answer = await fetch("static/vendor/natural-earth.json");
      if (!answer.ok) return; // the map is complete without them
      const lines = await answer.json();
      const common = { renderer: this.renderer, interactive: false, smoothFactor: 1.2 };
      const seen = (/** @type {[number, number][][]} */ found) => found.filter((line) => line.every(([lat]) => this.view.isSeen(lat)));
      this.group ??= L.layerGroup([
        L.polyline(seen(graticule()), { ...common, color: COAST, weight: 0.5, opacity: 0.35 }),
        ...Object.entries(STYLES).map(([kind, style]) => L.polyline(seen(lines[kind].map(points)), { ...common, ...style })),
      ]);
    }
    if (wanted) this.group.addTo(this.map);
    else this.group?.remove();
  }
}
