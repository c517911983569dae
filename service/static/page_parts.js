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
