// The legend below the map, the labels of the layers, and the value below the pointer.

import { element, textElement } from "./page_parts.js";
import { LayerName } from "./schema.js";

/** @import { ArchiveInfo, FlagColour } from "./schema.js" */

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

/**
 * Return the layer of the archive that a shown layer takes its main values from.
 *
 * @param {ShownLayer} layer
 * @returns {LayerName}
 */
export const mainLayer = (layer) => (layer === SWIPE ? LayerName.SOIL_MOISTURE : layer);

/**
 * Show the colours of a layer.
 *
 * @param {ArchiveInfo} archive
 * @param {LayerName} layer
 */
export function showLegend(archive, layer) {
  const categories = categoriesOf(archive, layer);
  const parts = categories ? [categoryList(categories)] : scaleBar(archive, layer);
  element("legend").replaceChildren(...parts);
}

/**
 * Return the categories of a layer; undefined for one with a scale.
 *
 * @param {ArchiveInfo} archive
 * @param {LayerName} layer
 */
const categoriesOf = (archive, layer) =>
  layer === LayerName.FLAG ? archive.flags : layer === LayerName.QUALITY_FLAG ? archive.qualities : undefined;

/** @param {FlagColour[]} categories */
function categoryList(categories) {
  const list = document.createElement("ul");
  list.append(
    ...categories.map(({ meaning, colour }) => {
      const item = textElement("li", meaning);
      item.style.setProperty("--swatch", colour);
      return item;
    }),
  );
  return list;
}

/**
 * @param {ArchiveInfo} archive
 * @param {LayerName} layer
 */
const scaleOf = (archive, layer) => archive.scales.find((scale) => scale.name === layer);

/**
 * @param {ArchiveInfo} archive
 * @param {LayerName} layer
 */
function scaleBar(archive, layer) {
  const scale = scaleOf(archive, layer);
  if (!scale) return [];
  const [bar, ends] = [document.createElement("div"), document.createElement("div")];
  [bar.className, ends.className] = ["bar", "ends"];
  bar.style.background = `linear-gradient(to right, ${scale.colours.filter((_, n) => n % 10 === 0).join(", ")})`;
  const low = scale.low < 0 ? `${scale.low} and less` : `${scale.low}`;
  const texts = [low, `${scale.title}, ${scale.unit}; grey: land without a value`, `${scale.high} and more`];
  ends.append(...texts.map((text) => textElement("span", text)));
  return [bar, ends];
}

/**
 * Return the value of a cell in words; empty for a byte that is no step of the scale.
 *
 * @param {ArchiveInfo} archive
 * @param {LayerName} layer
 * @param {number} value The cell's byte.
 */
export function valueText(archive, layer, value) {
  if (layer === LayerName.QUALITY_FLAG) return archive.qualities.find((known) => known.value === value)?.meaning ?? "";
  const scale = scaleOf(archive, layer);
  if (!scale || value >= archive.steps) return "";
  const { low, high, unit } = scale;
  return `${(low + (value / (archive.steps - 1)) * (high - low)).toFixed(high > 1 ? 0 : 2)} ${unit}`;
}
