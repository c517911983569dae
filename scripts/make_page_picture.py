"""Make ``docs/images/page.png``, the picture of the web page in the README, from an archive.

The arguments are the archive's configuration, the fragment of the page's address, and the date to show as today::

    python scripts/make_page_picture.py seamless-sm.toml '#date=2015-04-12&layer=swipe&lat=17&lon=22' 2015-04-22
"""

from __future__ import annotations

import datetime as dt
import shutil
import sys
from pathlib import Path

import time_machine
from playwright.sync_api import sync_playwright

from runtime.config import load_config
from service.metrics import ArchiveCollector
from service.runner import FillRun, Runner
from service.schedule import FillSchedule
from service.serve import listening
from service.web import application

OUT = Path(__file__).parents[1] / "docs" / "images" / "page.png"
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


class _FinishedRunner(Runner):
    """A runner whose only run has ended."""

    def __init__(self, run: FillRun) -> None:
        super().__init__([])
        self.last = run


def main(file: str, fragment: str, today: str) -> None:
    """Serve the archive as on the day `today`, and save a picture of its page."""
    settings = load_config(Path(file), ["service.port=0"], environment={})
    noon = dt.datetime.fromisoformat(today).replace(hour=17, tzinfo=dt.UTC)
    with time_machine.travel(noon), sync_playwright() as control:
        runner = _FinishedRunner(FillRun(noon - dt.timedelta(minutes=82), noon - dt.timedelta(minutes=81), 0))
        schedule = FillSchedule(settings, runner)
        schedule.scheduler.start(paused=True)
        app = application(settings, runner, schedule, ArchiveCollector(settings, runner, noon.date))
        browser = control.chromium.launch(executable_path=shutil.which("chromium"), args=list(ARGUMENTS))
        with listening(settings, app) as address:
            page = browser.new_page(viewport={"width": 1400, "height": 800})
            page.goto(f"{address}/{fragment}")
            page.wait_for_selector("#chart canvas")
            page.wait_for_selector('#stage[aria-busy="false"]')
            page.wait_for_timeout(500)
            page.screenshot(path=OUT, full_page=True)
        browser.close()
        schedule.scheduler.shutdown()
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main(*sys.argv[1:])
