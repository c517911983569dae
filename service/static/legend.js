// The legend below the map, the labels of the layers, and the value below the pointer.

import { OVER, UNDER } from "./colours.js";
import { element, textElement } from "./page_parts.js";
import { LayerName } from "./schema.js";

/** @import { LayerColours, Range } from "./colours.js" */

const TICKS = 7; // on the bar of a scale

/** The layer that the page makes itself: observed to the left of a line, filled to the right. */
export const SWIPE = "swipe";

/** @typedef {LayerName | typeof SWIPE} ShownLayer */

/** @type {[ShownLayer, string][]} The layers in their order on the page, with their labels. */
export const LAYER_LABELS = [
  [LayerName.SOIL_MOISTURE, "Filled"],
  [LayerName.SOIL_MOISTURE_OBSERVED, "Observed"],
  [SWIPE, "Swipe"],
  [LayerName.SOIL_MOISTURE_ANOMALY, "Drier or wetter than usual"],
  [LayerName.FLAG, "What was filled"],
  [LayerName.QUALITY_FLAG, "Quality"],
  [LayerName.DAYS_SINCE_OBSERVATION, "Days since observation"],
  [LayerName.SOIL_MOISTURE_UNCERTAINTY, "Uncertainty"],
  [LayerName.PRECIPITATION, "Rain"],
];

const GAP_MEANING = "land without a value";

/**
 * Return the layer of the archive that a shown layer takes its main values from.
 *
 * @param {ShownLayer} layer
 * @returns {LayerName}
 */
export const mainLayer = (layer) => (layer === SWIPE ? LayerName.SOIL_MOISTURE : layer);

/**
 * Show the colours of a layer, and how they can be changed.
 *
 * @param {LayerColours} colours
 * @param {LayerName} layer
 * @param {() => void} onChange Called after the range or the fading was changed.
 */
export function showLegend(colours, layer, onChange) {
  const gap = { meaning: GAP_MEANING, colour: colours.archive.gap.colour };
  const categories = layer === LayerName.QUALITY_FLAG ? [...(colours.categories(layer) ?? []), gap] : colours.categories(layer);
  element("legend").replaceChildren(...(categories ? [categoryList(categories)] : scaleBar(colours, layer)));
  const scale = colours.scale(layer);
  element("range").hidden = !scale;
  element("fade-option").hidden = !colours.canFade(layer);
  if (!scale) return;
  const [low, high] = [element("range-low"), element("range-high")];
  const [limits, range] = [{ min: scale.low, max: scale.high, step: scale.high > 1 ? 1 : 0.01 }, colours.range(layer) ?? scale];
  Object.assign(low, { ...limits, value: range.low });
  Object.assign(high, { ...limits, value: range.high });
  const change = (/** @type {Range | null} */ chosen) => {
    colours.setRange(layer, chosen);
    showLegend(colours, layer, onChange);
    onChange();
  };
  low.onchange = high.onchange = () => change({ low: low.valueAsNumber, high: high.valueAsNumber });
  element("range-reset").onclick = () => change(null);
  element("fade").onchange = () => {
    colours.fades = element("fade").checked;
    onChange();
  };
}

/** @param {{ meaning: string, colour: string }[]} categories */
function categoryList(categories) {
  const list = document.createElement("ul");
  list.append(...categories.map(({ meaning, colour }) => swatch(meaning, colour)));
  return list;
}

/**
 * @param {string} text
 * @param {string} colour
 */
function swatch(text, colour) {
  const item = textElement("li", text);
  item.style.setProperty("--swatch", colour);
  return item;
}

/**
 * @param {LayerColours} colours
 * @param {LayerName} layer
 */
function scaleBar(colours, layer) {
  const [scale, range] = [colours.scale(layer), colours.range(layer)];
  if (!scale || !range) return [];
  const [bar, ticks, rest] = [document.createElement("div"), document.createElement("div"), document.createElement("ul")];
  [bar.className, ticks.className] = ["bar", "ticks"];
  bar.style.background = `linear-gradient(to right, ${scale.colours.filter((_, n) => n % 10 === 0).join(", ")})`;
  for (let tick = 0; tick < TICKS; tick++) {
    const value = range.low + (tick / (TICKS - 1)) * (range.high - range.low);
    ticks.append(textElement("span", Number(value.toFixed(3)).toString()));
  }
  const [isLowest, isHighest] = [range.low <= scale.low, range.high >= scale.high];
  const ends = [isLowest && scale.low < 0 ? "the first colour also stands for less" : "", isHighest ? "the last colour also stands for more" : ""];
  const usual = layer === LayerName.SOIL_MOISTURE_ANOMALY ? usualText(colours.archive.days) : "";
  const said = [`${scale.title}, ${scale.unit}`, usual, ...ends].filter(Boolean).join("; ");
  rest.append(textElement("li", said), swatch(GAP_MEANING, colours.archive.gap.colour));
  rest.firstElementChild?.classList.add("plain");
  if (!isLowest) rest.append(swatch(`below ${range.low}`, UNDER));
  if (!isHighest) rest.append(swatch(`above ${range.high}`, OVER));
  return [bar, ticks, rest];
}

/**
 * Return what an anomaly is compared with; in a record of one year it says nothing about drought.
 *
 * @param {import("./schema.js").ArchiveInfo["days"]} days
 */
function usualText(days) {
  const years = days ? Math.floor((Date.parse(days.newest) - Date.parse(days.first)) / 365.2 / 86_400_000) : 0;
  return `usual is the mean of the same weeks in ${years === 1 ? "one year only, this one" : `${years} years`}`;
}

/**
 * Return the value of a cell in words; empty for a byte that is no step of the scale.
 *
 * @param {LayerColours} colours
 * @param {LayerName} layer
 * @param {number} value The cell's byte.
 */
export function valueText(colours, layer, value) {
  if (layer === LayerName.QUALITY_FLAG) return colours.categories(layer)?.find((known) => known.value === value)?.meaning ?? "";
  const [scale, { steps }] = [colours.scale(layer), colours.archive];
  if (!scale || value >= steps) return "";
  const { low, high, unit } = scale;
  const more = value === steps - 1 ? " or more" : value === 0 && low < 0 ? " or less" : "";
  const digits = high > 1 ? 0 : 2;
  const rounded = Number((low + (value / (steps - 1)) * (high - low)).toFixed(digits)) || 0; // no -0
  return `${rounded.toFixed(digits)} ${unit}${more}`;
}
