// One year of the archive as a calendar: a button per day, its state and the reason on hover and on focus.

import * as days from "./days.js";
import { CALENDAR_LEGEND, CalendarState } from "./schema.js";
import { textElement } from "./page_parts.js";

/** @import { Calendar, SensorPeriod } from "./schema.js" */

const LEGEND = new Map(CALENDAR_LEGEND.map((entry) => [entry.state, entry]));
/** @type {Record<string, string>} Shown instead of the day's number. */
const SIGNS = { [CalendarState.REFUSED]: "×" };
/** States of days that are listed below the calendar; those of the same range and reason are one line. */
const LISTED = new Set([CalendarState.NO_OBSERVATION, CalendarState.REFUSED, CalendarState.KEPT, CalendarState.MISSING]);
const KEY_STEPS = new Map([["ArrowLeft", -1], ["ArrowRight", 1], ["ArrowUp", -7], ["ArrowDown", 7]]);

export class YearCalendar {
  /**
   * @param {Record<string, any>} elements The elements that the calendar fills.
   * @param {(date: string) => void} onPick Called with the day that was clicked.
   */
  constructor({ grid, year, reason, legend, summary, ranges, before, after }, onPick) {
    this.grid = grid;
    this.year = year;
    this.reason = reason;
    this.summary = summary;
    this.ranges = ranges;
    this.before = before;
    this.after = after;
    this.first = "";
    this.states = "";
    /** @type {Record<string, string>} */
    this.reasons = {};
    /** @type {SensorPeriod[]} */
    this.sensors = [];
    /** @type {string | null} */
    this.marked = null;
    legend.replaceChildren(...CALENDAR_LEGEND.map(legendItem));
    year.addEventListener("change", () => this.#draw());
    before.addEventListener("click", () => this.#turn(-1));
    after.addEventListener("click", () => this.#turn(1));
    /** @type {(event: any) => string | undefined} */
    const dateOf = (event) => event.target.dataset.date;
    grid.addEventListener("click", (/** @type {any} */ event) => dateOf(event) && onPick(event.target.dataset.date));
    for (const kind of ["focusin", "mouseover"])
      grid.addEventListener(kind, (/** @type {any} */ event) => dateOf(event) && this.#showReason(event.target.dataset.date));
    grid.addEventListener("keydown", (/** @type {any} */ event) => this.#moveFocus(event));
  }

  /**
   * Show other states; the chosen year stays.
   *
   * @param {Calendar} calendar
   */
  load({ first, states, reasons, sensors }) {
    if (!first) return;
    [this.first, this.states, this.reasons, this.sensors] = [first, states, reasons, sensors];
    const chosen = this.year.value;
    const years = [];
    for (let y = Number(first.slice(0, 4)); y <= Number(this.last.slice(0, 4)); y++) years.push(String(y));
    this.year.replaceChildren(...years.map((y) => new Option(y, y)));
    this.year.value = chosen || years.at(-1);
    this.#draw();
  }

  get last() {
    return days.shifted(this.first, this.states.length - 1);
  }

  /**
   * Return the state of a day; undefined outside the calendar.
   *
   * @param {string} date
   */
  state(date) {
    return this.first ? LEGEND.get(this.states[days.number(date) - days.number(this.first)]) : undefined;
  }

  /**
   * Whether a day has a map.
   *
   * @param {string} date
   */
  hasMap(date) {
    return Boolean(this.state(date)?.has_map);
  }

  /** Return the newest day that has a map and observations of its own; null if there is none. */
  newestObserved() {
    for (let number = this.states.length - 1; number >= 0; number--) {
      const state = LEGEND.get(this.states[number]);
      if (state?.has_map && state.state !== CalendarState.NO_OBSERVATION) return days.shifted(this.first, number);
    }
    return null;
  }

  /**
   * Return the state of a day and its reason, in words.
   *
   * @param {string} date
   */
  stateText(date) {
    const state = this.state(date);
    if (!state) return "outside the calendar";
    return this.reasons[date] ? `${state.meaning}: ${this.reasons[date]}` : state.meaning;
  }

  /**
   * Draw the states of some days side by side, each in its colour.
   *
   * @param {HTMLCanvasElement} canvas
   * @param {string} first
   * @param {string} last
   */
  drawTimeline(canvas, first, last) {
    const context = canvas.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    const count = days.number(last) - days.number(first) + 1;
    canvas.width = Math.max(count, 1000);
    const width = canvas.width / count;
    for (let number = 0; context && number < count; number++) {
      const name = this.state(days.shifted(first, number))?.name ?? "missing";
      context.fillStyle = style.getPropertyValue(`--${name}`);
      context.fillRect(number * width, 0, width + 0.5, canvas.height);
    }
  }

  /**
   * Return which sensors a published day has, in words; empty in an archive of one sensor.
   *
   * @param {string} date
   */
  sensorsText(date) {
    const period = this.sensors.find(({ first, last }) => first <= date && date <= last);
    if (!period) return "";
    return period.sensors.length ? `seen by ${period.sensors.join(", ")}` : "seen by no sensor";
  }

  /**
   * Return the first and the last of the days around a day that have its state and its reason.
   *
   * @param {string} date
   * @returns {[string, string]}
   */
  rangeOf(date) {
    const text = this.stateText(date);
    /** @type {(step: number) => string} */
    const end = (step) => {
      let day = date;
      while (this.state(days.shifted(day, step)) && this.stateText(days.shifted(day, step)) === text) day = days.shifted(day, step);
      return day;
    };
    return [end(-1), end(1)];
  }

  /**
   * Return the days around a day that are listed together with it, in words.
   *
   * @param {string} date
   */
  #rangeWords(date) {
    const state = this.state(date);
    return state && LISTED.has(state.state) ? days.rangeWords(...this.rangeOf(date)) : days.words(date);
  }

  /**
   * Show the year of a day and mark the day.
   *
   * @param {string} date
   */
  mark(date) {
    this.marked = date;
    this.#showYearOf(date);
    this.grid.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const button = this.#button(date);
    button?.setAttribute("aria-current", "date");
    if (button) this.#makeFocusable(button);
  }

  /** @param {string} date */
  #showYearOf(date) {
    const year = String(Number(date.slice(0, 4)));
    if (this.year.value === year) return;
    this.year.value = year;
    this.#draw();
  }

  /** @param {string | null} date */
  #button(date) {
    return this.grid.querySelector(`[data-date="${date}"]`);
  }

  /** @param {HTMLElement} button */
  #makeFocusable(button) {
    this.grid.querySelectorAll('[tabindex="0"]').forEach((/** @type {HTMLElement} */ other) => (other.tabIndex = -1));
    button.tabIndex = 0;
  }

  /** @param {string} date */
  #showReason(date) {
    this.reason.textContent = `${this.#rangeWords(date)}: ${this.stateText(date)}`;
  }

