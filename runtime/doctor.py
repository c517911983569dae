"""Is this machine ready? Engines, bundle, feeds, archive, disk and credentials."""

from __future__ import annotations

import netrc
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runtime import bundle as bundles
from runtime.config import Config
from runtime.errors import SeamlessError
from runtime.feeds.folder import FolderFeed

EARTHDATA_HOST = "urs.earthdata.nasa.gov"


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    good: bool
    needed: bool
    """Whether the configured job cannot run without it."""
    detail: str


def examine(config: Config) -> list[Finding]:
    """Look at everything the configured job needs, and at what it could use."""
    return [*_engines(config), *_bundles(config), *_feeds(config), *_disk(config), _credentials()]


def _engines(config: Config) -> list[Finding]:
    from runtime.engines import ort

    try:
        offered = ort.available()
    except SeamlessError as error:
        return [Finding("engine", False, True, str(error))]
    chosen = ort.best_available() if config.model.engine == "auto" else config.model.engine
    return [
        Finding(
            f"engine {name}",
            there,
            name == chosen,
            ("available" if there else f"the installed ONNX Runtime has no {ort.PROVIDERS[name]}")
            + (", chosen" if name == chosen else ""),
        )
        for name, there in offered.items()
    ]


def _bundles(config: Config) -> list[Finding]:
    findings = []
    for name in sorted({*bundles.shipped(), config.model.bundle}):
        needed = name == config.model.bundle

        def look(name: str = name) -> str:
            bundle = bundles.load(bundles.find(name))
            return f"whole, {bundle.manifest.kind} kind, model id {bundle.model_id[:12]}" + (
                ", chosen" if name == config.model.bundle else ""
            )

        findings.append(_try(f"bundle {Path(name).name}", needed, look))
    return findings


def _feeds(config: Config) -> list[Finding]:
    def listing(url: str, product: str, runs: tuple[str, ...] = (), orbit: str | None = None) -> str:
        days = sorted(FolderFeed(url, product, config.inbox_path, runs=runs, orbit=orbit).granules())
        return f"{url}: {len(days)} days" + (f", {days[0]} to {days[-1]}" if days else "")

    findings = [
        _try(f"feed {f.product}", True, lambda f=f: listing(f.path, f.product, orbit=f.orbit))  # type: ignore[misc]
        for f in config.feeds.soil_moisture
    ]
    rain = config.feeds.precipitation
    if rain.kind == "folder":
        findings.append(_try(f"feed {rain.product}", True, lambda: listing(rain.path, rain.product, rain.runs)))
    return findings


def _disk(config: Config) -> list[Finding]:
    def space() -> str:
        folder = config.archive.path
        while not folder.exists():
            folder = folder.parent
        if not os.access(folder, os.W_OK):
            raise SeamlessError(f"{folder} cannot be written; check its permissions")
        free = shutil.disk_usage(folder).free / 2**30
        if free < 1:
            raise SeamlessError(f"{folder}: {free:.2f} GiB free; a day of the globe needs about 5 MiB, keep 1 GiB")
        return f"{config.archive.path}: {free:.1f} GiB free"

    return [_try("archive", True, space)]


def _credentials() -> Finding:
    if os.environ.get("EARTHDATA_TOKEN"):
        return Finding("Earthdata log-in", True, False, "EARTHDATA_TOKEN is set")
    try:
        if netrc.netrc().authenticators(EARTHDATA_HOST):
            return Finding("Earthdata log-in", True, False, f"~/.netrc has {EARTHDATA_HOST}")
    except (OSError, netrc.NetrcParseError):
        pass
    return Finding("Earthdata log-in", False, False, "none found; folder feeds do not need one")


def _try(what: str, needed: bool, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, needed, look())
    except SeamlessError as error:
        return Finding(what, False, needed, str(error))
