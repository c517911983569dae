// An area: drawn on the map corner by corner, read from a GeoJSON file, or from the page's address.

import { element } from "./page_parts.js";

/* global L */

/** @typedef {[number, number]} Corner Latitude and longitude, degrees. */
/** @typedef {any} Area GeoJSON. */

const STYLE = { pane: "place", color: "#d55e00", weight: 2, interactive: false };
const CLOSE_PX = 12; // a click this near to the first corner closes the area
const LONGEST_ADDRESS = 1500; // characters of an area in the page's address

export class AreaTool {
  /** @param {(area: Area) => void} onArea Called with an area that was drawn or read. */
  constructor(onArea) {
    this.onArea = onArea;
    /** @type {any} */
    this.map = null;
    /** @type {Corner[] | null} Of the area that is being drawn. */
    this.corners = null;
    /** @type {any} */
    this.outline = null;
    element("draw").addEventListener("click", () => (this.corners ? this.#finish() : this.#start()));
    element("area-file").addEventListener("change", () => this.#read());
    document.addEventListener("keydown", ({ key }) => key === "Escape" && this.corners && this.#stop());
  }

  /** @param {any} map The Leaflet map to draw on. */
  use(map) {
    this.map = map;
    this.outline = null;
    this.#stop();
  }

  /** Whether a click on the map is a corner. */
  get isDrawing() {
    return this.corners !== null;
  }

  /**
   * Add a corner; one on the first corner closes the area.
   *
   * @param {number} lat
   * @param {number} lon
   */
  add(lat, lon) {
    if (!this.corners) return;
    const at = this.map.latLngToContainerPoint([lat, lon]);
    if (this.corners.length > 2 && at.distanceTo(this.map.latLngToContainerPoint(this.corners[0])) < CLOSE_PX) return this.#finish();
    this.corners.push([lat, lon]);
    this.outline?.remove();
    this.outline = L.layerGroup([
      L.polyline(this.corners, STYLE),
      ...this.corners.map((corner) => L.circleMarker(corner, { ...STYLE, radius: 4 })),
    ]).addTo(this.map);
    this.#label();
  }

  /**
   * Draw the outline of an area.
   *
   * @param {Area} area
   */
  outlineOf(area) {
    this.outline?.remove();
    this.outline = L.geoJSON(area, { style: () => ({ ...STYLE, fill: false }) }).addTo(this.map);
  }

  /** Take the outline away. */
  clear() {
    this.outline?.remove();
    this.outline = null;
  }

  #start() {
    this.clear();
    this.corners = [];
    this.map.doubleClickZoom.disable();
    this.#label();
    element("stage").scrollIntoView({ block: "nearest" });
    element("map").focus({ preventScroll: true });
  }

  #finish() {
    /** @type {Corner[]} */
    const corners = this.corners ?? [];
    this.#stop();
    if (corners.length < 3) return this.clear();
    const ring = [...corners, corners[0]].map(([lat, lon]) => [Number(lon.toFixed(3)), Number(lat.toFixed(3))]);
    this.onArea({ type: "Polygon", coordinates: [ring] });
  }

  #stop() {
    if (this.corners) this.clear();
    this.corners = null;
    this.map.doubleClickZoom.enable();
    this.#label();
  }

  #label() {
    const count = this.corners?.length ?? 0;
    element("draw").textContent = !this.corners ? "Draw an area" : count < 3 ? "Stop drawing" : "Finish the area";
    element("draw").setAttribute("aria-pressed", String(this.isDrawing));
    element("area-hint").hidden = !this.corners;
  }

  async #read() {
    const [file] = element("area-file").files;
    if (!file) return;
    const text = await file.text();
    element("area-file").value = ""; // so that the same file can be chosen again
    let area;
    try {
      area = JSON.parse(text);
    } catch {
      area = text; // the service says what is wrong with it
    }
    this.onArea(area);
  }
}

/**
 * Return an area for the page's address; empty for one that is long or has several parts.
 *
 * @param {Area} area
 */
export function areaText(area) {
  const rings = area.type === "Polygon" ? area.coordinates : [];
  const text = rings.length === 1 ? rings[0].flat().join(",") : "";
  return text.length <= LONGEST_ADDRESS ? text : "";
}

/**
 * Return the area that the page's address has; null if it has none.
 *
 * @param {string | null} text
 * @returns {Area | null}
 */
export function areaOfText(text) {
  const numbers = (text ?? "").split(",").map(Number);
  if (numbers.length < 8 || numbers.length % 2 || numbers.some((number) => !Number.isFinite(number))) return null;
  const ring = numbers.flatMap((lon, n) => (n % 2 ? [] : [[lon, numbers[n + 1]]]));
  return { type: "Polygon", coordinates: [ring] };
}