  /** @param {number} step */
  #turn(step) {
    this.year.selectedIndex += step;
    this.#draw();
  }

  /** @param {any} event */
  #moveFocus(event) {
    const step = KEY_STEPS.get(event.key);
    const from = event.target.dataset.date;
    if (!step || !from) return;
    event.preventDefault();
    event.stopPropagation();
    const to = days.shifted(from, step);
    if (!this.state(to)) return;
    this.#showYearOf(to);
    const button = this.#button(to);
    this.#makeFocusable(button);
    button.focus();
  }

  #draw() {
    const year = Number(this.year.value);
    /** @type {Record<string, number>} Days of the year by state. */
    const counts = {};
    const months = [];
    for (let month = 0; month < 12; month++) {
      const buttons = this.#monthButtons(year, month, counts);
      if (buttons.length) months.push(monthBox(year, month, buttons));
    }
    this.grid.replaceChildren(...months);
    this.#listRanges(year);
    const first = this.#button(this.marked) || this.grid.querySelector("button");
    if (first) first.tabIndex = 0;
    this.#button(this.marked)?.setAttribute("aria-current", "date");
    const parts = CALENDAR_LEGEND.filter(({ state }) => counts[state]).map(({ state, meaning }) => `${counts[state]} ${meaning}`);
    this.summary.textContent = `${year}: ${parts.join(", ")}. The calendar: ${this.first} to ${this.last}.`;
    this.before.disabled = this.year.selectedIndex <= 0;
    this.after.disabled = this.year.selectedIndex >= this.year.length - 1;
  }

  /**
   * List the days of a year that have no map or no observation, one line for each range.
   *
   * @param {number} year
   */
  #listRanges(year) {
    const items = [];
    const end = this.last < `${year}-12-31` ? this.last : `${year}-12-31`;
    let date = this.first > `${year}-01-01` ? this.first : `${year}-01-01`;
    while (date <= end) {
      const state = this.state(date);
      if (!state || !LISTED.has(state.state)) {
        date = days.shifted(date, 1);
        continue;
      }
      items.push(textElement("li", `${this.#rangeWords(date)}: ${this.stateText(date)}`));
      date = days.shifted(this.rangeOf(date)[1], 1);
    }
    this.ranges.replaceChildren(...items);
    this.ranges.hidden = !items.length;
  }

  /**
   * Return the buttons of a month's days, and count their states.
   *
   * @param {number} year
   * @param {number} month From 0.
   * @param {Record<string, number>} counts
   */
  #monthButtons(year, month, counts) {
    const buttons = [];
    const length = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
    for (let day = 1; day <= length; day++) {
      const moment = new Date(Date.UTC(year, month, day));
      const date = moment.toISOString().slice(0, 10);
      const state = this.state(date);
      if (!state) continue;
      counts[state.state] = (counts[state.state] || 0) + 1;
      const button = textElement("button", SIGNS[state.state] || String(day));
      [button.type, button.className, button.tabIndex] = ["button", state.name, -1];
      button.dataset.date = date;
      button.title = this.stateText(date);
      button.setAttribute("aria-label", `${days.words(date)}, ${this.stateText(date)}`);
      button.style.gridColumn = String(((moment.getUTCDay() + 6) % 7) + 1); // Monday first
      buttons.push(button);
    }
    return buttons;
  }
}

/** @param {{ state: string, name: string, meaning: string }} entry */
function legendItem({ state, name, meaning }) {
  const item = document.createElement("li");
  const sign = textElement("span", SIGNS[state] || "");
  sign.className = name;
  item.append(sign, meaning);
  return item;
}

/**
 * @param {number} year
 * @param {number} month From 0.
 * @param {HTMLElement[]} buttons
 */
function monthBox(year, month, buttons) {
  const [box, grid] = [document.createElement("div"), document.createElement("div")];
  const name = new Date(Date.UTC(year, month)).toLocaleDateString("en-GB", { month: "long", timeZone: "UTC" });
  [box.className, grid.className] = ["month", "days"];
  grid.append(...buttons);
  box.append(textElement("h3", name), grid);
  return box;
}
