// What the service answers about a place or an area, as a drawing and in words.

import * as days from "./days.js";
import { LayerName } from "./schema.js";
import { round } from "./series.js";

/** @import { AreaSeries, PlaceSeries, SeriesColours } from "./schema.js" */
/** @import { Drawing, Values } from "./series.js" */

/**
 * Return a place in words.
 *
 * @param {number} lat
 * @param {number} lon
 */
export const placeName = (lat, lon) => `${Math.abs(lat)}° ${lat < 0 ? "S" : "N"}, ${Math.abs(lon)}° ${lon < 0 ? "W" : "E"}`;

/**
 * Return the filled values of a place: null on a day with an observation.
 *
 * @param {PlaceSeries} series
 * @returns {Values}
 */
const filledOf = ({ values }) =>
  values[LayerName.SOIL_MOISTURE].map((value, i) => (values[LayerName.SOIL_MOISTURE_OBSERVED][i] === null ? value : null));

/**
 * Return the drawing of a place: observed values solid, filled ones hollow with their uncertainty.
 *
 * @param {PlaceSeries} series
 * @param {SeriesColours} colours
 * @returns {Drawing}
 */
export function placeDrawing(series, colours) {
  const { dates, values } = series;
  const sigma = values[LayerName.SOIL_MOISTURE_UNCERTAINTY];
  const points = [
    { label: "filled", colour: colours.filled, values: filledOf(series), sigma, hollow: true },
    { label: "observed", colour: colours.observed, values: values[LayerName.SOIL_MOISTURE_OBSERVED] },
  ];
  const usual = series.usual_low.length ? { low: series.usual_low, high: series.usual_high } : undefined;
  return { dates, all: values[LayerName.SOIL_MOISTURE], points, others: [], usual, rain: values[LayerName.PRECIPITATION] };
}

/**
 * Return the drawing of an area: its mean with the uncertainty of the mean.
 *
 * @param {AreaSeries} series
 * @param {SeriesColours} colours
 * @returns {Drawing}
 */
export function areaDrawing({ dates, values }, colours) {
  const [all, sigma] = [values[LayerName.SOIL_MOISTURE], values[LayerName.SOIL_MOISTURE_UNCERTAINTY]];
  const points = [{ label: "mean", colour: colours.observed, values: all, sigma }];
  return { dates, all, points, others: [], rain: values[LayerName.PRECIPITATION] };
}

/** @param {Values} values */
const present = (values) => values.filter((value) => value !== null);

/** @param {Values} values */
function meanOf(values) {
  const known = present(values);
  return known.length ? known.reduce((a, b) => a + b) / known.length : null;
}

/**
 * Return the series of a place in words.
 *
 * @param {PlaceSeries} series
 */
export function placeSummary(series) {
  const [observed, filled] = [series.values[LayerName.SOIL_MOISTURE_OBSERVED], filledOf(series)];
  const [seen, added] = [present(observed).length, present(filled).length];
  const none = series.dates.length - seen - added;
  const band = " The band has the same weeks of all years, without the driest and the wettest tenth.";
  return (
    `${span(series.dates)}: ${seen} observed (solid; mean ${round(meanOf(observed))} m³ m⁻³), ` +
    `${added} filled (hollow, with uncertainty; mean ${round(meanOf(filled))})${none ? `, ${none} without a value.` : "."}` +
    (series.usual_low.length ? band : "")
  );
}

/**
 * Return the series of an area in words.
 *
 * @param {AreaSeries} series
 */
export function areaSummary({ dates, values }) {
  const [observed, filled] = ["observed_share", "filled_share"].map((name) => (100 * (meanOf(values[name]) ?? 0)).toFixed(0));
  return (
    `${span(dates)}: mean ${round(meanOf(values[LayerName.SOIL_MOISTURE]))} m³ m⁻³. On average ${observed} % of the land was ` +
    `observed and ${filled} % filled. The bars are the uncertainty of the mean, with errors that are correlated in space.`
  );
}

/** @param {string[]} dates */
const span = (dates) => `${dates.length} days from ${dates[0]} to ${dates.at(-1)}`;

/**
 * Return in words which days a series does not have, and which were read another way than usual.
 *
 * @param {{ left_out: Record<string, string>, not_from_cube: string[] }} series
 */
export function notes({ left_out, not_from_cube }) {
  const found = [];
  const others = Object.keys(left_out).sort();
  if (others.length) found.push(`${daysInWords(others)} left out, on another grid than the archive: ${left_out[others[0]]}`);
  if (not_from_cube.length) {
    found.push(
      `${daysInWords(not_from_cube)} read from the daily files, because the cube (the archive's copy for time series) ` +
      "cannot be read there. The values are the same; the next run repairs the cube.",
    );
  }
  return found;
}

/**
 * @param {string[]} dates In order of time.
 */
const daysInWords = (dates) =>
  dates.length === 1 ? `1 day (${days.words(dates[0])})` : `${dates.length} days from ${days.words(dates[0])} to ${days.words(dates[dates.length - 1])}`;
