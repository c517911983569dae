// The line on the map between two layers: it is dragged, or moved with the slider below the map.

import { element } from "./page_parts.js";

export class SwipeLine {
  /** @param {(share: number) => void} onMove Called with the distance from the left edge of the map, 0 to 1. */
  constructor(onMove) {
    const [line, slider] = [element("swipe-line"), element("swipe")];
    slider.addEventListener("input", () => onMove(this.place()));
    line.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      const box = element("stage").getBoundingClientRect();
      line.setPointerCapture(event.pointerId);
      const drag = (/** @type {PointerEvent} */ moved) => {
        slider.value = (100 * (moved.clientX - box.left)) / box.width;
        onMove(this.place());
      };
      line.addEventListener("pointermove", drag);
      line.addEventListener("lostpointercapture", () => line.removeEventListener("pointermove", drag), { once: true });
    });
  }

  /** Move the line to where the slider is, and return that place, 0 to 1. */
  place() {
    const share = element("swipe").value / 100;
    element("swipe-line").style.left = `${share * 100}%`;
    return share;
  }
}
