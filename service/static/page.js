// The page: which day, layer and place are shown, and what happens when the service or the archive has nothing to show.

import * as api from "./api.js";
import { Calendar } from "./calendar.js";
import * as days from "./days.js";
import { DayMap } from "./map.js";
import { PlaceChart } from "./series.js";

const $ = (id) => document.getElementById(id);
const LOOK_S = 30; // between looks at the state of the service
const LOOK_AGAIN_S = 5; // while it does not answer
const FRAME_MS = 250; // at least, while playing
const MONTH = 30;
const SHORT = {
  soil_moisture: "Filled", soil_moisture_observed: "Observed", flag: "What was filled", days_since_observation: "Age of evidence",
  soil_moisture_uncertainty: "Uncertainty", precipitation: "Rain", swipe: "Swipe",
};
const ORDER = [
  "soil_moisture", "soil_moisture_observed", "swipe", "flag", "days_since_observation", "soil_moisture_uncertainty", "precipitation",
];

const shown = { date: null, layer: "soil_moisture", place: null, frame: null, flags: null, painted: null };
let archive, map, chart, playing, turn = 0;

const calendar = new Calendar(
  { grid: $("calendar"), year: $("year"), reason: $("reason"), key: $("key"), summary: $("record-summary"),
    before: $("year-before"), after: $("year-after") },
  (date) => show(date),
);

// The state of the service

function glance(state) {
  const when = (time) => (time ? `${time.slice(0, 16).replace("T", " ")} UTC` : "–");
  const run = state.last_run;
  const expected = !run || [0, 3, 4, 5, 7].includes(run.exit_code);
  const ended = state.running_since
    ? `running since ${when(state.running_since)}`
    : run ? `${when(run.ended)}, ${run.exit_code === 0 ? "well" : `exit code ${run.exit_code}`}` : "none yet";
  const late = state.incidents.some((incident) => incident.kind === "lag");
  const others = state.incidents.filter((incident) => incident.kind !== "lag");
  const facts = [
    ["Newest day", state.newest || "none", false],
    ["Lag", state.lag_days === null ? "–" : `${state.lag_days} days`, late],
    ["Last run", ended, !expected],
    ["Next run", when(state.next_run), false],
    ...(others.length ? [["Incidents", others.map((i) => `${i.kind}: ${i.message}`).join("; "), true]] : []),
  ];
  $("glance").replaceChildren(
    ...facts.map(([name, value, bad]) => {
      const box = document.createElement("div");
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      [term.textContent, text.textContent] = [name, value];
      box.append(term, text);
      box.classList.toggle("bad", bad);
      return box;
    }),
  );
}

function banner(text) {
  $("banner").textContent = text || "";
  $("banner").hidden = !text;
}

let known = null;
let coming; // the next look

function lookIn(seconds) {
  clearTimeout(coming);
  coming = setTimeout(look, seconds * 1000);
}

async function look() {
  let again = LOOK_S;
  try {
    const state = await api.status();
    glance(state);
    const now = JSON.stringify([state.newest, state.days, state.last_run?.ended, state.last_published_at]);
    if (!$("banner").hidden) banner(null);
    if (now !== known) {
      await reload(known !== null);
      known = now;
    }
  } catch (error) {
    again = LOOK_AGAIN_S;
    if (error instanceof api.Unreachable) away();
    else banner(`The service cannot say how it is: ${error.message}`);
    $("stage").setAttribute("aria-busy", "false");
  }
  lookIn(again);
}

async function reload(again) {
  const [about, record] = await Promise.all([api.archive(), api.calendar()]);
  archive = about;
  document.title = archive.title;
  $("title").textContent = archive.title;
  $("about").replaceChildren(...credits());
  const empty = !archive.days;
  $("empty").hidden = !empty;
  for (const id of ["day", "place", "record"]) $(id).hidden = empty;
  if (empty) return;
  calendar.load(record);
  if (!map) begin();
  const slider = $("slider");
  const follows = shown.date === null || (again && Number(slider.value) === Number(slider.max));
  slider.max = days.number(archive.days.newest) - days.number(archive.days.first);
  [$("date").min, $("date").max] = [archive.days.first, archive.days.newest];
  api.forget();
  await show(follows ? asked().get("date") || archive.days.newest : shown.date);
}

function credits() {
  const parts = [`${archive.licence}. Method: `];
  archive.citations.forEach(({ doi, text }, number) => {
    const link = document.createElement("a");
    [link.href, link.textContent, link.title] = [`https://doi.org/${doi}`, `doi:${doi}`, text];
    parts.push(number ? ", " : "", link);
  });
  const stac = document.createElement("a");
  [stac.href, stac.textContent] = ["archive/stac/collection.json", "STAC"];
  return [...parts, ". Catalogue: ", stac, "."];
}

const asked = () => new URLSearchParams(location.hash.slice(1));

