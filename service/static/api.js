// What the service answers. A server that is not there is an Unreachable, everything else it says is a Refused.

export class Unreachable extends Error {}

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path) {
  let answer;
  try {
    answer = await fetch(path, { headers: { Accept: "*/*" } });
  } catch {
    throw new Unreachable("the service does not answer");
  }
  if (answer.ok) return answer;
  if (answer.status === 502 || answer.status === 504) throw new Unreachable("the service does not answer");
  const said = await answer.json().catch(() => ({}));
  const detail = Array.isArray(said.detail) ? said.detail.map((d) => d.msg).join("; ") : said.detail;
  throw new Refused(answer.status, detail || `the service answered ${answer.status}`);
}

const json = async (path) => (await ask(path)).json();

export const archive = () => json("api/archive");
export const calendar = () => json("api/calendar");
export const status = () => json("api/status");
export const series = (lat, lon) => json(`api/series?lat=${lat}&lon=${lon}`);
export const csv = (lat, lon) => `api/series?lat=${lat}&lon=${lon}&format=csv`;
export const file = (date) => `api/days/${date}/file`;

const frames = new Map(); // the newest requests last
const MOST_FRAMES = 160;

export const forget = () => frames.clear();

// One byte a cell, north first.
export function frame(date, layer) {
  const key = `${date}/${layer}`;
  let found = frames.get(key);
  frames.delete(key);
  if (!found) {
    found = ask(`api/days/${date}/map/${layer}`).then(async (a) => new Uint8Array(await a.arrayBuffer()));
    found.catch(() => frames.delete(key));
  }
  frames.set(key, found);
  if (frames.size > MOST_FRAMES) frames.delete(frames.keys().next().value);
  return found;
}
