// An area: drawn on the map corner by corner, read from a GeoJSON file, or from the page's address.

import { element } from "./page_parts.js";

/* global L */

/** @typedef {[number, number]} Corner Latitude and longitude, degrees. */
/** @typedef {any} Area GeoJSON. */

const STYLE = { pane: "place", color: "#d55e00", weight: 2, interactive: false };
const CLOSE_PX = 12; // a click this near to the first corner closes the area
const PIECES = 8; // of an edge in the view of a pole
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
    const line = [...corners, corners[0]];
    const isStraight = this.map.options.crs === L.CRS.EPSG4326;
    const ring = isStraight ? line.map(([lat, lon]) => [lon, lat]) : unrolled(this.#edgesOf(line));
    this.onArea({ type: "Polygon", coordinates: [ring.map((place) => place.map((degrees) => Number(degrees.toFixed(3))))] });
  }

  /**
   * Return a line as it is on the map of a pole, in short pieces: the edges of an area are straight in degrees.
   *
   * @param {Corner[]} corners
   * @returns {Corner[]}
   */
  #edgesOf(corners) {
    const points = corners.map((corner) => this.map.project(corner, 0));
    return points.flatMap((point, n) => {
      const pieces = n ? PIECES : 1;
      const before = points[n - 1] ?? point;
      return Array.from({ length: pieces }, (_, piece) => {
        const { lat, lng } = this.map.unproject(before.add(point.subtract(before).multiplyBy((piece + 1) / pieces)), 0);
        return /** @type {Corner} */ ([lat, lng]);
      });
    });
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
 * Return a closed line of short pieces as a ring of an area: longitudes go on across 180 degrees, and a line around a
 * pole has the pole in it.
 *
 * @param {Corner[]} line Longitudes from -180 to 180; the last corner is the first.
 */
export function unrolled(line) {
  const lons = [line[0][1]];
  for (const [, lon] of line.slice(1)) lons.push(lon + 360 * Math.round((lons[lons.length - 1] - lon) / 360));
  const ring = line.map(([lat], n) => [lons[n], lat]);
  const [start, end] = [lons[0], lons[lons.length - 1]];
  if (Math.abs(end - start) > 180) {
    const pole = line[0][0] > 0 ? 90 : -90;
    ring.push([end, pole], [start, pole], ring[0]);
  }
  const turn = Math.max(...lons) > 360 ? -360 : Math.min(...lons) < -360 ? 360 : 0;
  return ring.map(([lon, lat]) => [lon + turn, lat]);
}

/**
 * Return an area for the page's address; empty for one that is long or has several parts.
 *
 * @param {Area} area
 */
export function areaText(area) {
  const rings = area.type === "Polygon" ? area.coordinates : [];
  const text = rings.length === 1 ? rings[0].flatMap((/** @type {number[]} */ [lon, lat]) => [lon, lat]).join(",") : "";
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
