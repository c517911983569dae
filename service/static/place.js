// The time series of a place, and the form that asks for one.

import * as api from "./api.js";
import { element, textElement } from "./page_parts.js";
import { PlaceChart, notes } from "./series.js";

/** @import { SeriesColours } from "./schema.js" */

export class PlacePanel {
  /**
   * @param {SeriesColours} colours
   * @param {(lat: number, lon: number) => void} onShow Called with the centre of the cell whose series is shown.
   */
  constructor(colours, onShow) {
    this.chart = new PlaceChart(element("chart"), element("rain"), colours);
    this.onShow = onShow;
    this.requests = 0;
    element("where").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.show(Number(element("lat").value), Number(element("lon").value));
    });
  }

  /**
   * Show the series of the cell that a place lies in; a later call cancels an earlier one.
   *
   * @param {number} lat
   * @param {number} lon Any number of turns around the globe.
   */
  async show(lat, lon) {
    const request = ++this.requests;
    const wrapped = ((((lon + 180) % 360) + 360) % 360) - 180;
    showState("Loading the days of this place …");
    [element("lat").value, element("lon").value] = [lat.toFixed(3), wrapped.toFixed(3)];
    try {
      const series = await api.getSeries(lat.toFixed(5), wrapped.toFixed(5));
      if (request !== this.requests) return;
      const { latitude, longitude } = series;
      element("series").hidden = false;
      element("place-hint").hidden = true;
      element("csv").hidden = false;
      element("csv").href = api.csvAddress(latitude, longitude);
      element("series-summary").textContent = this.chart.show(series);
      const items = notes(series).map((note) => textElement("li", note));
      element("series-notes").replaceChildren(...items);
      element("series-notes").hidden = !items.length;
      const [ns, ew] = [latitude < 0 ? "S" : "N", longitude < 0 ? "W" : "E"];
      element("place-title").textContent = `${Math.abs(latitude)}° ${ns}, ${Math.abs(longitude)}° ${ew}`;
      showState("");
      this.onShow(latitude, longitude);
    } catch (error) {
      if (request !== this.requests) return;
      if (error instanceof api.Unreachable) showState("The service does not answer; try again later.", true);
      else showState(`No series: ${/** @type {Error} */ (error).message}`, true);
    }
  }
}

/**
 * @param {string} text
 * @param {boolean} bad Whether it is a fault.
 */
function showState(text, bad = false) {
  element("place-status").className = bad ? "bad" : "";
  element("place-status").textContent = text;
}