function begin() {
  map = new DayMap($("map"), archive, { onPick: pick, onHover: hover });
  chart = new PlaceChart($("chart"), $("rain"), archive.series);
  const there = [...archive.layers, "swipe"];
  for (const name of ORDER.filter((layer) => there.includes(layer))) {
    const [label, input] = [document.createElement("label"), document.createElement("input")];
    Object.assign(input, { type: "radio", name: "layer", value: name, checked: name === shown.layer });
    input.addEventListener("change", () => choose(name));
    label.append(input, SHORT[name]);
    $("layers").append(label);
  }
  const wanted = asked();
  if (there.includes(wanted.get("layer"))) {
    shown.layer = wanted.get("layer");
  }
  if (wanted.has("lat") && wanted.has("lon")) pick(Number(wanted.get("lat")), Number(wanted.get("lon")));
}

function remember() {
  const state = { date: shown.date, layer: shown.layer, ...(shown.place || {}) };
  history.replaceState(null, "", `#${new URLSearchParams(state)}`);
}

// The day

function label(date) {
  const [first, newest] = [archive.days.first, archive.days.newest];
  shown.date = date;
  $("day-name").textContent = days.words(date);
  $("day-state").textContent = calendar.why(date);
  $("slider").value = days.number(date) - days.number(first);
  $("slider").setAttribute("aria-valuetext", days.words(date));
  $("date").value = date;
  $("previous").disabled = date === first;
  $("next").disabled = date === newest;
  $("download").href = api.file(date);
  calendar.mark(date);
  remember();
}

async function show(date) {
  const mine = ++turn;
  const [first, newest] = [archive.days.first, archive.days.newest];
  label((date = date < first ? first : date > newest ? newest : date));
  $("stage").setAttribute("aria-busy", "true");
  const swipe = shown.layer === "swipe";
  const layer = swipe ? "soil_moisture" : shown.layer;
  const wanted = [layer, ...(swipe ? ["soil_moisture_observed"] : []), ...(archive.layers.includes("flag") ? ["flag"] : [])];
  try {
    if (!calendar.has(date)) throw new api.Refused(404, "");
    const [bytes, second] = await Promise.all(wanted.map((name) => api.frame(date, name)));
    const flags = archive.layers.includes("flag") ? await api.frame(date, "flag") : null;
    if (mine !== turn) return;
    map.show(layer, bytes, swipe ? { layer: "soil_moisture_observed", bytes: second } : null);
    Object.assign(shown, { frame: bytes, flags, painted: { date, layer: shown.layer } });
    $("download").hidden = false;
    $("stage").dataset.shows = `${date} ${shown.layer}`;
  } catch (error) {
    if (mine !== turn) return;
    if (error instanceof api.Unreachable) return away();
    map.clear();
    Object.assign(shown, { frame: null, flags: null, painted: { date, layer: shown.layer } });
    $("download").hidden = true;
    $("day-state").textContent = error.status === 404 ? `no map: ${calendar.why(date)}` : `no map: ${error.message}`;
    $("stage").dataset.shows = `${date} nothing`;
  } finally {
    if (mine === turn) $("stage").setAttribute("aria-busy", "false");
  }
}

// Nobody answers: say so, and go back to the day and layer that the map still shows.
function away() {
  banner("The service does not answer. What you see was loaded before; this page tries again by itself.");
  lookIn(LOOK_AGAIN_S);
  if (!shown.painted) return;
  label(shown.painted.date);
  dress(shown.painted.layer);
}

function choose(layer) {
  dress(layer);
  return show(shown.date);
}

function dress(layer) {
  shown.layer = layer;
  $("layers").querySelector(`[value="${layer}"]`).checked = true;
  const swipe = layer === "swipe";
  $("swipe-bar").hidden = $("swipe-line").hidden = !swipe;
  map.swipeTo(swipe ? swiped() : null);
  legend(swipe ? "soil_moisture" : layer);
}

function swiped() {
  const share = $("swipe").value / 100;
  $("swipe-line").style.left = `${share * 100}%`;
  return share;
}

function legend(layer) {
  if (layer === "flag") {
    const list = document.createElement("ul");
    list.append(
      ...archive.flags.map(({ meaning, colour }) => {
        const item = document.createElement("li");
        item.textContent = meaning;
        item.style.setProperty("--swatch", colour);
        return item;
      }),
    );
    return $("legend").replaceChildren(list);
  }
  const scale = archive.scales.find((s) => s.name === layer);
  const [bar, ends] = [document.createElement("div"), document.createElement("div")];
  [bar.className, ends.className] = ["bar", "ends"];
  bar.style.background = `linear-gradient(to right, ${scale.colours.filter((_, n) => n % 10 === 0).join(", ")})`;
  for (const text of [`${scale.low}`, `${scale.title}, ${scale.unit}; grey: land without a value`, `${scale.high} and more`]) {
    const span = document.createElement("span");
    span.textContent = text;
    ends.append(span);
  }
  $("legend").replaceChildren(bar, ends);
}

