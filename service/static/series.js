// The chart of a time series: soil moisture with its uncertainty, other places as lines, and rain below.

/* global uPlot */

import * as days from "./days.js";

/** @typedef {(number | null)[]} Values */
/** @typedef {{ label: string, colour: string, values: Values, sigma?: Values, hollow?: boolean }} Points */
/** @typedef {{ label: string, dates: string[], values: Values }} Line */
/**
 * @typedef {object} Drawing
 * @property {string[]} dates
 * @property {Values} all Soil moisture of each day, joined by a thin line.
 * @property {Points[]} points
 * @property {Line[]} others Series of other places.
 * @property {{ low: Values, high: Values }} [usual] Between which values other years are.
 * @property {Values} [rain]
 */

const DAY_S = 86400;
const OTHER_COLOURS = ["#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/** How many other places a chart can show. */
export const MOST_OTHERS = OTHER_COLOURS.length;

/**
 * Return a value as text.
 *
 * @param {number | null} value
 * @param {number} digits
 */
export const round = (value, digits = 3) => (value === null ? "–" : value.toFixed(digits));

/**
 * Draw a line from one sigma below each value to one sigma above it.
 *
 * @param {any} plot
 * @param {number[]} x
 * @param {Values} values
 * @param {Values} sigma
 * @param {string} colour
 */
function drawUncertainty(plot, x, values, sigma, colour) {
  const { ctx } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
  ctx.clip();
  ctx.beginPath();
  for (let i = 0; i < x.length; i++) {
    const [value, spread] = [values[i], sigma[i]];
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
  width: 300,
  cursor: { sync: { key: "place" } },
  tzDate: (/** @type {number} */ seconds) => uPlot.tzDate(new Date(seconds * 1e3), "UTC"),
};
const inLegend = (digits = 3) => (/** @type {any} */ _, /** @type {number | null} */ value) => round(value, digits);

/**
 * Return the options of a series of points without a line.
 *
 * @param {Points} drawn
 */
const pointSeries = ({ label, colour, hollow }) => ({
  label, stroke: colour, width: 0, paths: () => null, value: inLegend(),
  points: { show: true, size: 5, width: 1.5, stroke: colour, fill: hollow ? pageColour("--card")() : colour },
});

export class SeriesChart {
  /**
   * @param {HTMLElement} chart Where soil moisture is drawn.
   * @param {HTMLElement} rain Where rain is drawn.
   * @param {string} rainColour
   * @param {(date: string) => void} onPick Called with the day that was clicked.
   */
  constructor(chart, rain, rainColour, onPick) {
    this.boxes = [chart, rain];
    this.rainColour = rainColour;
    this.onPick = onPick;
    /** @type {any[]} */
    this.plots = [];
    /** @type {number[]} */
    this.x = [];
    this.day = NaN;
    new ResizeObserver(() => this.#resize()).observe(chart);
  }

  /**
   * Draw a series.
   *
   * @param {Drawing} drawing
   */
  show(drawing) {
    this.plots.forEach((plot) => plot.destroy());
    this.x = drawing.dates.map((date) => days.number(date) * DAY_S);
    this.plots = [this.#drawSoilMoisture(drawing)];
    if (drawing.rain?.some((value) => value !== null)) this.plots.push(this.#drawRain(drawing.rain));
    this.#resize();
  }

  /**
   * Mark a day with a line.
   *
   * @param {string} date
   */
  markDay(date) {
    this.day = days.number(date) * DAY_S;
    this.plots.forEach((plot) => plot.redraw(false));
  }

  /** @returns {Promise<Blob>} What is drawn, as a PNG. */
  async picture() {
    const parts = this.plots.map((plot) => plot.ctx.canvas);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [parts[0].width, parts.reduce((sum, part) => sum + part.height, 0)];
    const ctx = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    ctx.fillStyle = pageColour("--card")();
    ctx.fillRect(0, 0, canvas.width, canvas.height);
    let top = 0;
    for (const part of parts) {
      ctx.drawImage(part, 0, top);
      top += part.height;
    }
    return new Promise((resolve) => canvas.toBlob((blob) => resolve(/** @type {Blob} */ (blob))));
  }

  /** @param {Drawing} drawing */
  #drawSoilMoisture({ dates, all, points, others, usual }) {
    const ranges = usual ? [usual.low, usual.high] : [];
    const edge = { stroke: "transparent", points: { show: false }, value: inLegend() };
    const lines = others.map((line) => onDates(line, dates));
    const ends = [...lines.flat(), ...ranges.flat(), ...all, ...points.flatMap(({ values, sigma }) => spread(values, sigma))];
    const count = 2 + others.length + points.length; // the number of the first range among the series
    const known = ends.filter((value) => value !== null);
    const [least, most] = known.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [0.5, 0]);
    const range = [Math.max(0, least - 0.01), most + 0.01];
    const plot = new uPlot(
      {
        ...COMMON, height: 260,
        scales: { x: { time: true }, y: { range } },
        axes: [{ ...AXIS, values: TIME_LABELS }, { ...AXIS, label: "soil moisture, m³ m⁻³", size: 56 }],
        hooks: {
          ...this.#hooks(),
          drawSeries: [
            (/** @type {any} */ drawn, /** @type {number} */ n) =>
              n === 1 && points.forEach(({ values, sigma, colour }) => sigma && drawUncertainty(drawn, this.x, values, sigma, `${colour}88`)),
          ],
        },
        series: [
          DATE_SERIES,
          { label: "line", stroke: pageColour("--trace"), width: 1, points: { show: false } },
          ...others.map(({ label }, n) => ({ label, stroke: OTHER_COLOURS[n], width: 1.5, points: { show: false }, value: inLegend() })),
          ...points.map(pointSeries),
          ...ranges.map((_, n) => ({ ...edge, label: ["usual from", "to"][n] })),
        ],
        bands: usual ? [{ series: [count + 1, count], fill: pageColour("--band")() }] : [],
      },
      [this.x, all, ...lines, ...points.map(({ values }) => values), ...ranges],
      this.boxes[0],
    );
    plot.root.querySelectorAll(".u-series")[1].hidden = true; // the legend does not need the line
    return plot;
  }

  /** @param {Values} rain */
  #drawRain(rain) {
    const bars = { paths: uPlot.paths.bars({ size: [0.9, 40] }), points: { show: false } };
    return new uPlot(
      {
        ...COMMON, height: 130,
        scales: { x: { time: true } },
        axes: [{ ...AXIS, values: TIME_LABELS }, { ...AXIS, label: "rain, mm/day", size: 56 }],
        hooks: this.#hooks(),
        series: [DATE_SERIES, { label: "rain", stroke: this.rainColour, fill: this.rainColour, ...bars, value: inLegend(1) }],
      },
      [this.x, rain],
      this.boxes[1],
    );
  }

  /** Return what marks the day of the map in a plot, and shows the day that is clicked. */
  #hooks() {
    return {
      draw: [(/** @type {any} */ plot) => this.#drawDay(plot)],
      ready: [
        (/** @type {any} */ plot) =>
          plot.over.addEventListener("click", () => {
            const { idx } = plot.cursor;
            if (typeof idx === "number" && !plot.select.width) this.onPick(days.date(this.x[idx] / DAY_S));
          }),
      ],
    };
  }

  /** @param {any} plot */
  #drawDay({ ctx, bbox, scales, valToPos }) {
    if (!(this.day >= scales.x.min && this.day <= scales.x.max)) return;
    const at = valToPos(this.day, "x", true);
    ctx.save();
    [ctx.strokeStyle, ctx.lineWidth] = [pageColour("--ink")(), devicePixelRatio];
    ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(at, bbox.top);
    ctx.lineTo(at, bbox.top + bbox.height);
    ctx.stroke();
    ctx.restore();
  }

  #resize() {
    this.plots.forEach((plot) => plot.setSize({ width: this.boxes[0].clientWidth, height: plot.height }));
  }
}

/**
 * Return the lower and upper ends of values with an uncertainty.
 *
 * @param {Values} values
 * @param {Values} [sigma]
 */
const spread = (values, sigma) =>
  values.flatMap((value, i) => (value === null ? [] : [value - (sigma?.[i] ?? 0), value + (sigma?.[i] ?? 0)]));

/**
 * Return the values that a line has on other dates than its own; null where it has none.
 *
 * @param {Line} line
 * @param {string[]} dates
 * @returns {Values}
 */
function onDates(line, dates) {
  const known = new Map(line.dates.map((date, i) => [date, line.values[i]]));
  return dates.map((date) => known.get(date) ?? null);
}
