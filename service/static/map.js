// The map: one or two canvases on a Leaflet map, with the service's colours.

import { MapLines } from "./lines.js";
import { NameLabels } from "./names.js";
import { cellOf, rowOf, viewOf } from "./views.js";

/* global L */

/** @import { LayerColours } from "./colours.js" */
/** @import { ArchiveInfo, LayerName as Layer } from "./schema.js" */
/** @import { ViewName } from "./views.js" */

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

export class DayMap {
  /**
   * @param {HTMLElement} element The element that the map fills.
   * @param {ArchiveInfo} archive An archive with at least one day.
   * @param {ViewName} view
   * @param {LayerColours} colours
   * @param {object} handlers
   * @param {(lat: number, lon: number) => void} handlers.onPick Called with the place that was clicked.
   * @param {(lat: number | null, lon: number | null) => void} handlers.onHover Called with the place below the pointer.
   */
  constructor(element, archive, view, colours, { onPick, onHover }) {
    this.colours = colours;
    if (!archive.grid) throw new Error("an archive without days has no grid");
    this.grid = archive.grid;
    this.view = viewOf(this.grid, view);
    this.map = L.map(element, {
      crs: this.view.crs,
      zoomSnap: 0.25,
      zoomDelta: 0.75,
      attributionControl: false,
      bounceAtZoomLimits: false,
      ...this.view.limits,
    });
    this.map.createPane("left").style.zIndex = 410;
    this.map.createPane("place").style.zIndex = 450;
    this.map.getPane("place").style.pointerEvents = "none";
    this.outlines = new MapLines(this.map, this.view);
    this.names = new NameLabels(this.map, this.view);
    L.control.scale({ imperial: false, position: "bottomright" }).addTo(this.map);
    this.base = new Canvas(this.view.bounds).addTo(this.map);
    this.left = new Canvas(this.view.bounds, { pane: "left" });
    this.map.fitBounds(this.view.shown);
    this.map.on("click", (/** @type {any} */ event) => onPick(event.latlng.lat, event.latlng.lng));
    this.map.on("mousemove", (/** @type {any} */ event) => onHover(event.latlng.lat, event.latlng.lng));
    this.map.on("mouseout", () => onHover(null, null));
    this.map.on("move resize zoom viewreset", () => this.#clip());
    this.map.on("keydown", (/** @type {any} */ { originalEvent }) => {
      if (originalEvent.key !== "Enter") return;
      const { lat, lng } = this.map.getCenter();
      onPick(lat, lng);
    });
    /** @type {number | null} See `swipeTo`. */
    this.swipe = null;
    this.sizes = new ResizeObserver(() => this.map.invalidateSize());
    this.sizes.observe(element);
  }

  /** Take the map off the page. */
  remove() {
    this.sizes.disconnect();
    this.map.remove();
  }

  /**
   * Show a layer; with a second one, show that one to the left of the swipe line.
   *
   * @param {Layer} layer
   * @param {Uint8Array} bytes
   * @param {Uint8Array | null} flags Where values come from.
   * @param {{ layer: Layer, bytes: Uint8Array } | null} left
   */
  show(layer, bytes, flags, left = null) {
    this.#paint(this.base, layer, bytes, flags);
    if (left) {
      if (!this.map.hasLayer(this.left)) this.left.addTo(this.map);
      this.#paint(this.left, left.layer, left.bytes, null);
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
   * @param {Uint8Array | null} flags
   */
  #paint(overlay, layer, bytes, flags) {
    const { width, height, cells } = this.view;
    const canvas = overlay.getElement();
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const pixels = new Uint32Array(cells.length); // transparent outside the grid
    const { plain, faded } = this.colours.pixels(layer);
    const { isFilled } = this.colours;
    const fading = this.colours.fades && this.colours.canFade(layer) ? flags : null;
    for (let pixel = 0; pixel < cells.length; pixel++) {
      const cell = cells[pixel];
      if (cell >= 0) pixels[pixel] = (fading && isFilled[fading[cell]] ? faded : plain)[bytes[cell]];
    }
    canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), width, height), 0, 0);
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
   * Return the number of the cell that a place lies in; null outside the grid.
   *
   * @param {number} lat
   * @param {number} lon
   */
  cell(lat, lon) {
    return cellOf(this.grid, lat, lon);
  }

  /**
   * Show lines and names on the map, or hide them.
   *
   * @param {boolean} wanted
   */
  async showLines(wanted) {
    await Promise.all([this.outlines.show(wanted), this.names.show(wanted)]);
  }

  /**
   * Go to a place.
   *
   * @param {number} lat
   * @param {number} lon
   */
  goTo(lat, lon) {
    this.map.setView([lat, lon], Math.max(this.map.getZoom(), this.view.closeZoom));
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
    const row = rowOf(this.grid, lat) ?? 0;
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
