// The state of the service, in the header of the page.

import { element, textElement } from "./page_parts.js";
import { EXPECTED_EXIT_CODES, LAG_INCIDENT } from "./schema.js";

/** @import { Incident, ServiceStatus } from "./schema.js" */

/** @param {string | null} time */
const timeText = (time) => (time ? `${time.slice(0, 16).replace("T", " ")} UTC` : "–");

/** @param {ServiceStatus} status */
function lastRunText({ running_since: started, last_run: run }) {
  if (started) return `running since ${timeText(started)}`;
  if (!run) return "none yet";
  return `${timeText(run.ended)}, ${run.exit_code === 0 ? "succeeded" : `exit code ${run.exit_code}`}`;
}

/**
 * Return incidents in words; those of one kind on several days are one.
 *
 * @param {Incident[]} incidents
 */
function incidentsText(incidents) {
  /** @type {Map<string, Incident[]>} */
  const kinds = new Map();
  for (const incident of incidents) {
    const kind = incident.kind.replace(/ \d{4}-\d\d-\d\d$/, "");
    kinds.set(kind, [...(kinds.get(kind) || []), incident]);
  }
  const texts = [...kinds.values()].map(([first, ...more]) => {
    const others = more.length ? ` (and ${more.length} more days, to ${more[more.length - 1].kind.slice(-10)})` : "";
    return `${first.kind}${others}: ${first.message}`;
  });
  return texts.join("; ");
}

/**
 * Show the state of the service.
 *
 * @param {ServiceStatus} status
 */
export function showStatus(status) {
  const run = status.last_run;
  const failed = run !== null && !EXPECTED_EXIT_CODES.some((code) => code === run.exit_code);
  const late = status.incidents.some((incident) => incident.kind === LAG_INCIDENT);
  const others = status.incidents.filter((incident) => incident.kind !== LAG_INCIDENT);
  /** @type {[string, string, boolean][]} Name, text, and whether it is a fault. */
  const facts = [
    ["Newest day", status.newest || "none", false],
    ["Lag", status.lag_days === null ? "–" : `${status.lag_days} ${status.lag_days === 1 ? "day" : "days"}`, late],
    ["Last run", lastRunText(status), failed],
    ["Next run", timeText(status.next_run), false],
  ];
  if (others.length) facts.push(["Incidents", incidentsText(others), true]);
  element("empty-reason").textContent = run?.message ? `The last run: ${run.message}` : "";
  element("service-status").replaceChildren(
    ...facts.map(([name, text, bad]) => {
      const box = document.createElement("div");
      box.append(textElement("dt", name), textElement("dd", text));
      box.classList.toggle("bad", bad);
      return box;
    }),
  );
}

/**
 * Show a message above the page; without a text, hide it.
 *
 * @param {string | null} text
 */
export function showBanner(text) {
  element("banner").textContent = text || "";
  element("banner").hidden = !text;
}

/** Whether a message is shown. */
export const hasBanner = () => !element("banner").hidden;
