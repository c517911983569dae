// Small helpers for the parts of the page.

/**
 * Return the element with an id.
 *
 * @param {string} id
 * @returns {any} any: the page knows which kind of element each id has.
 */
export const element = (id) => document.getElementById(id);

/**
 * Return a new element with some text.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} text
 */
export function textElement(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

/**
 * Let the browser save a file.
 *
 * @param {Blob} content
 * @param {string} name
 */
export function save(content, name) {
  const link = document.createElement("a");
  [link.href, link.download] = [URL.createObjectURL(content), name];
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * Return one button of a group of which one is chosen.
 *
 * @param {string} group
 * @param {string} value
 * @param {string} label
 * @param {boolean} checked
 * @param {() => void} onChoice
 */
export function choice(group, value, label, checked, onChoice) {
  const [box, input] = [document.createElement("label"), document.createElement("input")];
  Object.assign(input, { type: "radio", name: group, value, checked });
  input.addEventListener("change", onChoice);
  box.append(input, label);
  return box;
}
