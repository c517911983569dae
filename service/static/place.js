// The time series of a place or of an area: the form and the buttons that ask for one, its chart, and its files.

import * as api from "./api.js";
import { element, save, textElement } from "./page_parts.js";
import { MOST_OTHERS, SeriesChart } from "./series.js";
import { areaDrawing, areaSummary, notes, placeDrawing, placeName, placeSummary } from "./series_words.js";

/** @import { AreaSeries, PlaceSeries, SeriesColours } from "./schema.js" */
/** @import { Drawing, Line } from "./series.js" */
/** @import { Area } from "./area.js" */
/** @typedef {{ title: string, drawing: Drawing, summary: string, notes: string[] }} Shown */

/** The files that a series can be saved as, by the id of their link, with the format of the service. */
const FILES = new Map([["csv", "csv"], ["netcdf", "nc"]]);

export class PlacePanel {
  /**
   * @param {SeriesColours} colours
   * @param {object} handlers
   * @param {(lat: number, lon: number) => void} handlers.onPlace Called with the centre of the cell that is shown.
   * @param {(area: Area) => void} handlers.onArea Called with the area that is shown.
   * @param {(date: string) => void} handlers.onDay Called with a day that was clicked in the chart.
   */
  constructor(colours, { onPlace, onArea, onDay }) {
    this.colours = colours;
    this.chart = new SeriesChart(element("chart"), element("rain"), colours.rain, onDay);
    this.onPlace = onPlace;
    this.onArea = onArea;
    this.requests = 0;
    /** @type {Shown | null} */
    this.shown = null;
    /** @type {Line[]} The series that stay when another one is shown, oldest first. */
    this.kept = [];
    /** @type {(format: string) => Promise<Blob> | string} The file of what is shown, or its address. */
    this.file = () => "";
    element("where").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.show(Number(element("lat").value), Number(element("lon").value));
    });
    for (const [id, format] of FILES)
      element(id).addEventListener("click", (/** @type {Event} */ event) => this.#saveFile(event, format));
    element("png").addEventListener("click", async () => save(await this.chart.picture(), `${this.#fileName()}.png`));
    element("keep").addEventListener("change", () => !element("keep").checked && this.#forget());
  }

  /**
   * Show the series of the cell that a place lies in; a later call cancels an earlier one.
   *
   * @param {number} lat
   * @param {number} lon Any number of turns around the globe.
   */
  async show(lat, lon) {
    const wrapped = ((((lon + 180) % 360) + 360) % 360) - 180;
    [element("lat").value, element("lon").value] = [lat.toFixed(3), wrapped.toFixed(3)];
    const series = await this.#load("Loading the days of this place …", () => api.getSeries(lat.toFixed(5), wrapped.toFixed(5)));
    if (!series) return;
    const { latitude, longitude } = series;
    this.#draw({
      title: placeName(latitude, longitude),
      drawing: placeDrawing(series, this.colours),
      summary: placeSummary(series),
      notes: notes(series),
    });
    this.file = (format) => api.seriesAddress(latitude, longitude, format);
    for (const [id, format] of FILES) element(id).href = api.seriesAddress(latitude, longitude, format);
    this.onPlace(latitude, longitude);
  }

  /**
   * Show the mean over an area; a later call cancels an earlier one.
   *
   * @param {Area} area
   */
  async showArea(area) {
    const series = await this.#load("Computing the mean over the area …", () => api.getArea(area));
    if (!series) return;
    this.#draw({
      title: `Mean over ${series.km2.toLocaleString("en-GB")} km²`,
      drawing: areaDrawing(series, this.colours),
      summary: areaSummary(series),
      notes: notes({ ...series, not_from_cube: [] }),
    });
    this.file = (format) => api.getAreaFile(area, format);
    for (const id of FILES.keys()) element(id).href = "#";
    this.onArea(area);
  }

  /**
   * Wait for a series; say what is wrong if there is none.
   *
   * @template Series
   * @param {string} text What is said meanwhile.
   * @param {() => Promise<Series>} get
   * @returns {Promise<Series | null>} null without one, or when a later request was made.
   */
  async #load(text, get) {
    const request = ++this.requests;
    showState(text);
    try {
      const series = await get();
      if (request !== this.requests) return null;
      showState("");
      return series;
    } catch (error) {
      if (request !== this.requests) return null;
      if (error instanceof api.Unreachable) showState("The service does not answer; try again later.", true);
      else showState(`No series: ${/** @type {Error} */ (error).message}`, true);
      return null;
    }
  }

  /** @param {Shown} shown */
  #draw(shown) {
    const before = this.shown;
    if (element("keep").checked && before && before.title !== shown.title) {
      this.kept.push({ label: before.title, dates: before.drawing.dates, values: before.drawing.all });
      this.kept = this.kept.filter(({ label }) => label !== shown.title).slice(-MOST_OTHERS);
    }
    this.shown = shown;
    for (const id of ["series", "series-tools"]) element(id).hidden = false;
    element("place-hint").hidden = true;
    element("place-title").textContent = shown.title;
    this.#redraw();
    element("series-summary").textContent = shown.summary;
    element("series-notes").replaceChildren(...shown.notes.map((note) => textElement("li", note)));
    element("series-notes").hidden = !shown.notes.length;
  }

  #redraw() {
    if (this.shown) this.chart.show({ ...this.shown.drawing, others: this.kept });
  }

  #forget() {
    this.kept = [];
    this.#redraw();
  }

  /**
   * @param {Event} event
   * @param {string} format
   */
  async #saveFile(event, format) {
    const file = this.file(format);
    if (typeof file === "string") return; // the link itself leads to the file
    event.preventDefault();
    const content = await this.#load("Computing the mean over the area …", () => file);
    if (content) save(content, `${this.#fileName()}.${format}`);
  }

  #fileName = () => `soil moisture ${this.shown?.title ?? ""}`.replace(/[^\w.-]+/g, "_");
}

/**
 * @param {string} text
 * @param {boolean} bad Whether it is a fault.
 */
function showState(text, bad = false) {
  element("place-status").className = bad ? "bad" : "";
  element("place-status").textContent = text;
}
