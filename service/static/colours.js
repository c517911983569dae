// The colours of each layer: those of the service, within the range that is chosen, and faded for filled values.

import { LayerName } from "./schema.js";

/** @import { ArchiveInfo, LayerName as Layer } from "./schema.js" */
/** @typedef {{ low: number, high: number }} Range */

/** Colours of values above and below a range that is narrower than the layer's scale. */
export const [OVER, UNDER] = ["#d6006c", "#ffffff"];
const FADED = 0.5; // the share of the background in a faded colour

/**
 * Return a colour as the bytes of a pixel, red first in memory.
 *
 * @param {string} colour ``#rrggbb``
 */
const rgba = (colour) => {
  const value = parseInt(colour.slice(1), 16);
  return (0xff000000 | ((value & 0xff) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
};

/**
 * Return a mixture of two pixels.
 *
 * @param {number} a
 * @param {number} b
 */
const mixed = (a, b) => {
  let pixel = 0xff000000;
  for (const shift of [0, 8, 16]) pixel |= (((a >> shift) & 0xff) * (1 - FADED) + ((b >> shift) & 0xff) * FADED) << shift;
  return pixel >>> 0;
};

export class LayerColours {
  /**
   * @param {ArchiveInfo} archive
   * @param {string} background Colour of what is not land: that of the map's background.
   */
  constructor(archive, background) {
    this.archive = archive;
    this.background = background;
    /** Whether filled values are faded. */
    this.fades = false;
    /** @type {Map<Layer, Range>} Ranges that were chosen. */
    this.ranges = new Map();
    /** @type {Map<Layer, { plain: Uint32Array, faded: Uint32Array }>} */
    this.tables = new Map();
    this.isFilled = new Uint8Array(256);
    for (const flag of archive.filled_flags) this.isFilled[flag] = 1;
  }

  /** @param {Layer} layer */
  scale(layer) {
    return this.archive.scales.find((scale) => scale.name === layer);
  }

  /**
   * Return the categories of a layer; undefined for one with a scale.
   *
   * @param {Layer} layer
   */
  categories(layer) {
    if (layer === LayerName.FLAG) return this.archive.flags;
    return layer === LayerName.QUALITY_FLAG ? this.archive.qualities : undefined;
  }

  /**
   * Return whether a layer has filled values that can be faded.
   *
   * @param {Layer} layer
   */
  canFade(layer) {
    return layer === LayerName.SOIL_MOISTURE || layer === LayerName.SOIL_MOISTURE_ANOMALY;
  }

  /**
   * Return the values of the first and the last colour of a layer; undefined for one without a scale.
   *
   * @param {Layer} layer
   * @returns {Range | undefined}
   */
  range(layer) {
    return this.ranges.get(layer) ?? this.scale(layer);
  }

  /**
   * Choose the values of the first and the last colour.
   *
   * @param {Layer} layer
   * @param {Range | null} range null: those of the layer's scale. Its ends are moved into the scale.
   */
  setRange(layer, range) {
    const scale = this.scale(layer);
    this.tables.delete(layer);
    this.ranges.delete(layer);
    if (!range || !scale) return;
    const [low, high] = [Math.max(range.low, scale.low), Math.min(range.high, scale.high)];
    if (low < high && (low > scale.low || high < scale.high)) this.ranges.set(layer, { low, high });
  }

  /**
   * Return the pixel of each byte of a layer, and the same faded.
   *
   * @param {Layer} layer
   */
  pixels(layer) {
    let found = this.tables.get(layer);
    if (!found) {
      const background = rgba(this.background);
      const plain = new Uint32Array(256).fill(background);
      plain[this.archive.gap.value] = rgba(this.archive.gap.colour);
      for (const { value, colour } of this.categories(layer) ?? [])
        plain[value] = colour === this.archive.nothing.colour ? background : rgba(colour);
      this.#steps(layer).forEach((colour, step) => (plain[step] = rgba(colour)));
      found = { plain, faded: plain.map((pixel) => mixed(pixel, background)) };
      this.tables.set(layer, found);
    }
    return found;
  }

  /**
   * Return the colour of each step of a layer's scale within the range that is chosen.
   *
   * @param {Layer} layer
   */
  #steps(layer) {
    const [scale, range] = [this.scale(layer), this.range(layer)];
    if (!scale || !range) return [];
    const last = this.archive.steps - 1;
    return scale.colours.map((_, step) => {
      const share = (scale.low + (step / last) * (scale.high - scale.low) - range.low) / (range.high - range.low);
      const nearest = Math.round(share * last);
      return nearest < 0 ? UNDER : nearest > last ? OVER : scale.colours[nearest];
    });
  }
}
