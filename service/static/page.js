// The page: which day, layer and place are shown, and what is shown when the service or the archive has no data.

import { readAddress, writeAddress } from "./address.js";
import * as api from "./api.js";
import { areaOfText, areaText, AreaTool } from "./area.js";
import { YearCalendar } from "./calendar.js";
import { LayerColours } from "./colours.js";
import { credits } from "./credits.js";
import * as days from "./days.js";
import { LAYER_LABELS, mainLayer, showLegend, SWIPE } from "./legend.js";
import { DayMap } from "./map.js";
import { choice, element } from "./page_parts.js";
import { PlacePanel } from "./place.js";
import { MONTH, Player } from "./player.js";
import { Readout } from "./readout.js";
import { LayerName } from "./schema.js";
import { findPlaces } from "./search.js";
import { hasBanner, showBanner, showStatus } from "./status.js";
import { SwipeLine } from "./swipe.js";
import { viewsOf } from "./views.js";

/** @import { ShownLayer } from "./legend.js" */
/** @import { ViewName } from "./views.js" */

const [POLL_S, RETRY_S] = [30, 5]; // between requests for the state of the service; the same while it does not answer

/** What the page shows. */
const shown = {
  date: "",
  /** @type {ShownLayer} */
  layer: LayerName.SOIL_MOISTURE,
  /** @type {ViewName} */
  view: "world",
  /** @type {Record<string, number | string>} The place or the area whose series is shown, as in the page's address. */
  place: {},
  /** @type {any} The area whose mean is shown; null for none. */
  area: null,
  /** @type {Uint8Array | null} Bytes of the layer on the map. */
  map: null,
  /** @type {Uint8Array | null} Flags of the day on the map. */
  flags: null,
  /** @type {{ date: string, layer: ShownLayer } | null} The day and layer of the map that was drawn last. */
  drawn: null,
};
/** @type {any} The archive's description, `ArchiveInfo`; undefined until it is loaded. */
let archive;
/** @type {DayMap} */
let map;
/** @type {LayerColours} */
let colours;
/** @type {Readout} */
let readout;
/** @type {PlacePanel} */
let place;
const swipe = new SwipeLine((share) => map.swipeTo(share));
const areas = new AreaTool((area) => place.showArea(area));

const calendar = new YearCalendar(
  { grid: element("calendar"), year: element("year"), reason: element("reason"), legend: element("calendar-legend"),
    summary: element("calendar-summary"), ranges: element("calendar-ranges"), before: element("year-before"), after: element("year-after") },
  (date) => showDay(date),
);
const player = new Player(element("play"), {
  shown: () => shown.date,
  newest: () => archive.days.newest,
  show: showDay,
  preload: (date) => calendar.hasMap(date) && api.getMap(date, mainLayer(shown.layer)).catch(() => {}),
});

// The state of the service

/** The newest day with an observation, when the archive was loaded last: the page opens on it. */
let opened = "";
/** @type {string | null} What the archive was when it was loaded last. */
let loadedVersion = null;
let pollTimer = 0;

/** @param {number} seconds */
function pollIn(seconds) {
  clearTimeout(pollTimer);
  pollTimer = setTimeout(poll, seconds * 1000);
}

async function poll() {
  let wait = POLL_S;
  try {
    const status = await api.getStatus();
    showStatus(status);
    const version = JSON.stringify([status.newest, status.days, status.last_run?.ended]);
    if (hasBanner()) showBanner(null);
    if (version !== loadedVersion) {
      await loadArchive(loadedVersion !== null);
      loadedVersion = version;
    }
  } catch (error) {
    wait = RETRY_S;
    if (error instanceof api.Unreachable) showUnreachable();
    else showBanner(`The state of the service cannot be read: ${/** @type {Error} */ (error).message}`);
    element("stage").setAttribute("aria-busy", "false");
  }
  pollIn(wait);
}

/**
 * Load the archive's description and calendar, and show a day.
 *
 * @param {boolean} again Whether it was loaded before: then the day stays, unless the newest was shown.
 */
async function loadArchive(again) {
  const [description, states] = await Promise.all([api.getArchive(), api.getCalendar()]);
  archive = description;
  document.title = archive.title;
  element("title").textContent = archive.title;
  element("about").replaceChildren(...credits(archive));
  const empty = !archive.days;
  element("empty").hidden = !empty;
  for (const id of ["day", "place", "calendar-section"]) element(id).hidden = empty;
  if (empty) return;
  calendar.load(states);
  element("coverage-picture").src = api.coverageAddress(archive.days);
  if (!map) createMap();
  const slider = element("slider");
  const followsNewest = !shown.date || (again && (shown.date === opened || Number(slider.value) === Number(slider.max)));
  calendar.drawTimeline(element("timeline"), archive.days.first, archive.days.newest);
  slider.max = days.number(archive.days.newest) - days.number(archive.days.first);
  [element("date").min, element("date").max] = [archive.days.first, archive.days.newest];
  api.clearMaps();
  readout.forget();
  if (followsNewest) opened = calendar.newestObserved() ?? archive.days.newest;
  await showDay(followsNewest ? (!shown.date && readAddress().get("date")) || opened : shown.date);
  if (element("legend").children.length) return;
  await chooseLayer(shown.layer);
  await map.showLines(element("lines").checked); // after the first map
}

