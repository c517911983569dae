// A year of the archive, a button a day: what it is, and why, on hover and on focus.

import * as days from "./days.js";

const MEANING = { c: "current", p: "provisional", r: "refused", k: "refused, earlier version kept", m: "missing" };
const SIGN = { c: "", p: "", r: "×", k: "", m: "" };

export class Calendar {
  constructor({ grid, year, reason, key, summary, before, after }, onPick) {
    Object.assign(this, { grid, year, reason, summary, onPick });
    this.first = null;
    this.states = "";
    this.reasons = {};
    key.replaceChildren(
      ...Object.entries(MEANING).map(([letter, meaning]) => {
        const item = document.createElement("li");
        const sign = document.createElement("span");
        [sign.className, sign.textContent] = [letter, SIGN[letter]];
        item.append(sign, meaning);
        return item;
      }),
    );
    year.addEventListener("change", () => this.#draw());
    before.addEventListener("click", () => this.#turn(-1));
    after.addEventListener("click", () => this.#turn(1));
    this.turners = [before, after];
    grid.addEventListener("click", (event) => event.target.dataset.date && onPick(event.target.dataset.date));
    for (const kind of ["focusin", "mouseover"])
      grid.addEventListener(kind, (event) => event.target.dataset.date && this.#tell(event.target.dataset.date));
    grid.addEventListener("keydown", (event) => this.#move(event));
  }

  load({ first, states, reasons }) {
    Object.assign(this, { first, states, reasons });
    if (!first) return;
    const chosen = this.year.value;
    const years = [];
    for (let y = Number(first.slice(0, 4)); y <= Number(this.last.slice(0, 4)); y++) years.push(y);
    this.year.replaceChildren(...years.map((y) => new Option(y, y)));
    this.year.value = chosen || years.at(-1);
    this.#draw();
  }

  get last() {
    return days.shifted(this.first, this.states.length - 1);
  }

  state(date) {
    return this.first ? this.states[days.number(date) - days.number(this.first)] : undefined;
  }

  // Whether a day has a map.
  has(date) {
    return "cpk".includes(this.state(date) || " ");
  }

  why(date) {
    const state = MEANING[this.state(date)];
    return state ? `${state}${this.reasons[date] ? `: ${this.reasons[date]}` : ""}` : "outside the record";
  }

  // Show the year of a day and mark it.
  mark(date) {
    this.marked = date;
    if (this.year.value !== String(Number(date.slice(0, 4)))) {
      this.year.value = Number(date.slice(0, 4));
      this.#draw();
    }
    this.grid.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const button = this.#button(date);
    button?.setAttribute("aria-current", "date");
    if (button) this.#focusable(button);
  }

  #button(date) {
    return this.grid.querySelector(`[data-date="${date}"]`);
  }

  #focusable(button) {
    this.grid.querySelectorAll('[tabindex="0"]').forEach((other) => (other.tabIndex = -1));
    button.tabIndex = 0;
  }

  #tell(date) {
    this.reason.textContent = `${days.words(date)}: ${this.why(date)}`;
  }

  #turn(step) {
    this.year.selectedIndex += step;
    this.#draw();
  }

  #move(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 }[event.key];
    const from = event.target.dataset.date;
    if (!step || !from) return;
    event.preventDefault();
    event.stopPropagation();
    const to = days.shifted(from, step);
    if (!this.state(to)) return;
    if (to.slice(0, 4) !== from.slice(0, 4)) {
      this.year.value = Number(to.slice(0, 4));
      this.#draw();
    }
    const button = this.#button(to);
    this.#focusable(button);
    button.focus();
  }

  #draw() {
    const year = Number(this.year.value);
    const counts = {};
    const months = [];
    for (let month = 0; month < 12; month++) {
      const length = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
      const cells = [];
      for (let day = 1; day <= length; day++) {
        const date = new Date(Date.UTC(year, month, day)).toISOString().slice(0, 10);
        const state = this.state(date);
        if (!state) continue;
        counts[state] = (counts[state] || 0) + 1;
        const button = document.createElement("button");
        button.type = "button";
        [button.className, button.textContent, button.tabIndex] = [state, SIGN[state] || day, -1];
        button.dataset.date = date;
        button.title = this.why(date);
        button.setAttribute("aria-label", `${days.words(date)}, ${this.why(date)}`);
        button.style.gridColumn = ((new Date(Date.UTC(year, month, day)).getUTCDay() + 6) % 7) + 1;
        cells.push(button);
      }
      if (!cells.length) continue;
      const box = document.createElement("div");
      const title = document.createElement("h3");
      const grid = document.createElement("div");
      title.textContent = new Date(Date.UTC(year, month)).toLocaleDateString("en-GB", { month: "long", timeZone: "UTC" });
      [box.className, grid.className] = ["month", "days"];
      grid.append(...cells);
      box.append(title, grid);
      months.push(box);
    }
    this.grid.replaceChildren(...months);
    const first = this.#button(this.marked) || this.grid.querySelector("button");
    if (first) first.tabIndex = 0;
    if (this.marked) this.#button(this.marked)?.setAttribute("aria-current", "date");
    const said = Object.entries(MEANING).filter(([s]) => counts[s]).map(([s, meaning]) => `${counts[s]} ${meaning}`);
    this.summary.textContent = `${year}: ${said.join(", ")}. The record: ${this.first} to ${this.last}.`;
    const [before, after] = this.turners;
    before.disabled = this.year.selectedIndex <= 0;
    after.disabled = this.year.selectedIndex >= this.year.length - 1;
  }
}
