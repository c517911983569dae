// A place's days: observed solid, filled hollow with its uncertainty, rain beneath.

/* global uPlot */

import * as days from "./days.js";

const round = (value, digits = 3) => (value === null ? "–" : value.toFixed(digits));

// A line from a sigma below each filled value to a sigma above it.
function bars(plot, x, filled, sigma, colour) {
  const { ctx } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
  ctx.clip();
  ctx.beginPath();
  for (let i = 0; i < x.length; i++) {
    if (filled[i] === null || sigma[i] == null || x[i] < plot.scales.x.min || x[i] > plot.scales.x.max) continue;
    const at = plot.valToPos(x[i], "x", true);
    ctx.moveTo(at, plot.valToPos(filled[i] - sigma[i], "y", true));
    ctx.lineTo(at, plot.valToPos(filled[i] + sigma[i], "y", true));
  }
  [ctx.strokeStyle, ctx.lineWidth] = [colour, 1.5 * devicePixelRatio];
  ctx.stroke();
  ctx.restore();
}

export class PlaceChart {
  constructor(chart, rain, colours) {
    this.boxes = [chart, rain];
    this.colours = colours;
    this.plots = [];
    new ResizeObserver(() => this.#size()).observe(chart);
  }

  show(found) {
    this.plots.forEach((plot) => plot.destroy());
    const v = found.values;
    const x = found.dates.map((date) => days.number(date) * 86400);
    const seen = v.soil_moisture_observed;
    const all = v.soil_moisture;
    const sigma = v.soil_moisture_uncertainty;
    const filled = all.map((value, i) => (seen[i] === null ? value : null));
    const { observed: blue, filled: orange, rain: sky } = this.colours;
    const points = (label, stroke, fill) => ({
      label, stroke, width: 0, paths: () => null,
      points: { show: true, size: 5, width: 1.5, stroke, fill },
      value: (_, value) => round(value),
    });
    const time = [
      [365 * 86400, "{YYYY}", null, null, null, null, null, null, 1],
      [28 * 86400, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
      [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
    ];
    const axis = { font: "12px system-ui", labelFont: "12px system-ui", stroke: "#1b2430", grid: { stroke: "#e4e8ec" } };
    const reach = all.flatMap((value, i) => (value === null ? [] : [value - (sigma?.[i] ?? 0), value + (sigma?.[i] ?? 0)]));
    const [low, high] = [Math.min(...reach, 0.5), Math.max(...reach, 0)];
    const common = { cursor: { sync: { key: "place" } }, scales: { x: { time: true } }, tzDate: (s) => uPlot.tzDate(new Date(s * 1e3), "UTC") };
    const upper = new uPlot(
      {
        ...common, width: 300, height: 260,
        scales: { x: { time: true }, y: { range: [Math.max(0, low - 0.01), high + 0.01] } },
        axes: [{ ...axis, values: time }, { ...axis, label: "soil moisture, m³ m⁻³", size: 56 }],
        hooks: { drawSeries: [(plot, n) => n === 1 && sigma && bars(plot, x, filled, sigma, `${orange}88`)] },
        series: [
          { label: "Day", value: "{YYYY}-{MM}-{DD}" },
          { label: "line", stroke: "#b3bac2", width: 1, points: { show: false } },
          points("filled", orange, "#ffffff"),
          points("observed", blue, blue),
        ],
      },
      [x, all, filled, seen],
      this.boxes[0],
    );
    this.plots = [upper];
    const rain = v.precipitation;
    if (rain?.some((value) => value !== null))
      this.plots.push(
        new uPlot(
          {
            ...common, width: 300, height: 130,
            axes: [{ ...axis, values: time }, { ...axis, label: "rain, mm/day", size: 56 }],
            series: [
              { label: "Day", value: "{YYYY}-{MM}-{DD}" },
              { label: "rain", stroke: sky, fill: sky, paths: uPlot.paths.bars({ size: [0.9, 40] }), points: { show: false },
                value: (_, value) => round(value, 1) },
            ],
          },
          [x, rain],
          this.boxes[1],
        ),
      );
    upper.root.querySelectorAll(".u-series")[1].hidden = true; // the line is no entry of the legend
    this.#size();
    return this.#summary(found, filled);
  }

  #size() {
    this.plots.forEach((plot) => plot.setSize({ width: this.boxes[0].clientWidth, height: plot.height }));
  }

  #summary(found, filled) {
    const seen = found.values.soil_moisture_observed.filter((value) => value !== null);
    const made = filled.filter((value) => value !== null);
    const mean = (values) => round(values.length ? values.reduce((a, b) => a + b) / values.length : null);
    const none = found.dates.length - seen.length - made.length;
    return (
      `${found.dates.length} days from ${found.dates[0]} to ${found.dates.at(-1)}: ${seen.length} observed ` +
      `(solid; mean ${mean(seen)} m³ m⁻³), ${made.length} filled (hollow, with uncertainty; mean ${mean(made)})` +
      (none ? `, ${none} without a value.` : ".")
    );
  }
}
