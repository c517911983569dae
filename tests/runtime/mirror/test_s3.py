"""The mirror in a real S3 server that loses connections and answers 503, and what its readers see meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from runtime.archive.catalog import Catalog
from runtime.archive.derived import day_files
from runtime.common.events import untracked
from runtime.common.grid import Grid
from runtime.demo.files import write_lprm
from runtime.demo.world import World
from runtime.errors import MirrorFailed
from runtime.mirror.ledger import mirror_fault
from runtime.mirror.update import mirror_faults, planned_change, update_mirror
from tests.conftest import DAYS, START, MakeSite, Runtime, Site
from tests.support.mirror_reader import Truth
from tests.support.s3 import SECRET, S3Server, serve_s3

pytestmark = pytest.mark.slow

URL = "s3://archive/of/days"
MIRROR = f"archive.mirror={URL}"
UPDATES = range(9, 19)
"""Up to 13 an update brings the day of its number, later ones bring a file again. `range(1, 31)` takes some minutes."""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with serve_s3(monkeypatch, tmp_path) as server:
        yield server


def _note(truth: Truth, site: Site) -> None:
    with Catalog.open(site.paths.catalog, read_only=True) as catalog:
        truth.note([*day_files(site.archive, catalog).values()])


def _until_whole(site: Site) -> int:
    """Update until nothing fails; return how often an update failed."""
    for failures in range(100):
        try:
            update_mirror(site.config(MIRROR))
        except MirrorFailed:
            continue
        return failures
    pytest.fail("the mirror is never whole")


def _is_cut_off(site: Site, seconds: float) -> bool:
    """Update within so many seconds; return whether they were too few."""
    try:
        update_mirror(site.config(MIRROR, f"policy.max_mirror_minutes={seconds / 60}"))
    except MirrorFailed:
        return True
    return False


class _Polling:
    """A program that reads the mirror again and again; it knows nothing of this process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process, self.seen = process, list[dict[str, Any]]()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.seen.append(json.loads(line))

    def wait_for_one(self) -> dict[str, Any]:
        """Return what it saw in a whole reading that began after now."""
        moment, deadline = time.time(), time.monotonic() + 120
        while time.monotonic() < deadline:
            if self.seen and self.seen[-1]["began"] > moment:
                return self.seen[-1]
            time.sleep(0.02)
        pytest.fail("the reader has stopped")


@contextmanager
def _polling(store: S3Server) -> Iterator[_Polling]:
    options = json.dumps({"endpoint_url": store.sound_url})
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.mirror_reader", URL, options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"AWS_ENDPOINT_URL": store.sound_url},
    )
    try:
        yield _Polling(process)
    finally:
        process.kill()
        process.communicate()


def test_a_store_that_fails_a_third_of_the_time_has_everything_in_the_end(store: S3Server, make_site: MakeSite) -> None:
    site, truth = make_site(), Truth()
    store.share = 0.33
    outcome = site.fill(None, None, MIRROR)
    assert (outcome.exit_code, len(outcome.filled)) == (0, DAYS)
    failures = _until_whole(site)
    print(f"{failures} updates failed after the run; {dict(store.done)}")
    assert min(store.done[fate] for fate in ("503", "lost before", "lost after", "cut")) > 0
    store.share = 0.0
    assert mirror_fault(site.config(MIRROR)) is None
    assert mirror_faults(site.config(MIRROR), untracked) == []
    objects, puts = store.objects(), len(store.puts)
    for name, etag in objects.items():
        local = site.archive / name.removeprefix("of/days/")
        if name.endswith((".nc", ".json")) and "/cube.zarr/" not in name:
            assert etag == f'"{hashlib.md5(local.read_bytes()).hexdigest()}"', name
    assert site.fill(None, None, MIRROR).filled == []
    assert planned_change(site.config(MIRROR)).sent == []
    assert (store.objects(), len(store.puts)) == (objects, puts), "the second run changes nothing"
    _note(truth, site)
    with _polling(store) as reader:
        seen = reader.wait_for_one()
    assert "error" not in seen
    assert truth.faults(seen) == []
    assert (len(seen["files"]), len(seen["cube"])) == (DAYS, DAYS)


@pytest.mark.timeout(1800)
def test_a_reader_sees_whole_days_during_many_updates(store: S3Server, make_site: MakeSite, grid: Grid) -> None:
    site, truth = make_site(arrived=False), Truth()
    site.file.write_text(site.file.read_text() + "[policy]\nmax_lag_days = 30\n")
    store.share = 0.15
    spans, failures, cut_off = list[tuple[float, float]](), 0, 0
    site.bring(0, UPDATES[0] - 1)
    site.fill()
    _note(truth, site)
    _until_whole(site)
    with _polling(store) as reader:
        reader.wait_for_one()
        for number in UPDATES:
            if number < DAYS:
                site.bring(number, number)
            else:  # a file is published again, with other values
                day = number % DAYS
                site.lprm(day).unlink()
                (again,) = (each for each in World(grid, number).days(START, DAYS) if each.date == site.date(day))
                write_lprm(site.folder / "incoming" / "lprm", again, grid)
            assert site.fill().filled
            _note(truth, site)
            began = time.time()
            if number % 3 == 0:  # the time is over somewhere in the middle
                cut_off += _is_cut_off(site, 0.2 + 0.2 * (number - UPDATES[0]))
            failures += _until_whole(site)
            spans.append((began, time.time()))
            seen = reader.wait_for_one()
            assert len(seen["files"]) == len(seen["cube"]) == min(number + 1, DAYS)
    during = [
        each for each in reader.seen if any(each["began"] < end and begin < each["ended"] for begin, end in spans)
    ]
    print(f"{len(reader.seen)} readings, {len(during)} of them during an update")
    print(f"{failures} updates failed, {cut_off} were cut off; {dict(store.done)}")
    assert [each["error"] for each in reader.seen if "error" in each] == []
    assert [fault for each in reader.seen for fault in truth.faults(each)] == []
    assert len(during) >= len(UPDATES)
    assert cut_off
    store.share = 0.0
    assert mirror_faults(site.config(MIRROR), untracked) == []


def test_a_bucket_that_is_emptied_is_filled_again(store: S3Server, make_site: MakeSite) -> None:
    site = make_site(arrived=False)
    site.bring(0, 1)
    site.fill(None, None, MIRROR)
    objects = store.objects()
    bucket = boto3.resource("s3").Bucket(store.bucket)
    bucket.objects.delete()
    site.fill(None, None, MIRROR)
    assert store.objects() == objects


def test_a_lost_ledger_sends_nothing_that_the_store_proves_to_have(store: S3Server, make_site: MakeSite) -> None:
    site = make_site(arrived=False)
    site.bring(0, 1)
    site.fill(None, None, MIRROR, "archive.cube=false")
    puts = len(store.puts)
    site.paths.mirror_ledger.unlink()
    update_mirror(site.config(MIRROR, "archive.cube=false"))
    assert len(store.puts) == puts


def test_what_a_store_refuses_is_said_without_the_secret(
    store: S3Server, make_site: MakeSite, runtime: Runtime
) -> None:
    site = make_site(arrived=False)
    site.bring(0, 0)
    result = runtime("fill", "--date", START, "--config", site.file, "--set", "archive.mirror=s3://nowhere/days")
    assert result.exit_code == 0, result.output
    assert "warning: the mirror s3://nowhere/days: " in result.stderr
    assert SECRET not in result.output
