"""What is published: layouts, the catalog, and the journalled way a day gets there."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Protocol

from runtime.archive import cf, sgdsm
from runtime.archive.record import PublishedDay


class Layout(Protocol):
    """How a day becomes a file."""

    def relative_path(self, date: dt.date) -> Path:
        """Return the day's file below the archive's folder."""

    def write(self, path: Path, day: PublishedDay) -> None:
        """Write the day's file; its bytes depend on the day alone."""


LAYOUTS: dict[str, Layout] = {"cf": cf, "sgd-sm": sgdsm}
