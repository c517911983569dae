// Dates as YYYY-MM-DD text, counted in UTC.

const DAY_MS = 86_400_000;

/**
 * Return the number of a day since 1970-01-01.
 *
 * @param {string} date
 */
export const number = (date) => Date.parse(`${date}T00:00:00Z`) / DAY_MS;

/**
 * Return the date of a day number.
 *
 * @param {number} day
 */
export const date = (day) => new Date(day * DAY_MS).toISOString().slice(0, 10);

/**
 * Return the date some days after another; before it if `days` is negative.
 *
 * @param {string} from
 * @param {number} days
 */
export const shifted = (from, days) => date(number(from) + days);

/**
 * Return a range of days in words: 14 April 2020, or 14 April 2020 to 16 April 2020 (3 days).
 *
 * @param {string} first
 * @param {string} last
 */
export const rangeWords = (first, last) =>
  first === last ? words(first) : `${words(first)} to ${words(last)} (${number(last) - number(first) + 1} days)`;

/**
 * Return a date in words: 14 April 2020.
 *
 * @param {string} day
 */
export const words = (day) =>
  new Date(`${day}T00:00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
