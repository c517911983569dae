"""Which daily files an archive has, and which of them readers leave out."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

from runtime.archive.catalog import Catalog
from runtime.archive.cube import DayFile
from runtime.archive.derived import day_files
from runtime.archive.format import (
    REMAKE,
    ArchiveFormat,
    archive_format,
    days_of_other_format,
    format_if_readable,
)
from runtime.archive.paths import ArchivePaths

_DATE = re.compile(r"\d{8}")


def published_files(archive: Path) -> tuple[dict[dt.date, DayFile], dict[dt.date, str], ArchiveFormat | None]:
    """Return the published days, why others are left out (they are on another grid), and the archive's grid.

    The days are those of the catalog; in a copy without a catalog, those of the files.
    """
    paths = ArchivePaths.below(archive)
    if paths.catalog.exists():
        with Catalog.open(paths.catalog, read_only=True) as catalog:
            days, wanted = day_files(archive, catalog), archive_format(archive, catalog)
            others = days_of_other_format(archive, catalog, wanted)
    else:
        files = {match[0]: path for path in paths.day_files() if (match := _DATE.search(path.stem))}
        days = {
            dt.datetime.strptime(stamp, "%Y%m%d").date(): DayFile(archive, str(files[stamp].relative_to(archive)), "")
            for stamp in sorted(files)
        }
        others = {date: its for date, day in days.items() if (its := format_if_readable(day.path))}
        wanted = others[max(others)] if others else None
    left_out = {
        date: other_grid(days.pop(date).path, its, wanted)
        for date, its in others.items()
        if wanted and not its.has_grid_of(wanted)
    }
    return days, left_out, wanted


def other_grid(path: Path, its: ArchiveFormat, wanted: ArchiveFormat) -> str:
    """Return why a daily file is left out: it has another grid than its archive."""
    return f"{path} has {its}, the archive has {wanted}; {REMAKE}"
