// The map: one or two canvases on a Leaflet map in plain longitude and latitude, with the service's colours.

import { MapLines } from "./lines.js";
import { LayerName } from "./schema.js";

/* global L */

/** @import { ArchiveInfo, ColourScale, FlagColour, LayerName as Layer } from "./schema.js" */

const Canvas = L.ImageOverlay.extend({
  initialize(/** @type {any} */ bounds, /** @type {any} */ options) {
    this._bounds = L.latLngBounds(bounds);
    L.setOptions(this, options);
  },
  _initImage() {
    const canvas = (this._image = document.createElement("canvas"));
    canvas.className = "leaflet-image-layer leaflet-zoom-animated";
    canvas.onselectstart = L.Util.falseFn;
  },
});

/**
 * Return a colour as the bytes of a pixel, red first in memory.
 *
 * @param {string} colour ``#rrggbb``
 */
const rgba = (colour) => {
  const value = parseInt(colour.slice(1), 16);
  return (0xff000000 | ((value & 0xff) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
};

export class DayMap {
  /**
   * @param {HTMLElement} element The element that the map fills.
   * @param {ArchiveInfo} archive An archive with at least one day.
   * @param {object} handlers
   * @param {(lat: number, lon: number) => void} handlers.onPick Called with the place that was clicked.
   * @param {(lat: number | null, lon: number | null) => void} handlers.onHover Called with the place below the pointer.
   */
  constructor(element, archive, { onPick, onHover }) {
    this.archive = archive;
    if (!archive.grid) throw new Error("an archive without days has no grid");
    this.grid = archive.grid;
    const { north, south, west, east } = this.grid;
    this.lines = this.#lines();
    const bounds = [[south, west], [north, east]];
    this.map = L.map(element, {
      crs: L.CRS.EPSG4326,
      zoomSnap: 0.25,
      zoomDelta: 0.75,
      minZoom: -1,
      maxZoom: 7,
      attributionControl: false,
      maxBounds: L.latLngBounds(bounds).pad(0.25),
      bounceAtZoomLimits: false,
    });
    this.map.createPane("left").style.zIndex = 410;
    this.map.createPane("place").style.zIndex = 450;
    this.map.getPane("place").style.pointerEvents = "none";
    this.outlines = new MapLines(this.map);
    L.control.scale({ imperial: false, position: "bottomright" }).addTo(this.map);
    this.base = new Canvas(bounds).addTo(this.map);
    this.left = new Canvas(bounds, { pane: "left" });
    this.map.fitBounds([[Math.max(south, -60), west], [Math.min(north, 75), east]]); // there is little to see beyond
    /** The colour of what is not land: that of the map's background. */
    this.nothing = getComputedStyle(element).getPropertyValue("--sea").trim() || archive.nothing.colour;
    /** @type {Map<string, Uint32Array>} The colour of each byte, by layer. */
    this.tables = new Map(archive.scales.map((scale) => [scale.name, this.#scaleTable(scale)]));
    this.tables.set(LayerName.FLAG, this.#categoryTable(archive.flags));
    this.tables.set(LayerName.QUALITY_FLAG, this.#categoryTable(archive.qualities));
    this.map.on("click", (/** @type {any} */ event) => onPick(event.latlng.lat, event.latlng.lng));
    this.map.on("mousemove", (/** @type {any} */ event) => onHover(event.latlng.lat, event.latlng.lng));
    this.map.on("mouseout", () => onHover(null, null));
    this.map.on("move resize zoom viewreset", () => this.#clip());
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      const { lat, lng } = this.map.getCenter();
      onPick(lat, lng);
    });
    /** @type {number | null} See `swipeTo`. */
    this.swipe = null;
    new ResizeObserver(() => this.map.invalidateSize()).observe(element);
  }

  /** @param {ColourScale} scale */
  #scaleTable(scale) {
    const table = new Uint32Array(256).fill(rgba(this.nothing));
    scale.colours.forEach((colour, step) => (table[step] = rgba(colour)));
    table[this.archive.gap.value] = rgba(this.archive.gap.colour);
    return table;
  }

  /** @param {FlagColour[]} categories */
  #categoryTable(categories) {
    const table = new Uint32Array(256).fill(rgba(this.nothing));
    table[this.archive.gap.value] = rgba(this.archive.gap.colour);
    for (const { value, colour } of categories)
      table[value] = rgba(colour === this.archive.nothing.colour ? this.nothing : colour);
    return table;
  }

  /**
   * Show a layer; with a second one, show that one to the left of the swipe line.
   *
   * @param {Layer} layer
   * @param {Uint8Array} bytes
   * @param {{ layer: Layer, bytes: Uint8Array } | null} left
   */
  show(layer, bytes, left = null) {
    this.#paint(this.base, layer, bytes);
    if (left) {
      if (!this.map.hasLayer(this.left)) this.left.addTo(this.map);
      this.#paint(this.left, left.layer, left.bytes);
    } else this.left.remove();
    this.#clip();
  }

  /** Show no values. */
  clear() {
    const canvas = this.base.getElement();
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    this.left.remove();
  }

  /**
   * @param {any} overlay
   * @param {Layer} layer
   * @param {Uint8Array} bytes
   */
  #paint(overlay, layer, bytes) {
    const { cols } = this.grid;
    const height = this.lines.length;
    const canvas = overlay.getElement();
    if (canvas.width !== cols || canvas.height !== height) [canvas.width, canvas.height] = [cols, height];
    const pixels = new Uint32Array(height * cols);
    const table = /** @type {Uint32Array} */ (this.tables.get(layer));
    this.lines.forEach((row, line) => {
      for (let col = 0; col < cols; col++) pixels[line * cols + col] = table[bytes[row * cols + col]];
    });
    canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), cols, height), 0, 0);
  }

  /**
   * Move the swipe line.
   *
   * @param {number | null} share Its distance from the left edge of the map, 0 to 1; null: no swipe.
   */
  swipeTo(share) {
    this.swipe = share;
    this.#clip();
  }

  #clip() {
    const pane = this.map.getPane("left");
    if (this.swipe === null) return void (pane.style.clip = "");
    const size = this.map.getSize();
    const from = this.map.containerPointToLayerPoint([0, 0]);
    const to = this.map.containerPointToLayerPoint(size);
    pane.style.clip = `rect(${from.y}px, ${from.x + size.x * this.swipe}px, ${to.y}px, ${from.x}px)`;
  }

  /**
   * Return the row that a latitude lies in; null outside the grid.
   *
   * @param {number} lat
   */
  #row(lat) {
    const south = this.grid.row_edges.findIndex((edge) => edge < lat); // of the row that contains it
    return south > 0 ? south - 1 : null;
  }

  /**
   * Return, for each line of a picture whose lines are equally high, the row that it shows.
   *
   * @returns {number[]}
   */
  #lines() {
    const { north, south, row_edges: edges } = this.grid;
    const least = Math.min(...edges.slice(1).map((edge, row) => edges[row] - edge));
    const count = Math.ceil((north - south) / least - 1e-6);
    let row = 0;
    return Array.from({ length: count }, (_, line) => {
      while (edges[row + 1] > north - ((north - south) * (line + 0.5)) / count) row++;
      return row;
    });
  }

  /**
   * Return the number of the cell that a place lies in; null outside the grid.
   *
   * @param {number} lat
   * @param {number} lon
   */
  cell(lat, lon) {
    const { west, step, cols } = this.grid;
    const row = this.#row(lat);
    const col = Math.floor((lon - west) / step);
    return row !== null && col >= 0 && col < cols ? row * cols + col : null;
  }

  /**
   * Mark a cell.
   *
   * @param {number} lat Of its centre.
   * @param {number} lon
   */
  mark(lat, lon) {
    this.unmark();
    const { row_edges: edges, step } = this.grid;
    const row = this.#row(lat) ?? 0;
    const box = [[edges[row + 1], lon - step / 2], [edges[row], lon + step / 2]];
    this.marker = L.layerGroup([
      L.rectangle(box, { pane: "place", color: "#000", weight: 2, fill: false, interactive: false }),
      L.circleMarker([lat, lon], { pane: "place", radius: 11, color: "#000", weight: 2, fill: false, interactive: false }),
    ]).addTo(this.map);
  }

  /** Mark no cell. */
  unmark() {
    this.marker?.remove();
  }
}
