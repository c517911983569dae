"""Check whether this machine can run the configured job: engines, bundle, feeds, log-ins and disk."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runtime.archive.paths import ArchivePaths
from runtime.bundle import find_bundle, load_any_bundle, load_bundle, shipped_bundles
from runtime.common.clock import today
from runtime.common.deadline import Deadline, TimeLimits
from runtime.common.text import counted
from runtime.common.urls import without_secrets
from runtime.config import Config, PrecipitationFeed, SoilMoistureFeed
from runtime.engines.select import ENGINES, EngineSettings, choose_engine, unavailable_reason
from runtime.errors import SeamlessError
from runtime.inputs.listing import open_feed
from runtime.mirror.store import MirrorStore
from runtime.mirror.update import require_mirror
from runtime.pipeline.models import require_accepted

_PATIENCE_S = 120.0
"""Seconds that a feed has to be listed and to try its log-in."""


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


def examine(config: Config, *, offline: bool = False) -> list[Finding]:
    """Check everything that the configured job needs, and everything that it could use.

    Parameters
    ----------
    config : Config
        The configuration.
    offline : bool
        Ask no server.
    """
    mirror = _mirror(config, offline=offline) if config.archive.mirror else []
    return [*_engines(config), *_bundles(config), *_feeds(config, offline=offline), *_disk(config), *mirror]


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
    for name in sorted({*shipped_bundles(), *shipped_bundles(retrieval=True), *config.bundles}):
        needed = name in config.bundles

        def load(name: str = name, needed: bool = needed) -> str:
            path = find_bundle(name)
            bundle = load_any_bundle(path)
            for feed in config.feeds.soil_moisture if needed else ():
                if name == (feed.bundle or config.model.bundle):
                    require_accepted(load_bundle(path), feed)
            text = f"whole, {bundle.manifest.kind} kind, model id {bundle.model_id[:12]}"
            return f"{text}, chosen" if needed else text

        findings.append(_finding(f"bundle {Path(name).name}", needed, load))
    return findings


def _feeds(config: Config, *, offline: bool) -> list[Finding]:
    """List every feed, and try its log-in."""
    sections: list[SoilMoistureFeed | PrecipitationFeed] = [*config.feeds.soil_moisture, config.feeds.precipitation]
    return [
        _finding(f"feed {section.product}", True, lambda section=section: _feed(config, section, offline=offline))  # type: ignore[misc]
        for section in sections
        if section.kind != "none"
    ]


def _feed(config: Config, section: SoilMoistureFeed | PrecipitationFeed, *, offline: bool) -> str:
    limits = TimeLimits(Deadline.after(_PATIENCE_S, "runtime doctor"), config.policy.max_file_minutes)
    feed, wanted = open_feed(config, section, limits)
    names = {
        "earthdata": f"Earthdata, {' '.join(name for name, _ in wanted.chosen)}",
        "cds": f"CDS, {config.cds.dataset}",
    }
    where = names.get(section.kind) or without_secrets(section.path)
    if offline and not feed.in_place:
        return f"{where}: not asked, nor its log-in tried (--offline)"
    last = today()
    is_recent = section.kind == "earthdata"
    listing = feed.granules(last - dt.timedelta(days=30), last) if is_recent else feed.granules()
    days = sorted(listing)
    found = f"{where}: {counted(len(days), 'day')}"
    found += (" of the last 31" if is_recent else "") + (f", {days[0]} to {days[-1]}" if days else "")
    try:
        login = feed.check_login(listing)
    except SeamlessError as error:
        raise type(error)(f"{found}; {error}") from error
    return f"{found}; {login}" if login else found


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


def _mirror(config: Config, *, offline: bool) -> list[Finding]:
    """List the mirror; whether it can be written is seen by the first update."""

    def listing() -> str:
        limits = TimeLimits(Deadline.after(_PATIENCE_S, "runtime doctor"), config.policy.max_file_minutes)
        store = MirrorStore(require_mirror(config), limits)
        if offline:
            return f"{store.shown}: not asked (--offline)"
        store.require_outside(config.archive.path)
        return f"{store.shown}: {counted(len(store.listing()), 'object')}"

    return [_finding("mirror", True, listing)]


def _finding(what: str, needed: bool, check: Callable[[], str]) -> Finding:
    """Call a check, which returns what it found or raises an error."""
    try:
        return Finding(what, True, needed, check())
    except SeamlessError as error:
        return Finding(what, False, needed, str(error), error.exit_code)
