// The text below the pointer: the place, its value, where it comes from, its uncertainty and its age.

import * as api from "./api.js";
import { valueText } from "./legend.js";
import { element } from "./page_parts.js";
import { LayerName } from "./schema.js";

/** @import { LayerColours } from "./colours.js" */
/** @typedef {{ date: string, layer: LayerName, map: Uint8Array, flags: Uint8Array | null }} Drawn */

/** What is said of a filled value besides its flag: the layer, and the words around its value. */
const MORE = [
  { layer: LayerName.SOIL_MOISTURE_UNCERTAINTY, before: "± ", after: "" },
  { layer: LayerName.DAYS_SINCE_OBSERVATION, before: "", after: " since an observation" },
];

export class Readout {
  /** @param {LayerColours} colours */
  constructor(colours) {
    this.colours = colours;
    this.date = "";
    /** @type {(Uint8Array | null)[]} The maps of `MORE` on that date; null for one that is not there yet. */
    this.more = [];
  }

  /**
   * Show a cell of the map; what is not loaded yet is said at the next movement.
   *
   * @param {Drawn} drawn
   * @param {number} cell
   * @param {number} lat
   * @param {number} lon
   */
  show({ date, layer, map, flags }, cell, lat, lon) {
    const { archive } = this.colours;
    const place = `${Math.abs(lat).toFixed(1)}° ${lat < 0 ? "S" : "N"}, ${Math.abs(lon).toFixed(1)}° ${lon < 0 ? "W" : "E"}`;
    const parts = [place, valueText(this.colours, layer, map[cell])];
    const flag = flags && archive.flags.find(({ value }) => value === flags[cell]);
    if (flag) parts.push(flag.meaning);
    if (flag && archive.filled_flags.includes(flag.value)) {
      this.#load(date);
      MORE.forEach(({ layer: other, before, after }, n) => {
        const text = other !== layer && this.more[n] ? valueText(this.colours, other, this.more[n][cell]) : "";
        if (text) parts.push(`${before}${text}${after}`);
      });
    }
    element("readout").textContent = parts.filter(Boolean).join(" · ");
  }

  /** Show nothing. */
  clear() {
    element("readout").textContent = "";
  }

  /** Load the other layers anew when they are needed: a day may have been made again. */
  forget() {
    this.date = "";
  }

  /** @param {string} date */
  #load(date) {
    if (date === this.date) return;
    this.date = date;
    this.more = MORE.map(() => null);
    MORE.forEach(({ layer }, n) => {
      if (!this.colours.archive.layers.includes(layer)) return;
      api.getMap(date, layer).then((bytes) => date === this.date && (this.more[n] = bytes)).catch(() => this.forget());
    });
  }
}
