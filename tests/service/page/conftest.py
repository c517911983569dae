"""The page in a real browser: headless Chromium, driven by Playwright, against the application on a real port.

Every test fails on a console error and on a request to any other host. Pictures are left in ``screenshots/`` (or where
SEAMLESS_SM_SCREENSHOTS says).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from service.serve import listening
from tests.conftest import Site, tool
from tests.service.conftest import web
from tests.support.page import Visit

playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("axe_playwright_python.sync_playwright")

QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
DESK = {"width": 1400, "height": 900}


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as control:
        chromium = control.chromium.launch(executable_path=tool("chromium"), args=list(QUIET))
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def address(varied: Site) -> Iterator[str]:
    with web(varied) as app, listening(varied.config(), app) as address:
        yield address


Open = Callable[..., Visit]


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Open]:
    """Return a function that opens the page in a browser profile of its own."""
    visits: list[Visit] = []
    with ExitStack() as held:

        def start(at: str = address, viewport: dict[str, int] | None = None, **options: Any) -> Visit:
            context = browser.new_context(viewport=viewport or DESK, **options)
            held.callback(context.close)
            opened = Visit(context.new_page(), at)
            page = opened.page
            page.on("console", lambda m: opened.wrong.append(m.text) if m.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: opened.wrong.append(str(error)))
            known = (at, "data:", "blob:")
            page.on("request", lambda r: None if r.url.startswith(known) else opened.wrong.append(r.url))
            visits.append(opened)
            return opened

        yield start
        for opened in visits:
            unknown = [w for w in opened.wrong if not any(re.search(e, w) for e in opened.expected)]
            assert unknown == []
