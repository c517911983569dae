// Playing: a month of days, one after the other.

import * as days from "./days.js";

export const MONTH = 30;

const FRAME_MS = 250; // shortest time that a day is shown
const PRELOADED = 3; // maps that are requested ahead

export class Player {
  /**
   * @param {HTMLElement} button The button that starts and stops playing.
   * @param {object} page
   * @param {() => string} page.shown Return the day that is shown.
   * @param {() => string} page.newest Return the newest day of the archive.
   * @param {(date: string) => Promise<void>} page.show Show a day.
   * @param {(date: string) => unknown} page.preload Request the map of a day that will be shown soon.
   */
  constructor(button, page) {
    this.button = button;
    this.page = page;
    this.isPlaying = false;
    this.timer = 0;
  }

  /**
   * Start at the day that is shown, or a month before the newest one if that is shown; or stop.
   *
   * @param {boolean} on
   */
  play(on) {
    if (this.isPlaying === on) return;
    clearTimeout(this.timer);
    this.isPlaying = on;
    this.button.setAttribute("aria-pressed", String(on));
    this.button.textContent = on ? "❚❚ Stop" : "▶ Play a month";
    if (!on) return;
    const [shown, newest] = [this.page.shown(), this.page.newest()];
    const start = shown === newest ? days.shifted(newest, -MONTH) : shown;
    const end = days.shifted(start, MONTH);
    this.timer = setTimeout(() => this.#playAfter(start, end < newest ? end : newest), 0);
  }

  /**
   * Show the day after another, then the following ones.
   *
   * @param {string} before
   * @param {string} end The last day to show.
   */
  async #playAfter(before, end) {
    const date = days.shifted(before, 1);
    if (!this.isPlaying || date > end) return this.play(false);
    const start = performance.now();
    await this.page.show(date);
    for (let n = 1; n <= PRELOADED; n++) this.page.preload(days.shifted(date, n));
    const wait = Math.max(0, FRAME_MS - (performance.now() - start));
    if (this.isPlaying) this.timer = setTimeout(() => this.#playAfter(this.page.shown(), end), wait);
  }
}