/** Write day, layer, view and place into the page's address. */
const updateAddress = () => writeAddress({ date: shown.date, layer: shown.layer, view: shown.view, ...shown.place });

/** Create map, chart and buttons; an archive without days has none. */
function createMap() {
  const wanted = readAddress();
  colours = new LayerColours(archive, getComputedStyle(document.documentElement).getPropertyValue("--sea").trim());
  readout = new Readout(colours);
  place = new PlacePanel(archive.series, { onPlace: markPlace, onArea: markArea, onDay: showDay });
  for (const [layer, label] of LAYER_LABELS) {
    if (layer !== SWIPE && !archive.layers.includes(layer)) continue;
    element("layers").append(choice("layer", layer, label, layer === shown.layer, () => chooseLayer(layer)));
    if (layer === wanted.get("layer")) shown.layer = layer;
  }
  const views = viewsOf(archive.grid);
  shown.view = views.find(([name]) => name === wanted.get("view"))?.[0] ?? shown.view;
  element("views").hidden = views.length < 2;
  element("views").append(...views.map(([name, label]) => choice("view", name, label, name === shown.view, () => chooseView(name))));
  createView();
  element("lines").addEventListener("change", () => map.showLines(element("lines").checked));
  findPlaces((lat, lon) => {
    map.goTo(lat, lon);
    place.show(lat, lon);
  });
  const area = areaOfText(wanted.get("area"));
  if (area) place.showArea(area);
  else if (wanted.has("lat") && wanted.has("lon")) place.show(Number(wanted.get("lat")), Number(wanted.get("lon")));
}

/** Create the map in the view that is chosen. */
function createView() {
  map?.remove();
  map = new DayMap(element("map"), archive, shown.view, colours, { onPick: pick, onHover: showValue });
  areas.use(map.map);
}

/** @param {ViewName} name */
async function chooseView(name) {
  shown.view = name;
  createView();
  markShown();
  await chooseLayer(shown.layer);
  await map.showLines(element("lines").checked);
}

// The day

/**
 * Show the name and state of a day everywhere but on the map.
 *
 * @param {string} date
 */
function labelDay(date) {
  const { first, newest } = archive.days;
  shown.date = date;
  element("day-name").textContent = days.words(date);
  element("day-state").textContent = calendar.stateText(date);
  element("day-sensors").textContent = calendar.sensorsText(date);
  element("slider").value = days.number(date) - days.number(first);
  element("slider").setAttribute("aria-valuetext", days.words(date));
  element("date").value = date;
  element("previous").disabled = date === first;
  element("next").disabled = date === newest;
  element("download").href = api.fileAddress(date);
  element("qgis").href = api.qgisAddress(date);
  calendar.mark(date);
  place.chart.markDay(date);
  updateAddress();
}

let dayRequests = 0;

/**
 * Show a day; a later call cancels an earlier one that still waits for its map.
 *
 * @param {string} wanted A day outside the archive stands for its first or newest one.
 */
async function showDay(wanted) {
  const request = ++dayRequests;
  const { first, newest } = archive.days;
  const date = wanted < first ? first : wanted > newest ? newest : wanted;
  labelDay(date);
  element("stage").setAttribute("aria-busy", "true");
  try {
    if (!calendar.hasMap(date)) throw new api.Refused(404, "");
    const maps = await loadMaps(date);
    if (request === dayRequests) drawDay(date, maps);
  } catch (error) {
    if (request === dayRequests) drawNoDay(date, /** @type {Error} */ (error));
  } finally {
    if (request === dayRequests) element("stage").setAttribute("aria-busy", "false");
  }
}

/** @typedef {{ main: Uint8Array, left: Uint8Array | null, flags: Uint8Array | null }} DayMaps */

/**
 * Load what the map needs for a day: the layer, the one to the left of the swipe line, and the flags.
 *
 * @param {string} date
 * @returns {Promise<DayMaps>}
 */
async function loadMaps(date) {
  const [main, left, flags] = await Promise.all([
    api.getMap(date, mainLayer(shown.layer)),
    shown.layer === SWIPE ? api.getMap(date, LayerName.SOIL_MOISTURE_OBSERVED) : null,
    archive.layers.includes(LayerName.FLAG) ? api.getMap(date, LayerName.FLAG) : null,
  ]);
  return { main, left, flags };
}

/**
 * @param {string} date
 * @param {DayMaps} maps
 */
