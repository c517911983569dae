"""Publishing is atomic: a run killed at any line of it leaves yesterday's truth or today's, and the next run heals.

Each case forks a child that publishes a day and dies, without any clean-up, at the n-th line executed in the publishing
modules. Lines stand for instructions here: what SQLite, netCDF and the kernel do inside one line is theirs to promise.
"""

import multiprocessing
import os
import sqlite3
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from runtime.archive import cf
from runtime.archive.catalog import Catalog
from runtime.archive.database import SCHEMA_VERSION
from runtime.archive.layout import LAYOUTS
from runtime.archive.lock import hold_archive
from runtime.archive.paths import ArchivePaths
from runtime.archive.publish import Making, publish_day, recover, write_day
from runtime.archive.record import PublishedDay
from runtime.archive.rows import DayRow, Intent, Revision
from runtime.archive.verify import archive_faults
from runtime.common import digest
from runtime.common.atomic import PART
from runtime.common.grid import Grid
from runtime.common.vocabulary import LayoutName, Tier
from runtime.errors import ArchiveBusy, ArchiveError
from runtime.fill.result import Filled
from tests.conftest import START, Site
from tests.support.records import day_record, published_day

TRACED = ("publish.py", "catalog.py", "database.py", "atomic.py", "lock.py")


def _day(grid: Grid, value: float, fingerprint: str) -> PublishedDay:
    field = np.full(grid.shape, value, np.float32)
    filled = Filled(field, field, np.zeros(grid.shape, np.int8), np.zeros(grid.shape, np.int16))
    record = day_record(START, fingerprint=fingerprint)
    return published_day(record, grid, filled)


def _publish(site: Site, day: PublishedDay, layout: LayoutName) -> None:
    settings = site.config()
    with hold_archive(site.paths.lock), Catalog.open(ArchivePaths.of(settings).catalog) as catalog:
        recover(site.paths, catalog)
        before = catalog.days().get(START)
        making = Making(reason="test", engine="none", phases={}, inputs={})
        written = write_day(settings.archive.path, LAYOUTS[layout], day)
        publish_day(settings.archive.path, catalog, day.record, written, making, before=before)


def _publish_and_die(site: Site, day: PublishedDay, layout: LayoutName, line: int) -> bool:
    """Publish in a child that dies at the `line`-th line; return whether it lived to the end."""
    child = os.fork()
    if child == 0:
        left = line

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal left
            if not frame.f_code.co_filename.endswith(TRACED):
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    os._exit(9)
            return trace

        sys.settrace(trace)
        try:
            _publish(site, day, layout)
        except BaseException:
            os._exit(3)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9), "publishing failed by itself"
    return code == 0


def _state(site: Site) -> tuple[str, DayRow]:
    with Catalog.open(site.paths.catalog, read_only=True) as catalog:
        row = catalog.days()[START]
        assert catalog.intents() == []
    assert [path.relative_to(site.archive) for path in site.archive.glob("2020/*")] == [Path(row.path)]
    return digest.of_file(site.archive / row.path), row


@pytest.mark.slow
@pytest.mark.parametrize("layout", LayoutName, ids=["the same layout", "another layout"])
def test_killed_at_any_line(layout: LayoutName, window_site: Site) -> None:
    """In a process of its own: a child forked off one with threads may inherit a lock nobody gives back."""
    process = multiprocessing.get_context("spawn").Process(target=_kill_at_every_line, args=(window_site, layout))
    process.start()
    process.join()
    assert process.exitcode == 0


def _kill_at_every_line(window_site: Site, layout: LayoutName) -> None:
    grid = Grid(1.0, 0.0, np.ones((4, 4), bool))
    site = window_site
    old, new = _day(grid, 0.2, "old"), _day(grid, 0.4, "new")
    _publish(site, old, LayoutName.CF)
    old_sha, _ = _state(site)
    outcomes = set()
    line, lived = 0, False
    while not lived:
        line += 1
        lived = _publish_and_die(site, new, layout, line)
        faults = archive_faults(site.config(), lambda items, _: items)
        assert faults == [], f"killed at line {line}: the archive is not whole in between"
        with (
            hold_archive(site.paths.lock),
            Catalog.open(site.paths.catalog) as catalog,
        ):
            recover(site.paths, catalog)
        sha, row = _state(site)
        assert sha == row.sha256, f"killed at line {line}"
        assert row.record.fingerprint == ("old" if sha == old_sha else "new"), f"killed at line {line}"
        assert not list(site.archive.glob(f"*/*{PART}")), f"killed at line {line}: something was left behind"
        outcomes.add(row.record.fingerprint)
        if sha != old_sha:
            _publish(site, old, LayoutName.CF)
    print(f"killed at {line} lines")
    assert line > 60
    assert outcomes == {"old", "new"}


def test_the_lock_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "archive" / ".catalog" / "lock"
    with hold_archive(path), pytest.raises(ArchiveBusy, match=rf"process {os.getpid()} .*is writing to this archive"):
        with hold_archive(path):
            pass
    with hold_archive(path):
        pass


def test_a_dead_holder_does_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "archive" / ".catalog" / "lock"
    child = os.fork()
    if child == 0:
        with hold_archive(path):
            os._exit(9)
    os.waitpid(child, 0)
    with hold_archive(path):
        pass


def test_a_reader_gets_past_a_commit_that_was_killed(tmp_path: Path) -> None:
    """SQLite leaves a hot journal behind, which only a connection that may write can roll back."""
    path = tmp_path / "catalog.sqlite"
    with Catalog.open(path) as catalog:
        catalog.open_incident("kept", "message", "then")
    child = os.fork()
    if child == 0:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM incident")
        for number in range(2000):
            db.execute("INSERT INTO incident VALUES (?, 'x', 'x')", (f"{number}" * 20,))
        os._exit(9)
    os.waitpid(child, 0)
    assert path.with_name("catalog.sqlite-journal").stat().st_size > 0
    with Catalog.open(path, read_only=True) as catalog:
        assert catalog.incidents() == {"kept": ("message", "then")}
        with pytest.raises(ArchiveError, match="readonly"):
            catalog.commit(Intent(*_nothing()), published=False)


def _nothing() -> tuple[DayRow, Revision]:
    revision = Revision(
        date=START,
        revision=1,
        made_at="",
        reason="",
        tier=Tier.PROVISIONAL,
        engine="",
        seconds=0.0,
        fingerprint_before=None,
        fingerprint="",
        sha256="",
        phases={},
        inputs={},
    )
    return DayRow(day_record(START), "p", "s", 0, 0, 1), revision


def test_a_newer_catalog_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    Catalog.open(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(ArchiveError, match=f"schema version 99, this version reads {SCHEMA_VERSION}"):
        Catalog.open(path)


def test_the_same_day_is_the_same_bytes(tmp_path: Path) -> None:
    day = _day(Grid(1.0, 0.0, np.ones((4, 4), bool)), 0.3, "f")
    for name in "ab":
        cf.CfLayout().write(tmp_path / name, day)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
