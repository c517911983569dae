// Names of towns: those with room on the map, and those that a search finds.

/* global L */

/** @import { View } from "./views.js" */

const UNIT = 100; // steps of a degree in the file
const [ROOM_X, ROOM_Y] = [110, 34]; // pixels between labels
const MOST_FOUND = 8;
const MOST_LABELS = 60;
const LARGEST = 120; // towns that are labelled at zoom 0; four times as many at the next zoom

/** @typedef {{ name: string, country: string, lat: number, lon: number, key: string }} Town */

/**
 * Return a text without case and accents.
 *
 * @param {string} text
 */
const plain = (text) => text.normalize("NFD").replace(/\p{Diacritic}/gu, "").toLowerCase();

/** @type {Promise<Town[]> | null} */
let loading = null;

/**
 * Return all towns, the largest first; they are loaded when they are asked for first. Empty if that fails.
 *
 * @returns {Promise<Town[]>}
 */
export function towns() {
  loading ??= load();
  return loading;
}

async function load() {
  const answer = await fetch("static/vendor/geonames.json").catch(() => null);
  if (!answer?.ok) {
    loading = null; // the next one who asks tries again
    return [];
  }
  const { countries, places } = await answer.json();
  return places.map((/** @type {[string, string, number, number]} */ [name, code, lat, lon]) => ({
    name, country: countries[code], lat: lat / UNIT, lon: lon / UNIT, key: plain(name),
  }));
}

/**
 * Return a town's name with its country.
 *
 * @param {Town} town
 */
export const fullName = ({ name, country }) => `${name}, ${country}`;

/**
 * Return the towns that a text may mean: first those whose name begins with it, then those with a word that does.
 *
 * @param {Town[]} known
 * @param {string} text A name, or a name and a country.
 */
export function find(known, text) {
  const wanted = plain(text.trim());
  if (!wanted) return [];
  const [name, country] = wanted.split(/\s*,\s*/);
  const fits = known.filter((town) => !country || plain(town.country).startsWith(country));
  const begins = fits.filter(({ key }) => key.startsWith(name));
  const words = fits.filter(({ key }) => !key.startsWith(name) && ` ${key.replace(/-/g, " ")}`.includes(` ${name}`));
  const exact = begins.filter(({ key }) => key === name);
  return [...new Set([...exact, ...begins, ...words])].slice(0, MOST_FOUND);
}

/**
 * Return the place that a text with two numbers means, latitude first; null for any other text.
 *
 * @param {string} text
 * @returns {{ lat: number, lon: number } | null}
 */
export function coordinates(text) {
  const found = text.trim().match(/^(-?\d+(?:\.\d+)?)\s*°?\s*([NS]?)[\s,;]+(-?\d+(?:\.\d+)?)\s*°?\s*([EW]?)$/i);
  if (!found) return null;
  const lat = Number(found[1]) * (/s/i.test(found[2]) ? -1 : 1);
  const lon = Number(found[3]) * (/w/i.test(found[4]) ? -1 : 1);
  return Math.abs(lat) <= 90 && Math.abs(lon) <= 360 ? { lat, lon } : null;
}

export class NameLabels {
  /**
   * @param {any} map A Leaflet map.
   * @param {View} view
   */
  constructor(map, view) {
    this.map = map;
    this.view = view;
    Object.assign(map.createPane("names").style, { zIndex: 440, pointerEvents: "none" });
    this.group = L.layerGroup();
    /** @type {Town[]} */
    this.known = [];
    map.on("moveend resize", () => this.#draw());
  }

  /**
   * Show the names or hide them.
   *
   * @param {boolean} wanted
   */
  async show(wanted) {
    if (!wanted) return void this.group.remove();
    this.known = await towns();
    this.group.addTo(this.map);
    this.#draw();
  }

  /** Label the largest towns that have room. */
  #draw() {
    if (!this.map.hasLayer(this.group)) return;
    const size = this.map.getSize();
    /** @type {any[]} */
    const taken = [];
    this.group.clearLayers();
    for (const town of this.known.slice(0, LARGEST * 4 ** Math.max(this.map.getZoom(), 0))) {
      if (taken.length >= MOST_LABELS) break;
      if (!this.view.isSeen(town.lat)) continue;
      const at = this.map.latLngToContainerPoint([town.lat, town.lon]);
      if (at.x < 0 || at.y < 0 || at.x > size.x || at.y > size.y) continue;
      if (taken.some(({ x, y }) => Math.abs(x - at.x) < ROOM_X && Math.abs(y - at.y) < ROOM_Y)) continue;
      taken.push(at);
      const text = document.createElement("span");
      text.textContent = town.name;
      const icon = L.divIcon({ className: "town", html: text, iconSize: [0, 0] });
      L.marker([town.lat, town.lon], { icon, pane: "names", interactive: false, keyboard: false }).addTo(this.group);
    }
  }
}