function drawDay(date, { main, left, flags }) {
  const observed = LayerName.SOIL_MOISTURE_OBSERVED;
  map.show(mainLayer(shown.layer), main, flags, left && { layer: observed, bytes: left });
  Object.assign(shown, { map: main, flags, drawn: { date, layer: shown.layer } });
  element("download").hidden = element("qgis").hidden = false;
  element("stage").dataset.shows = `${date} ${shown.layer}`;
}

/**
 * Show that a day has no map, and why.
 *
 * @param {string} date
 * @param {Error} error
 */
function drawNoDay(date, error) {
  if (error instanceof api.Unreachable) return showUnreachable();
  map.clear();
  Object.assign(shown, { map: null, flags: null, drawn: { date, layer: shown.layer } });
  element("download").hidden = element("qgis").hidden = true;
  const isKnown = error instanceof api.Refused && error.status === 404;
  element("day-state").textContent = `no map: ${isKnown ? calendar.stateText(date) : error.message}`;
  element("stage").dataset.shows = `${date} nothing`;
}

/** Show that the service does not answer, and go back to the day and layer that the map still shows. */
function showUnreachable() {
  showBanner("The service does not answer. The page shows what it loaded before, and tries again by itself.");
  pollIn(RETRY_S);
  if (!shown.drawn) return;
  labelDay(shown.drawn.date);
  labelLayer(shown.drawn.layer);
}

/** @param {ShownLayer} layer */
function chooseLayer(layer) {
  labelLayer(layer);
  return showDay(shown.date);
}

/**
 * Show the controls and the legend of a layer.
 *
 * @param {ShownLayer} layer
 */
function labelLayer(layer) {
  shown.layer = layer;
  element("layers").querySelector(`[value="${layer}"]`).checked = true;
  const isSwipe = layer === SWIPE;
  element("swipe-bar").hidden = element("swipe-line").hidden = !isSwipe;
  map.swipeTo(isSwipe ? swipe.place() : null);
  showLegend(colours, mainLayer(layer), () => showDay(shown.date));
}

/**
 * Show the value below the pointer.
 *
 * @param {number | null} lat
 * @param {number | null} lon
 */
function showValue(lat, lon) {
  const cell = lat === null || lon === null ? null : map.cell(lat, lon);
  const { map: bytes, flags, drawn } = shown;
  if (lat === null || lon === null || cell === null || !bytes || !drawn) return readout.clear();
  readout.show({ date: drawn.date, layer: mainLayer(drawn.layer), map: bytes, flags }, cell, lat, lon);
}

/**
 * Use a place that was clicked: as a corner of the area that is being drawn, or for its series.
 *
 * @param {number} lat
 * @param {number} lon
 */
function pick(lat, lon) {
  if (areas.isDrawing) areas.add(lat, lon);
  else place.show(lat, lon);
}

/**
 * Mark the place whose series is shown.
 *
 * @param {number} lat
 * @param {number} lon
 */
function markPlace(lat, lon) {
  shown.place = { lat, lon };
  shown.area = null;
  markShown();
}

/**
 * Mark the area whose mean is shown.
 *
 * @param {any} area
 */
function markArea(area) {
  const text = areaText(area);
  shown.place = text ? { area: text } : {};
  shown.area = area;
  markShown();
}

/** Mark the place or the area whose series is shown, on the map and in the page's address. */
function markShown() {
  areas.clear();
  map.unmark();
  if (shown.area) areas.outlineOf(shown.area);
  else if ("lat" in shown.place) map.mark(Number(shown.place.lat), Number(shown.place.lon));
  place.chart.markDay(shown.date);
  updateAddress();
}

// Buttons, keys and the page's address

/** @param {number} step */
function changeDay(step) {
  player.play(false);
  return showDay(days.shifted(shown.date, step));
}

element("previous").addEventListener("click", () => changeDay(-1));
element("next").addEventListener("click", () => changeDay(1));
element("play").addEventListener("click", () => player.play(!player.isPlaying));
element("slider").addEventListener("input", () => {
  player.play(false);
  showDay(days.date(days.number(archive.days.first) + Number(element("slider").value)));
});
element("date").addEventListener("change", () => {
  if (!element("date").value) return;
  player.play(false);
  showDay(element("date").value);
});
const KEY_STEPS = new Map([["ArrowLeft", -1], ["ArrowRight", 1], ["PageUp", -MONTH], ["PageDown", MONTH]]);

document.addEventListener("keydown", (event) => {
  const within = /** @type {Element} */ (event.target).closest("input, select, button, a, #map, #calendar");
  if (!archive?.days || event.ctrlKey || event.altKey || event.metaKey || within) return;
  const step = KEY_STEPS.get(event.key);
  if (step) changeDay(step);
  else if (event.key === "Home") showDay(archive.days.first);
  else if (event.key === "End") showDay(archive.days.newest);
  else if (event.key === " ") player.play(!player.isPlaying);
  else return;
  event.preventDefault();
});
addEventListener("hashchange", () => {
  const date = readAddress().get("date") ?? shown.date;
  if (date !== shown.date && archive?.days) showDay(date);
});

await poll();
