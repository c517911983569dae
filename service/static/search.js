// The search above the map: the name of a town, or a place in degrees.

import { coordinates, find, fullName, towns } from "./names.js";
import { element } from "./page_parts.js";

/**
 * Let the form of the search lead to places.
 *
 * @param {(lat: number, lon: number) => void} onPlace Called with the place that was found.
 */
export function findPlaces(onPlace) {
  const [form, input, list, status] = ["find", "town", "towns", "find-status"].map(element);
  input.addEventListener("input", async (/** @type {InputEvent} */ event) => {
    const found = find(await towns(), input.value);
    list.replaceChildren(...found.map((town) => new Option(fullName(town), fullName(town))));
    const isChosen = !event.inputType || event.inputType === "insertReplacementText"; // from the list, not typed
    if (isChosen && found.some((town) => fullName(town) === input.value)) form.requestSubmit();
  });
  form.addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (!text) return;
    const known = await towns();
    const place = coordinates(text) ?? find(known, text)[0];
    if (place) {
      status.textContent = "name" in place ? fullName(/** @type {any} */ (place)) : "";
      return onPlace(place.lat, place.lon);
    }
    status.textContent = known.length
      ? `No town of 100,000 people or more, and no capital, begins with “${text}”. Enter a place in degrees: 45.2 N 5.7 E.`
      : "The names of towns cannot be loaded. Enter a place in degrees: 45.2 N 5.7 E.";
  });
}
