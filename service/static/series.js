// The time series of a place: observed values solid, filled values hollow with their uncertainty, rain below.

/* global uPlot */

import * as days from "./days.js";
import { LayerName } from "./schema.js";

/** @import { PlaceSeries, SeriesColours } from "./schema.js" */
/** @typedef {(number | null)[]} Values */

const DAY_S = 86400;

/**
 * @param {number | null} value
 * @param {number} digits
 */
const round = (value, digits = 3) => (value === null ? "–" : value.toFixed(digits));

/**
 * Draw a line from one sigma below each filled value to one sigma above it.
 *
 * @param {any} plot
 * @param {number[]} x
 * @param {Values} filled
 * @param {Values} sigma
 * @param {string} colour
 */
function drawUncertainty(plot, x, filled, sigma, colour) {
  const { ctx } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
  ctx.clip();
  ctx.beginPath();
  for (let i = 0; i < x.length; i++) {
    const [value, spread] = [filled[i], sigma[i]];
    if (value === null || spread === null || x[i] < plot.scales.x.min || x[i] > plot.scales.x.max) continue;
    const at = plot.valToPos(x[i], "x", true);
    ctx.moveTo(at, plot.valToPos(value - spread, "y", true));
    ctx.lineTo(at, plot.valToPos(value + spread, "y", true));
  }
  [ctx.strokeStyle, ctx.lineWidth] = [colour, 1.5 * devicePixelRatio];
  ctx.stroke();
  ctx.restore();
}

const FONT = "12px system-ui";
const TIME_LABELS = [
  [365 * DAY_S, "{YYYY}", null, null, null, null, null, null, 1],
  [28 * DAY_S, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [DAY_S, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
];

/**
 * Return what gives a colour of the page, which is another one in dark mode.
 *
 * @param {string} name
 */
const pageColour = (name) => () => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const AXIS = { font: FONT, labelFont: FONT, stroke: pageColour("--ink"), grid: { stroke: pageColour("--grid") } };
const DATE_SERIES = { label: "Day", value: "{YYYY}-{MM}-{DD}" };
const COMMON = {
  cursor: { sync: { key: "place" } },
  scales: { x: { time: true } },
  tzDate: (/** @type {number} */ seconds) => uPlot.tzDate(new Date(seconds * 1e3), "UTC"),
};

/**
 * Return the options of a series of points without a line.
 *
 * @param {string} label
 * @param {string} stroke
 * @param {string} fill
 */
const points = (label, stroke, fill) => ({
  label, stroke, width: 0, paths: () => null,
  points: { show: true, size: 5, width: 1.5, stroke, fill },
  value: (/** @type {any} */ _, /** @type {number | null} */ value) => round(value),
});

export class PlaceChart {
  /**
   * @param {HTMLElement} chart Where soil moisture is drawn.
   * @param {HTMLElement} rain Where rain is drawn.
   * @param {SeriesColours} colours
   */
  constructor(chart, rain, colours) {
    this.boxes = [chart, rain];
    this.colours = colours;
    /** @type {any[]} */
    this.plots = [];
    new ResizeObserver(() => this.#resize()).observe(chart);
  }

  /**
   * Draw a series.
   *
   * @param {PlaceSeries} series
   * @returns {string} The series in words.
   */
  show(series) {
    this.plots.forEach((plot) => plot.destroy());
    const x = series.dates.map((date) => days.number(date) * DAY_S);
    const observed = series.values[LayerName.SOIL_MOISTURE_OBSERVED];
    const filled = series.values[LayerName.SOIL_MOISTURE].map((value, i) => (observed[i] === null ? value : null));
    const rain = series.values[LayerName.PRECIPITATION];
    this.plots = [this.#drawSoilMoisture(series, x, observed, filled)];
    if (rain?.some((value) => value !== null)) this.plots.push(this.#drawRain(x, rain));
    this.#resize();
    return summary(series, observed, filled);
  }

  /**
   * @param {PlaceSeries} series
   * @param {number[]} x
   * @param {Values} observed
   * @param {Values} filled
   */
  #drawSoilMoisture({ values }, x, observed, filled) {
    const all = values[LayerName.SOIL_MOISTURE];
    const sigma = values[LayerName.SOIL_MOISTURE_UNCERTAINTY];
    const { observed: blue, filled: orange } = this.colours;
    const ends = all.flatMap((value, i) => (value === null ? [] : [value - (sigma?.[i] ?? 0), value + (sigma?.[i] ?? 0)]));
    const [low, high] = [Math.min(...ends, 0.5), Math.max(...ends, 0)];
    const plot = new uPlot(
      {
        ...COMMON, width: 300, height: 260,
        scales: { x: { time: true }, y: { range: [Math.max(0, low - 0.01), high + 0.01] } },
        axes: [{ ...AXIS, values: TIME_LABELS }, { ...AXIS, label: "soil moisture, m³ m⁻³", size: 56 }],
        hooks: {
          drawSeries: [
            (/** @type {any} */ drawn, /** @type {number} */ n) =>
              n === 1 && sigma && drawUncertainty(drawn, x, filled, sigma, `${orange}88`),
          ],
        },
        series: [
          DATE_SERIES,
          { label: "line", stroke: pageColour("--trace"), width: 1, points: { show: false } },
          points("filled", orange, pageColour("--card")()),
          points("observed", blue, blue),
        ],
      },
      [x, all, filled, observed],
      this.boxes[0],
    );
    plot.root.querySelectorAll(".u-series")[1].hidden = true; // the legend does not need the line
    return plot;
  }

  /**
   * @param {number[]} x
   * @param {Values} rain
   */
  #drawRain(x, rain) {
    const colour = this.colours.rain;
    return new uPlot(
      {
        ...COMMON, width: 300, height: 130,
        axes: [{ ...AXIS, values: TIME_LABELS }, { ...AXIS, label: "rain, mm/day", size: 56 }],
        series: [
          DATE_SERIES,
          { label: "rain", stroke: colour, fill: colour, paths: uPlot.paths.bars({ size: [0.9, 40] }), points: { show: false },
            value: (/** @type {any} */ _, /** @type {number | null} */ value) => round(value, 1) },
        ],
      },
      [x, rain],
      this.boxes[1],
    );
  }

  #resize() {
    this.plots.forEach((plot) => plot.setSize({ width: this.boxes[0].clientWidth, height: plot.height }));
  }
}

/**
 * Return a series in words.
 *
 * @param {PlaceSeries} series
 * @param {Values} observed
 * @param {Values} filled
 */
function summary({ dates }, observed, filled) {
  const present = (/** @type {Values} */ values) => values.flatMap((value) => (value === null ? [] : [value]));
  const [seen, added] = [present(observed), present(filled)];
  const mean = (/** @type {number[]} */ values) => round(values.length ? values.reduce((a, b) => a + b) / values.length : null);
  const none = dates.length - seen.length - added.length;
  return (
    `${dates.length} days from ${dates[0]} to ${dates.at(-1)}: ${seen.length} observed ` +
    `(solid; mean ${mean(seen)} m³ m⁻³), ${added.length} filled (hollow, with uncertainty; mean ${mean(added)})` +
    (none ? `, ${none} without a value.` : ".")
  );
}

/**
 * Return in words which days a series does not have, and which were read another way than usual.
 *
 * @param {PlaceSeries} series
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
