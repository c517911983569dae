"""What has arrived: for each day, the file that counts, its field, or why it was refused."""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from runtime import digest
from runtime.archive.catalog import Catalog, Decoded
from runtime.archive.record import Input
from runtime.config import Config
from runtime.errors import InputRefused
from runtime.feeds import Feed, Granule
from runtime.feeds.folder import FolderFeed
from runtime.grid import Floats, Grid
from runtime.products import reader

READER_VERSION = 1
"""Raised by hand when a reader gives other values for the same file."""

_KEPT_FIELDS = 24


@dataclass(frozen=True)
class Arrival:
    """What there is for one day of one kind: a field, nothing, or a refused file."""

    granule: Granule | None = None
    input: Input | None = None
    refused: str | None = None

    @property
    def field(self) -> str | None:
        """Digest of the field, None without one."""
        return self.input.field if self.input else None


ABSENT = Arrival()


@dataclass
class Source:
    """One feed and how its files are read."""

    feed: Feed
    product: str
    band: str | None = None

    @cached_property
    def granules(self) -> dict[dt.date, list[Granule]]:
        """The feed's listing, taken once."""
        return self.feed.granules()


@dataclass
class Inbox:
    """Reads what feeds offer, once per version of a file, and remembers the outcome in the catalog."""

    grid: Grid
    catalog: Catalog
    soil_moisture_sources: Sequence[Source]
    precipitation_source: Source | None
    on_read: Callable[[], None] | None = None
    """Told each file that is read for the first time."""
    _arrivals: dict[tuple[str, dt.date], Arrival] = field(default_factory=dict)
    _fields: OrderedDict[str, Floats] = field(default_factory=OrderedDict)

    @classmethod
    def of(cls, config: Config, grid: Grid, catalog: Catalog) -> Inbox:
        """Return the inbox of a configuration's feeds."""
        soil = [
            Source(
                FolderFeed(f.path, f.product, config.inbox_path, orbit=f.orbit, first=f.first, last=f.last),
                f.product,
                f.band,
            )
            for f in config.feeds.soil_moisture
        ]
        rain = config.feeds.precipitation
        source = (
            Source(FolderFeed(rain.path, rain.product, config.inbox_path, runs=rain.runs), rain.product)
            if rain.kind == "folder"
            else None
        )
        return cls(grid, catalog, soil, source)

    def span(self) -> tuple[dt.date, dt.date] | None:
        """Return the oldest and the newest day any soil-moisture feed has."""
        days = [day for source in self.soil_moisture_sources for day in source.granules]
        return (min(days), max(days)) if days else None

    def soil_moisture(self, date: dt.date) -> Arrival:
        """Return the day's soil moisture; the first feed that has a file for the day wins."""
        for source in self.soil_moisture_sources:
            if date in source.granules:
                return self._arrival("soil_moisture", date, source, source.granules[date][:1])
        return ABSENT

    def precipitation(self, date: dt.date) -> Arrival:
        """Return the day's rain, from the best run whose file is sound."""
        source = self.precipitation_source
        if source is None or date not in source.granules:
            return ABSENT
        return self._arrival("precipitation", date, source, source.granules[date])

    def _arrival(self, role: str, date: dt.date, source: Source, candidates: Sequence[Granule]) -> Arrival:
        if (role, date) not in self._arrivals:
            first_refusal = None
            for granule in candidates:
                arrival = self._read(source, granule)
                if arrival.input:
                    break
                first_refusal = first_refusal or arrival
            self._arrivals[role, date] = arrival if arrival.input else (first_refusal or ABSENT)
        return self._arrivals[role, date]

    def _read(self, source: Source, granule: Granule) -> Arrival:
        key = digest.of_values(
            granule.location, granule.version, granule.product, source.band, self.grid.digest, READER_VERSION
        )
        known = self.catalog.decoded(key)
        if known is None:
            path = source.feed.fetch(granule)
            sha256 = digest.of_file(path) if path.is_file() else ""
            try:
                known = Decoded(sha256, self._decode(source, granule, path), None)
            except InputRefused as refusal:
                known = Decoded(sha256, None, str(refusal))
            self.catalog.remember_decoded(key, known)
            if self.on_read:
                self.on_read()
        if known.field is None:
            return Arrival(granule, None, known.refused)
        return Arrival(granule, Input(granule.name, known.sha256, known.field, granule.run))

    def _decode(self, source: Source, granule: Granule, path: Path) -> str:
        values = reader(source.product, source.band)(path, granule.date, self.grid)
        name = digest.of_field(values)
        self._fields[name] = values
        while len(self._fields) > _KEPT_FIELDS:
            self._fields.popitem(last=False)
        return name

    def values(self, arrival: Arrival) -> Floats:
        """Return an arrival's field on the grid; all NaN where there is none.

        Raises
        ------
        InputRefused
            The file has changed since the arrival was looked at.
        """
        if arrival.input is None or arrival.granule is None:
            return np.full(self.grid.shape, np.nan, np.float32)
        if arrival.input.field not in self._fields:
            sources = [*self.soil_moisture_sources, *([self.precipitation_source] if self.precipitation_source else [])]
            source = next(s for s in sources if arrival.granule in s.granules.get(arrival.granule.date, ()))
            if self._decode(source, arrival.granule, source.feed.fetch(arrival.granule)) != arrival.input.field:
                raise InputRefused(f"{arrival.granule.location}: changed while the run was using it; run again")
        return self._fields[arrival.input.field]
