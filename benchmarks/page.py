"""Measure the web page in a real browser: first view, changing days, moving the map, and an area's mean.

The archives are those of ``benchmarks.reading``: twenty years of a region, and one year of the globe. Chromium renders
in software. A frame is the time between two calls of requestAnimationFrame; one of more than 50 ms is seen as a jerk.

    python -m benchmarks.page --folder FOLDER --json benchmarks/results/page.json
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.reading import ARCHIVES, made, serving
from runtime.config import Config

ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking")
DESK = {"width": 1440, "height": 900}
TIMES = 5
SLOW_MS = 50

_WATCH = """
window.firstMap = null;
const watch = () => {
  if (document.querySelector("#stage")?.dataset.shows) window.firstMap ??= performance.now();
  else requestAnimationFrame(watch);
};
requestAnimationFrame(watch);
window.frames_ms = [];
let before = performance.now();
const frame = (now) => { window.frames_ms.push(now - before); before = now; requestAnimationFrame(frame); };
requestAnimationFrame(frame);
"""


def first_view(browser: Browser, address: str) -> dict[str, Any]:
    """Open the page in fresh profiles; return the time to the first map and the bytes until all is loaded."""
    seconds, sizes = [], []
    for _ in range(TIMES):
        context = browser.new_context(viewport=DESK)
        page = context.new_page()
        page.add_init_script(_WATCH)
        received: list[float] = []
        network = context.new_cdp_session(page)
        network.send("Network.enable")
        network.on("Network.loadingFinished", lambda event, to=received: to.append(event["encodedDataLength"]))
        page.goto(address)
        page.wait_for_selector('#stage[aria-busy="false"][data-shows]')
        page.wait_for_load_state("networkidle")
        seconds.append(page.evaluate("window.firstMap") / 1e3)
        sizes.append(sum(received))
        context.close()
    return {
        "first map, median s": round(statistics.median(seconds), 2),
        "first map, most s": round(max(seconds), 2),
        "kB, with lines and names": round(statistics.median(sizes) / 1e3),
    }


def frames(page: Page) -> dict[str, Any]:
    """Return the frames since the last call."""
    found = sorted(page.evaluate("window.frames_ms.splice(0)"))
    return {
        "frames": len(found),
        "median ms": round(statistics.median(found), 1),
        "95 % ms": round(found[int(0.95 * (len(found) - 1))], 1),
        f"over {SLOW_MS} ms": sum(each > SLOW_MS for each in found),
        "frames a second": round(1000 * len(found) / sum(found), 1),
    }


def interactions(browser: Browser, address: str) -> dict[str, Any]:
    """Change days, move and zoom the map, and change the layer, as a person would."""
    page = browser.new_page(viewport=DESK)
    page.add_init_script(_WATCH)
    page.goto(address)
    page.wait_for_selector('#stage[aria-busy="false"][data-shows]')
    page.wait_for_load_state("networkidle")
    box = page.locator("#map").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    found = {}
    frames(page)
    for name, key in (("30 days back, not seen before", "ArrowLeft"), ("30 days forth, seen before", "ArrowRight")):
        page.locator("#day-title").click()
        for _ in range(30):
            page.keyboard.press(key)
            page.wait_for_timeout(100)
        page.wait_for_selector('#stage[aria-busy="false"]')
        found[name] = frames(page)
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(60):
        page.mouse.move(x + 150 * (step % 20 - 10) / 10, y + 60 * (step % 10 - 5) / 5)
        page.wait_for_timeout(16)
    page.mouse.up()
    page.wait_for_timeout(500)
    found["the map dragged for a second and more"] = frames(page)
    for step in range(6):
        page.mouse.wheel(0, -200 if step < 3 else 200)
        page.wait_for_timeout(400)
    found["three zooms in and out"] = frames(page)
    for layer in ("flag", "soil_moisture_uncertainty", "soil_moisture"):
        page.locator(f'#layers input[value="{layer}"]').evaluate("input => input.click()")
        page.wait_for_selector(f'#stage[aria-busy="false"][data-shows$=" {layer}"]')
    found["three layers"] = frames(page)
    page.close()
    return found


def area(address: str) -> dict[str, float]:
    """Return the seconds that the mean over a basin takes."""
    polygon = {"type": "Polygon", "coordinates": [[[1, 43], [6, 43], [6, 48], [1, 48], [1, 43]]]}
    seconds = []
    for _ in range(TIMES):
        started = time.monotonic()
        httpx.post(f"{address}/api/area", json=polygon, timeout=60).raise_for_status()
        seconds.append(time.monotonic() - started)
    return {"median_s": round(statistics.median(seconds), 2), "first_s": round(seconds[0], 2)}


def measure_page(settings: Config) -> dict[str, Any]:
    """Return all figures for an archive."""
    with serving(settings) as address, sync_playwright() as control:
        browser = control.chromium.launch(executable_path=shutil.which("chromium"), args=list(ARGUMENTS))
        found = {
            "first view": first_view(browser, address),
            "frames": interactions(browser, address),
            "mean over 20 x 20 cells": area(address),
        }
        browser.close()
    return found


def main() -> None:
    """Publish unless it is done, open, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the archives are or will be; kept")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    results = {}
    for name, days in ARCHIVES.items():
        results[name] = measure_page(made(arguments.folder, name, days))
        print(json.dumps({name: results[name]}, indent=1), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
