"""The files on this machine: fetched, read once, set aside when refused, pruned when no longer needed."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from runtime.archive.catalog import Catalog, GranuleRecord
from runtime.common import digest
from runtime.common.atomic import PART, write_guard
from runtime.common.grid import Floats, Grid
from runtime.errors import InputRefused
from runtime.inputs.feeds.base import Granule
from runtime.inputs.listing import FeedListing
from runtime.inputs.products.base import product_reader

_KEPT_FIELDS = 24


@dataclass
class GranuleStore:
    """Keeps files, and the fields of the last few that were read."""

    grid: Grid
    catalog: Catalog
    folder: Path
    """Where fetched files are kept, and refused ones set aside."""
    on_read: Callable[[], None] | None = None
    """Told each file that is read for the first time."""
    _fields: OrderedDict[str, Floats] = field(default_factory=OrderedDict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def local(self, source: FeedListing, granule: Granule) -> Path:
        """Return a granule's file on this machine, fetched whole or not at all; one that is here already stays."""
        if source.feed.in_place:
            return Path(granule.location)
        target = self._fetched_path(granule)
        if not target.exists():
            part = target.with_name(target.name + PART)
            with write_guard(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    source.feed.fetch(granule, part)
                    part.replace(target)
                finally:
                    part.unlink(missing_ok=True)
        return target

    def _fetched_path(self, granule: Granule) -> Path:
        version = digest.of_values(granule.location, granule.version)[:12]
        return self.folder / granule.product / f"{granule.date:%Y}" / version / granule.name

    def take_in(
        self, source: FeedListing, granule: Granule, key: str, path: Path, fetched_bytes: int = 0
    ) -> GranuleRecord:
        """Read a file for the first time and remember what it gave; one that is refused is set aside."""
        sha256 = digest.of_file(path) if path.is_file() else ""
        name, coverage, refused = None, None, None
        try:
            name, coverage = self._decode(source, granule, path)
        except InputRefused as refusal:
            refused = str(refusal)
        kept = str(path) if fetched_bytes else None
        if refused and sha256 and not self.catalog.db.read_only:
            aside = self._set_aside(path, granule, sha256, refused, move=bool(fetched_bytes))
            kept = None
            refused = f"{refused} (kept as {aside})"
        arrived = GranuleRecord(
            key,
            granule.product,
            granule.date.isoformat(),
            granule.run,
            granule.name,
            granule.location,
            granule.version,
            dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            sha256,
            fetched_bytes,
            kept,
            name,
            coverage,
            refused,
        )
        self.catalog.remember(arrived)
        source.learn(arrived)
        if self.on_read:
            self.on_read()
        return arrived

    def _set_aside(self, path: Path, granule: Granule, sha256: str, reason: str, *, move: bool) -> Path:
        """Keep a refused file with the reason, for somebody to look at."""
        aside = self.folder / "quarantine" / f"{granule.date:%Y%m%d}-{sha256[:12]}" / granule.name
        with write_guard(aside):
            aside.parent.mkdir(parents=True, exist_ok=True)
            if not aside.exists():
                shutil.copyfile(path, aside)
            aside.with_name(aside.name + ".reason.txt").write_text(reason + "\n")
            if move:
                path.unlink()
        return aside

    def _decode(self, source: FeedListing, granule: Granule, path: Path) -> tuple[str, float | None]:
        values, coverage = product_reader(source.wanted.product, source.band)(path, granule.date, self.grid)
        name = digest.of_field(values)
        with self._guard:
            self._fields[name] = values
            while len(self._fields) > _KEPT_FIELDS:
                self._fields.popitem(last=False)
        return name, coverage

    def read_ahead(self, source: FeedListing, granule: Granule, name: str) -> None:
        """Read a field that `values` will be asked for, if its file is here; may run beside everything else."""
        path = Path(granule.location) if source.feed.in_place else self._fetched_path(granule)
        if name not in self._fields and path.exists():
            with contextlib.suppress(InputRefused):  # `values` will say so
                self._decode(source, granule, path)

    def values(self, source: FeedListing, granule: Granule, key: str, name: str) -> Floats:
        """Return the field of a file that was taken in. One that was pruned is fetched again.

        Parameters
        ----------
        key : of the version of the file
        name : the field's digest

        Raises
        ------
        InputRefused
            The file has changed since it was taken in.
        FeedUnreachable
            It was pruned, and cannot be fetched.
        """
        values = self._fields.get(name)
        if values is None:
            path = self.local(source, granule)
            known = source.known(key)
            if known and known.fetched_bytes and not known.file:
                self.catalog.remember(replace(known, file=str(path)))
            if self._decode(source, granule, path)[0] != name:
                raise InputRefused(f"{granule.location}: changed while the run was using it; run again")
            values = self._fields[name]
        return values

    def prune(self, budget_gib: float, needed_from: dt.date) -> list[Path]:
        """Delete set-aside files and the oldest fetched ones until they keep to a budget; return what went.

        Parameters
        ----------
        needed_from : files of this day and later stay whatever they take
        """
        kept = self.catalog.kept()
        aside = sorted(p for p in (self.folder / "quarantine").glob("*/*") if p.is_file())
        candidates = [*((Path(file), date) for file, date in kept), *((path, "") for path in aside)]
        sizes = {path: path.stat().st_size for path, _ in candidates if path.exists()}
        excess = sum(sizes.values()) - budget_gib * 2**30
        gone = []
        for path, date in sorted(candidates, key=lambda item: item[1]):
            if excess <= 0 or date >= needed_from.isoformat() or path not in sizes:
                continue
            with write_guard(path):
                path.unlink()
            self.catalog.pruned(path)
            excess -= sizes[path]
            gone.append(path)
        return gone