function hover(lat, lon) {
  const cell = lat === null || !shown.frame ? null : map.cell(lat, lon);
  if (cell === null) return void ($("readout").textContent = "");
  const layer = shown.layer === "swipe" ? "soil_moisture" : shown.layer;
  const scale = archive.scales.find((s) => s.name === layer);
  const value = shown.frame[cell];
  const said = scale && value < archive.steps
    ? `${(scale.low + (value / (archive.steps - 1)) * (scale.high - scale.low)).toFixed(scale.high > 1 ? 0 : 2)} ${scale.unit}`
    : null;
  const flag = shown.flags && archive.flags.find((f) => f.value === shown.flags[cell])?.meaning;
  const where = `${Math.abs(lat).toFixed(1)}° ${lat < 0 ? "S" : "N"}, ${Math.abs(lon).toFixed(1)}° ${lon < 0 ? "W" : "E"}`;
  $("readout").textContent = [where, said, flag].filter(Boolean).join(" · ");
}

// Playing

function play(on) {
  if (Boolean(playing) === on) return;
  clearTimeout(playing);
  playing = null;
  $("play").setAttribute("aria-pressed", on);
  $("play").textContent = on ? "❚❚ Stop" : "▶ Play a month";
  if (!on) return;
  const newest = archive.days.newest;
  if (shown.date === newest) shown.date = days.shifted(newest, -MONTH);
  const end = days.shifted(shown.date, MONTH);
  const step = async () => {
    const date = days.shifted(shown.date, 1);
    if (!playing || date > end || date > newest) return play(false);
    const began = performance.now();
    await show(date);
    const layer = shown.layer === "swipe" ? "soil_moisture" : shown.layer;
    for (let n = 1; n <= 3; n++) {
      const ahead = days.shifted(date, n);
      if (ahead <= newest && calendar.has(ahead)) api.frame(ahead, layer).catch(() => {});
    }
    if (playing) playing = setTimeout(step, Math.max(0, FRAME_MS - (performance.now() - began)));
  };
  playing = setTimeout(step, 0);
}

// The place

let placeTurn = 0;

async function pick(lat, lon) {
  const mine = ++placeTurn;
  const wrapped = ((((lon + 180) % 360) + 360) % 360) - 180;
  const said = $("place-status");
  said.className = "";
  said.textContent = "Loading the days of this place …";
  [$("lat").value, $("lon").value] = [lat.toFixed(3), wrapped.toFixed(3)];
  try {
    const found = await api.series(lat.toFixed(5), wrapped.toFixed(5));
    if (mine !== placeTurn) return;
    map.mark(found.latitude, found.longitude);
    shown.place = { lat: found.latitude, lon: found.longitude };
    $("series").hidden = false;
    $("place-hint").hidden = true;
    $("csv").hidden = false;
    $("csv").href = api.csv(found.latitude, found.longitude);
    $("series-summary").textContent = chart.show(found);
    const [ns, ew] = [found.latitude < 0 ? "S" : "N", found.longitude < 0 ? "W" : "E"];
    $("place-title").textContent = `${Math.abs(found.latitude)}° ${ns}, ${Math.abs(found.longitude)}° ${ew}`;
    said.textContent = "";
    remember();
  } catch (error) {
    if (mine !== placeTurn) return;
    said.className = "bad";
    said.textContent = error instanceof api.Unreachable
      ? "The service does not answer; try again when it does."
      : `No series: ${error.message}`;
  }
}

// Hands

const go = (step) => {
  play(false);
  return show(days.shifted(shown.date, step));
};
$("previous").addEventListener("click", () => go(-1));
$("next").addEventListener("click", () => go(1));
$("play").addEventListener("click", () => play(!playing));
$("slider").addEventListener("input", () => {
  play(false);
  show(days.date(days.number(archive.days.first) + Number($("slider").value)));
});
$("date").addEventListener("change", () => $("date").value && (play(false), show($("date").value)));
$("swipe").addEventListener("input", () => map.swipeTo(swiped()));
$("where").addEventListener("submit", (event) => {
  event.preventDefault();
  pick(Number($("lat").value), Number($("lon").value));
});
document.addEventListener("keydown", (event) => {
  const within = event.target.closest("input, select, button, a, #map, #calendar");
  if (!archive?.days || event.ctrlKey || event.altKey || event.metaKey || within) return;
  const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -MONTH, PageDown: MONTH, Home: -1e6, End: 1e6 }[event.key];
  if (step) {
    event.preventDefault();
    const ends = { Home: archive.days.first, End: archive.days.newest }[event.key];
    if (ends) show(ends);
    else go(step);
  } else if (event.key === " ") {
    event.preventDefault();
    play(!playing);
  }
});
addEventListener("hashchange", () => {
  const date = asked().get("date");
  if (date && date !== shown.date && archive?.days) show(date);
});

await look();
if (archive?.days) choose(shown.layer);
