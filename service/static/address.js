// The page's address: what is shown, so that it can be sent as a link.

/** Return what the page's address says about day, layer, view and place. */
export const readAddress = () => new URLSearchParams(location.hash.slice(1));

/**
 * Write what is shown into the page's address.
 *
 * @param {Record<string, any>} shown
 */
export function writeAddress({ view, ...others }) {
  const state = view === "world" ? others : { view, ...others };
  history.replaceState(null, "", `#${new URLSearchParams(state)}`);
}
