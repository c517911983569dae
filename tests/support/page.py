"""A page in a browser, and everything that goes wrong on it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

PICTURES = Path(os.environ.get("SEAMLESS_SM_SCREENSHOTS", Path(__file__).parents[2] / "screenshots"))


@dataclass
class Visit:
    """A page that is open, and everything that went wrong on it."""

    page: Any
    address: str
    wrong: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    """What may go wrong, as regular expressions."""

    def goes_to(self, fragment: str = "") -> Visit:
        self.page.goto(f"{self.address}/{fragment}")
        return self

    def shows(self, what: str) -> None:
        """Wait until the map shows a day and a layer."""
        self.page.wait_for_selector(f'#stage[aria-busy="false"][data-shows="{what}"]')

    def until(self, condition: str) -> None:
        """Wait for something to be true (Playwright's own way needs eval, which the page forbids)."""
        deadline = time.monotonic() + 30
        while not self.page.evaluate(condition):
            assert time.monotonic() < deadline, f"{condition} did not come true"
            self.page.wait_for_timeout(50)

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def colours(self, canvas: int = 0, shape: tuple[int, int] = (60, 80)) -> Any:
        """Return a canvas of the map as (rows, cols, 4) bytes."""
        values = self.page.evaluate(
            """n => { const c = document.querySelectorAll("#map canvas")[n];
                      return Array.from(c.getContext("2d").getImageData(0, 0, c.width, c.height).data) }""",
            canvas,
        )
        return np.array(values, np.uint8).reshape(*shape, 4)

    def picture(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png", full_page=True)

    def is_accessible(self) -> None:
        """Let axe look for serious and critical faults."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        serious = [
            f"{v['id']}: {v['help']}: {[n['html'][:120] for n in v['nodes']]}"
            for v in found
            if v["impact"] in ("serious", "critical")
        ]
        assert serious == []
