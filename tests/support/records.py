"""Records of days for tests that publish made-up fields."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from runtime.archive import cf
from runtime.archive.cube import DayFile
from runtime.archive.record import DayRecord, PublishedDay
from runtime.common import digest
from runtime.common.grid import Grid
from runtime.common.vocabulary import TODAY, ModelKind, Tier
from runtime.config import Metadata
from runtime.fill.result import Filled


def day_record(date: dt.date, **values: Any) -> DayRecord:
    """Return a record of a day without input, but for the values given."""
    usual = {
        "tier": Tier.PROVISIONAL,
        "fingerprint": "f",
        "state_fingerprint": None,
        "model": "m 1",
        "model_id": "id",
        "settings_digest": "s",
        "inputs": {TODAY: None},
    }
    return DayRecord(date=date, **(usual | values))


def published_day(record: DayRecord, grid: Grid, filled: Filled, **values: Any) -> PublishedDay:
    """Return what a layout writes for a made-up day."""
    usual = {"kind": ModelKind.WINDOW, "band": "x", "sensor": "AMSR2", "metadata": Metadata()}
    return PublishedDay(record=record, grid=grid, filled=filled, **(usual | values))


def put_day(archive: Path, day: PublishedDay) -> tuple[dt.date, DayFile]:
    """Write a day's file into an archive's folder, in place of one that is there."""
    path = archive / cf.CfLayout().relative_path(day.record.date)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    cf.CfLayout().write(path, day)
    return day.record.date, DayFile(archive, str(path.relative_to(archive)), digest.of_file(path))
