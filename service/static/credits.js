// The licence, the papers to cite and the catalogue, at the end of the page.

/** @import { ArchiveInfo } from "./schema.js" */

/**
 * Return the text and the links.
 *
 * @param {ArchiveInfo} archive
 */
export function credits({ licence, citations }) {
  /** @type {(string | HTMLElement)[]} */
  const parts = [`${licence}. Method: `];
  citations.forEach(({ doi, text }, number) => {
    const link = document.createElement("a");
    [link.href, link.textContent, link.title] = [`https://doi.org/${doi}`, `doi:${doi}`, text];
    parts.push(number ? ", " : "", link);
  });
  const stac = document.createElement("a");
  [stac.href, stac.textContent] = ["archive/stac/collection.json", "STAC"];
  return [...parts, ". Catalogue: ", stac, ". Lines: Natural Earth. Towns: GeoNames, CC BY 4.0."];
}
