"""Check whether this machine can run the configured job: engines, bundle, feeds, disk and credentials."""

from __future__ import annotations

import datetime as dt
import netrc
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runtime.archive.paths import ArchivePaths
from runtime.bundle import find_bundle, load_bundle, shipped_bundles
from runtime.common.clock import today
from runtime.common.deadline import TimeLimits
from runtime.common.text import counted
from runtime.common.urls import without_secrets
from runtime.config import Config, PrecipitationFeed, SoilMoistureFeed
from runtime.engines.select import ENGINES, EngineSettings, choose_engine, unavailable_reason
from runtime.errors import LoginRefused, SeamlessError
from runtime.inputs.listing import open_feed


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    what: str
    """What was checked."""
    good: bool
    """Whether it can be used."""
    needed: bool
    """Whether the configured job needs it."""
    detail: str
    """What was found, or what is wrong and what to do."""
    exit_code: int = 0
    """Exit code of a command that meets this fault; 0 if there is none."""


def examine(config: Config) -> list[Finding]:
    """Check everything that the configured job needs, and everything that it could use."""
    return [*_engines(config), *_bundles(config), *_feeds(config), *_disk(config), _credentials(config)]


def _engines(config: Config) -> list[Finding]:
    """Check every engine, and choose the one for the configuration."""
    findings = []
    for name in ENGINES:
        reason = unavailable_reason(name)
        findings.append(Finding(what=f"engine {name}", good=reason is None, needed=False, detail=reason or "available"))

    def choose(name: str) -> str:
        settings = EngineSettings.configured(config, ArchivePaths.of(config).engines)
        chosen = choose_engine(load_bundle(find_bundle(name)), settings)
        return f"{chosen.engine}, {settings.precision} ({chosen.why})"

    return [*findings, *(_finding("engine chosen", True, partial(choose, name)) for name in config.bundles)]


def _bundles(config: Config) -> list[Finding]:
    findings = []
    for name in sorted({*shipped_bundles(), *config.bundles}):
        needed = name in config.bundles

        def load(name: str = name, needed: bool = needed) -> str:
            bundle = load_bundle(find_bundle(name))
            text = f"whole, {bundle.manifest.kind} kind, model id {bundle.model_id[:12]}"
            return f"{text}, chosen" if needed else text

        findings.append(_finding(f"bundle {Path(name).name}", needed, load))
    return findings


def _feeds(config: Config) -> list[Finding]:
    last, limits = today(), TimeLimits.start(config.policy.max_run_minutes, config.policy.max_file_minutes)

    def listing(section: SoilMoistureFeed | PrecipitationFeed) -> str:
        feed, wanted = open_feed(config, section, limits)
        remote = section.kind == "earthdata"
        where = f"Earthdata, {' '.join(name for name, _ in wanted.chosen)}" if remote else without_secrets(section.path)
        days = sorted(feed.granules(last - dt.timedelta(days=30), last) if remote else feed.granules())
        return (
            f"{where}: {counted(len(days), 'day')}"
            + (" of the last 31" if remote else "")
            + (f", {days[0]} to {days[-1]}" if days else "")
        )

    sections: list[SoilMoistureFeed | PrecipitationFeed] = [*config.feeds.soil_moisture, config.feeds.precipitation]
    return [
        _finding(f"feed {section.product}", True, lambda section=section: listing(section))  # type: ignore[misc]
        for section in sections
        if section.kind != "none"
    ]


def _disk(config: Config) -> list[Finding]:
    def space() -> str:
        folder = config.archive.path
        while not os.path.lexists(folder) and folder != folder.parent:
            folder = folder.parent
        if not os.access(folder, os.W_OK):
            raise SeamlessError(f"{folder} cannot be written; check its permissions")
        free = shutil.disk_usage(folder).free / 2**30
        if free < 1:
            raise SeamlessError(f"{folder}: {free:.2f} GiB free; a day of the globe needs about 5 MiB, keep 1 GiB")
        return f"{config.archive.path}: {free:.1f} GiB free"

    return [_finding("archive", True, space)]


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
    return Finding("Earthdata log-in", False, needed, f"none found; {cure}", LoginRefused.exit_code)


def _finding(what: str, needed: bool, check: Callable[[], str]) -> Finding:
    """Call a check, which returns what it found or raises an error."""
    try:
        return Finding(what, True, needed, check())
    except SeamlessError as error:
        return Finding(what, False, needed, str(error), error.exit_code)
