// Requests to the service. A server that does not answer raises Unreachable, an answer with an error status Refused.

/** @import { ArchiveInfo, AreaSeries, Calendar, DaySpan, LayerName, PlaceSeries, ServiceStatus } from "./schema.js" */

export class Unreachable extends Error {}

export class Refused extends Error {
  /**
   * @param {number} status HTTP status.
   * @param {string} message The reason the service gives.
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const GATEWAY_ERRORS = [502, 504]; // a web server in front of the service answers these when the service does not

/**
 * @param {string} path
 * @param {RequestInit} [options]
 */
async function request(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { headers: { Accept: "*/*" }, ...options });
  } catch {
    throw new Unreachable("the service does not answer");
  }
  if (answer.ok) return answer;
  if (GATEWAY_ERRORS.includes(answer.status)) throw new Unreachable("the service does not answer");
  const { detail } = await answer.json().catch(() => ({}));
  const reason = Array.isArray(detail) ? detail.map((part) => part.msg).join("; ") : detail;
  throw new Refused(answer.status, reason || `the service answered ${answer.status}`);
}

/** @param {string} path */
const requestJson = async (path) => (await request(path)).json();

/** @returns {Promise<ArchiveInfo>} */
export const getArchive = () => requestJson("api/archive");

/** @returns {Promise<Calendar>} */
export const getCalendar = () => requestJson("api/calendar");

/** @returns {Promise<ServiceStatus>} */
export const getStatus = () => requestJson("api/status");

/**
 * @param {number | string} lat
 * @param {number | string} lon
 * @returns {Promise<PlaceSeries>}
 */
export const getSeries = (lat, lon) => requestJson(`api/series?lat=${lat}&lon=${lon}`);

/**
 * @param {number} lat
 * @param {number} lon
 * @param {string} format csv or nc.
 */
export const seriesAddress = (lat, lon, format) => `api/series?lat=${lat}&lon=${lon}&format=${format}`;

/**
 * Ask for the mean over an area.
 *
 * @param {any} area GeoJSON.
 * @param {string} format
 */
const requestArea = (area, format) => request(`api/area?format=${format}`, { method: "POST", body: JSON.stringify(area) });

/**
 * @param {any} area GeoJSON.
 * @returns {Promise<AreaSeries>}
 */
export const getArea = async (area) => (await requestArea(area, "json")).json();

/**
 * @param {any} area GeoJSON.
 * @param {string} format csv or nc.
 */
export const getAreaFile = async (area, format) => (await requestArea(area, format)).blob();

/** @param {string} date */
export const fileAddress = (date) => `api/days/${date}/file`;

/** @param {string} date */
export const qgisAddress = (date) => `qgis/seamless-sm.qgs?date=${date}`;

/**
 * Another address for other days: the browser asks again.
 *
 * @param {DaySpan} days
 */
export const coverageAddress = ({ newest, count }) => `api/coverage.png?newest=${newest}&count=${count}`;

/** @type {Map<string, Promise<Uint8Array>>} Maps by date and layer, those requested last at the end. */
const maps = new Map();
const MAX_MAPS = 160;

/** Drop the cached maps: the archive has changed. */
export const clearMaps = () => maps.clear();

/**
 * Return a layer of a day, one byte per cell, north first.
 *
 * @param {string} date
 * @param {LayerName} layer
 */
export function getMap(date, layer) {
  const key = `${date}/${layer}`;
  let map = maps.get(key);
  maps.delete(key);
  if (!map) {
    map = request(`api/days/${date}/map/${layer}`).then(async (answer) => new Uint8Array(await answer.arrayBuffer()));
    map.catch(() => maps.delete(key));
  }
  maps.set(key, map);
  if (maps.size > MAX_MAPS) maps.delete(/** @type {string} */ (maps.keys().next().value));
  return map;
}
