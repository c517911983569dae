"""The catalog across versions."""

import datetime as dt
import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.archive import database
from runtime.archive.catalog import Catalog
from runtime.archive.record import RecordedInput
from runtime.common.vocabulary import TODAY, Tier
from tests.support.records import day_record

DAY = dt.date(2015, 4, 1)
RECORD = day_record(DAY, tier=Tier.CONSOLIDATED, inputs={TODAY: RecordedInput("name.nc4", "field")})


def test_a_catalog_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    db = sqlite3.connect(path)
    db.executescript(database._MIGRATIONS[0])
    record = json.dumps(RECORD.to_attributes())
    db.execute("INSERT INTO day VALUES (?, ?, 'p', 'sha', 1, 2, 3)", (DAY.isoformat(), record))
    made = (DAY.isoformat(), 3, "2015-04-05T12:00:00+00:00", "new", "consolidated", "cpu", 1.5, None, "f", "sha")
    db.execute(f"INSERT INTO revision VALUES (1{', ?' * len(made)})", made)
    row = {"record": RECORD.to_attributes(), "path": "p", "sha256": "sha", "size": 1, "mtime_ns": 2, "revision": 3}
    names = [
        "date",
        "revision",
        "made_at",
        "reason",
        "tier",
        "engine",
        "seconds",
        "fingerprint_before",
        "fingerprint",
        "sha256",
    ]
    entry = {"row": row, "revision": dict(zip(names, made, strict=True))}
    db.execute("INSERT INTO journal VALUES (?, ?)", (DAY.isoformat(), json.dumps(entry)))
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    with Catalog.open(path) as catalog:
        assert catalog.days()[DAY].record == RECORD
        assert (catalog.revisions()[0].seconds, catalog.revisions()[0].phases) == (1.5, {})
        (intent,) = catalog.intents()
        assert (intent.row.sha256, intent.supersedes) == ("sha", None)
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (database.SCHEMA_VERSION,)
    db.close()


def test_what_is_missing_is_counted_without_reading_it_all(tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "catalog.sqlite") as catalog:
        assert catalog.first_and_newest() is None
        assert catalog.missing(DAY, DAY + dt.timedelta(1)) == [DAY, DAY + dt.timedelta(1)]
        assert catalog.missing(DAY, DAY - dt.timedelta(1)) == []


@pytest.mark.parametrize("read_only", [False, True])
def test_all_who_make_a_catalog_at_once_find_one(tmp_path: Path, read_only: bool) -> None:
    """A first run makes it while the service looks: whoever comes second finds it done."""

    def come(number: int) -> int:
        start.wait()
        with Catalog.open(path, read_only=read_only and number > 0) as catalog:
            return catalog.db.version()

    for turn in range(10):
        path, start = tmp_path / f"{turn}.sqlite", threading.Barrier(6)
        with ThreadPoolExecutor(6) as all_of_them:
            assert set(all_of_them.map(come, range(6))) == {database.SCHEMA_VERSION}
