"""Is this machine ready? Engines, bundle, feeds, archive, disk and credentials."""

from __future__ import annotations

import datetime as dt
import netrc
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runtime.bundle import find_bundle, load_bundle, shipped_bundles
from runtime.config import Config, PrecipitationFeed, SoilMoistureFeed
from runtime.engines.select import ENGINES, choose_engine, unavailable_reason
from runtime.errors import SeamlessError
from runtime.inputs.listing import open_feed


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
    return [*_engines(config), *_bundles(config), *_feeds(config), *_disk(config), _credentials(config)]


def _engines(config: Config) -> list[Finding]:
    """Say of each engine whether it is there, or what it lacks; and what the configuration comes to."""
    findings = []
    for name in ENGINES:
        missing = unavailable_reason(name)
        findings.append(Finding(f"engine {name}", missing is None, False, missing or "available"))

    def chosen() -> str:
        setup = config.engine_setup
        found = choose_engine(load_bundle(find_bundle(config.model.bundle)), setup)
        return f"{found.engine}, {setup.precision} ({found.why})"

    return [*findings, _try("engine chosen", True, chosen)]


def _bundles(config: Config) -> list[Finding]:
    findings = []
    for name in sorted({*shipped_bundles(), config.model.bundle}):
        needed = name == config.model.bundle

        def look(name: str = name) -> str:
            bundle = load_bundle(find_bundle(name))
            return f"whole, {bundle.manifest.kind} kind, model id {bundle.model_id[:12]}" + (
                ", chosen" if name == config.model.bundle else ""
            )

        findings.append(_try(f"bundle {Path(name).name}", needed, look))
    return findings


def _feeds(config: Config) -> list[Finding]:
    today = dt.datetime.now(dt.UTC).date()

    def listing(section: SoilMoistureFeed | PrecipitationFeed) -> str:
        feed, wanted = open_feed(config, section)
        remote = section.kind == "earthdata"
        where = f"Earthdata, {' '.join(name for name, _ in wanted.chosen)}" if remote else section.path
        days = sorted(feed.granules(today - dt.timedelta(days=30), today) if remote else feed.granules())
        return (
            f"{where}: {len(days)} days"
            + (" of the last 31" if remote else "")
            + (f", {days[0]} to {days[-1]}" if days else "")
        )

    sections: list[SoilMoistureFeed | PrecipitationFeed] = [*config.feeds.soil_moisture, config.feeds.precipitation]
    return [
        _try(f"feed {section.product}", True, lambda section=section: listing(section))  # type: ignore[misc]
        for section in sections
        if section.kind != "none"
    ]


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


def _credentials(config: Config) -> Finding:
    kinds = {*(feed.kind for feed in config.feeds.soil_moisture), config.feeds.precipitation.kind}
    needed = "earthdata" in kinds
    if os.environ.get("EARTHDATA_TOKEN"):
        return Finding("Earthdata log-in", True, needed, "EARTHDATA_TOKEN is set")
    try:
        if netrc.netrc().authenticators(config.earthdata.edl_host):
            return Finding("Earthdata log-in", True, needed, f"~/.netrc has {config.earthdata.edl_host}")
    except (OSError, netrc.NetrcParseError):
        pass
    cure = "set EARTHDATA_TOKEN, see docs/operating.md" if needed else "folder feeds do not need one"
    return Finding("Earthdata log-in", False, needed, f"none found; {cure}")


def _try(what: str, needed: bool, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, needed, look())
    except SeamlessError as error:
        return Finding(what, False, needed, str(error))
