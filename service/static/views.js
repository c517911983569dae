// The views of the map: how places lie on it, and which cell each pixel of the map's picture shows.

/* global L */

/** @import { MapGrid } from "./schema.js" */

/** @typedef {"world" | "north" | "south"} ViewName */
/**
 * @typedef {object} View
 * @property {any} crs How Leaflet projects places.
 * @property {[number, number][]} bounds Two corners of the picture, latitude first.
 * @property {[number, number][]} shown Two corners of what is shown at first.
 * @property {{ minZoom: number, maxZoom: number, maxBounds?: any }} limits
 * @property {number} closeZoom The zoom that shows a town and what is around it.
 * @property {(lat: number) => boolean} isSeen Whether the view has a latitude.
 * @property {number} width Pixels of the picture.
 * @property {number} height
 * @property {Int32Array} cells The number of the cell in each pixel; -1 outside the grid.
 */

/** @type {[ViewName, string][]} The views with their labels. */
const LABELS = [["world", "World"], ["north", "North Pole"], ["south", "South Pole"]];

const [POLAR_SHOWN, POLAR_EDGE] = [45, 90]; // degrees from the pole: what is shown at first, and the edge of the picture
const POLAR_PIXELS = 1600; // of its picture's side
const BEYOND = 55; // a grid that does not reach this latitude has no polar view
const SEEN = [-60, 75]; // latitudes that the world is cropped to: there is little to see beyond

const RADIANS = Math.PI / 180;

/**
 * Return the views that a grid has, with their labels.
 *
 * @param {MapGrid} grid
 */
export const viewsOf = (grid) =>
  LABELS.filter(([name]) => name === "world" || (name === "north" ? grid.north > BEYOND : grid.south < -BEYOND));

/**
 * @param {MapGrid} grid
 * @param {ViewName} name
 * @returns {View}
 */
export const viewOf = (grid, name) => (name === "world" ? worldView(grid) : polarView(grid, name));

/**
 * Return the row of a grid that a latitude lies in; null outside the grid.
 *
 * @param {MapGrid} grid
 * @param {number} lat
 */
export function rowOf({ row_edges: edges }, lat) {
  if (lat > edges[0]) return null;
  let [north, south] = [0, edges.length - 1];
  if (lat <= edges[south]) return null;
  while (south - north > 1) {
    const middle = (north + south) >> 1;
    if (edges[middle] < lat) south = middle;
    else north = middle;
  }
  return north;
}

/**
 * Return the number of the cell that a place lies in; null outside the grid.
 *
 * @param {MapGrid} grid
 * @param {number} lat
 * @param {number} lon
 */
export function cellOf(grid, lat, lon) {
  const { west, step, cols } = grid;
  const row = rowOf(grid, lat);
  const col = Math.floor((lon - west) / step);
  return row !== null && col >= 0 && col < cols ? row * cols + col : null;
}

/**
 * Return the view in plain longitude and latitude, whose picture has equally high lines.
 *
 * @param {MapGrid} grid
 * @returns {View}
 */
function worldView({ north, south, west, east, cols, row_edges: edges }) {
  const least = Math.min(...edges.slice(1).map((edge, row) => edges[row] - edge));
  const height = Math.ceil((north - south) / least - 1e-6);
  const cells = new Int32Array(height * cols);
  let row = 0;
  for (let line = 0; line < height; line++) {
    while (edges[row + 1] > north - ((north - south) * (line + 0.5)) / height) row++;
    for (let col = 0; col < cols; col++) cells[line * cols + col] = row * cols + col;
  }
  /** @type {[number, number][]} */
  const bounds = [[south, west], [north, east]];
  return {
    crs: L.CRS.EPSG4326, bounds, width: cols, height, cells, closeZoom: 5, isSeen: () => true,
    shown: [[Math.max(south, SEEN[0]), west], [Math.min(north, SEEN[1]), east]],
    limits: { minZoom: -1, maxZoom: 7, maxBounds: L.latLngBounds(bounds).pad(0.25) },
  };
}

/**
 * Return the view of a pole: Lambert's azimuthal equal-area projection of the sphere, as that of the polar EASE-Grids.
 *
 * @param {MapGrid} grid
 * @param {"north" | "south"} pole
 * @returns {View}
 */
function polarView(grid, pole) {
  const sign = pole === "north" ? 1 : -1;
  const [edge, shown] = [POLAR_EDGE, POLAR_SHOWN].map((away) => 2 * Math.sin((away * RADIANS) / 2)); // radii of the Earth
  const project = (/** @type {{ lat: number, lng: number }} */ { lat, lng }) => {
    const away = 2 * Math.sin(((90 - sign * lat) * RADIANS) / 2);
    return L.point(away * Math.sin(lng * RADIANS), -sign * away * Math.cos(lng * RADIANS));
  };
  const unproject = (/** @type {{ x: number, y: number }} */ { x, y }) => {
    const away = Math.min(Math.hypot(x, y), 2);
    return L.latLng(sign * (90 - (2 * Math.asin(away / 2)) / RADIANS), Math.atan2(x, -sign * y) / RADIANS);
  };
  /** @returns {[number, number][]} Opposite corners. */
  const square = (/** @type {number} */ half) => {
    const { lat, lng } = unproject({ x: -half, y: half });
    return [[lat, lng], [lat, lng + 180]];
  };
  const cells = new Int32Array(POLAR_PIXELS ** 2);
  for (let line = 0; line < POLAR_PIXELS; line++) {
    for (let pixel = 0; pixel < POLAR_PIXELS; pixel++) {
      const [x, y] = [pixel, line].map((number) => ((2 * number + 1) / POLAR_PIXELS - 1) * edge);
      const { lat, lng } = unproject({ x, y: -y });
      cells[line * POLAR_PIXELS + pixel] = sign * lat > 0 ? (cellOf(grid, lat, lng) ?? -1) : -1;
    }
  }
  const half = 1 / (2 * edge);
  const crs = L.extend({}, L.CRS.Earth, {
    wrapLng: undefined,
    projection: { project, unproject, bounds: L.bounds([-2, -2], [2, 2]) },
    transformation: new L.Transformation(half, 0.5, -half, 0.5),
  });
  return {
    crs, bounds: square(edge), shown: square(shown), cells, width: POLAR_PIXELS, height: POLAR_PIXELS, closeZoom: 6,
    limits: { minZoom: 0, maxZoom: 8 },
    isSeen: (lat) => sign * lat > 0,
  };
}
