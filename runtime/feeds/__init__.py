"""Where files come from."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Granule:
    """One file a feed offers."""

    date: dt.date
    product: str
    name: str
    location: str
    """Where the feed finds it again; a path or URL."""
    version: str
    """Changes when the file's content may have changed (size and time of change, or an entity tag)."""
    run: str | None = None
    """IMERG: early, late or final."""


class Feed(Protocol):
    """Offers granules and brings them to this machine."""

    def granules(self) -> dict[dt.date, list[Granule]]:
        """Return what there is now, by day, best first."""

    def fetch(self, granule: Granule) -> Path:
        """Return a local file with the granule's content."""
