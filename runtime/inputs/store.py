"""The input files on this machine: fetched, read once, set aside when refused, deleted when no longer needed."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path

from runtime.archive.catalog import Catalog
from runtime.archive.rows import GranuleRecord
from runtime.common import digest
from runtime.common.atomic import PART, write_guard
from runtime.common.clock import now_text
from runtime.common.events import RunEvents
from runtime.common.grid import Floats, Grid
from runtime.errors import InputRefused
from runtime.inputs.day_input import ListedFile, Ready
from runtime.inputs.feeds.base import Granule
from runtime.inputs.products.base import product_reader

_CACHED_FIELDS = 24


@dataclass
class GranuleStore:
    """Keeps fetched files on disk, and in memory the fields of the last few files that were read."""

    grid: Grid
    catalog: Catalog
    folder: Path
    """Where fetched files are kept, and refused ones are set aside."""
    events: RunEvents
    _fields: OrderedDict[str, Floats] = field(default_factory=OrderedDict)
    """By digest, the oldest first."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def local_path(self, file: ListedFile) -> Path:
        """Return a file's path on this machine; one that is not here is fetched, whole or not at all.

        Raises
        ------
        FeedUnreachable
            It cannot be fetched now.
        LoginRefused
            The feed does not accept the credentials.
        ArchiveError
            The inbox cannot be written.
        """
        feed, granule = file.listing.feed, file.granule
        if feed.in_place:
            return Path(granule.location)
        target = self._fetched_path(granule)
        if not target.exists():
            part = target.with_name(target.name + PART)
            with write_guard(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    feed.fetch(granule, part)
                    part.replace(target)
                finally:
                    part.unlink(missing_ok=True)
        return target

    def _fetched_path(self, granule: Granule) -> Path:
        version = digest.of_values(granule.location, granule.version)[:12]
        return self.folder / granule.product / f"{granule.date:%Y}" / version / granule.name

    def ingest(self, file: ListedFile, path: Path, fetched_bytes: int = 0) -> GranuleRecord:
        """Read a file for the first time and keep the outcome in the catalog; a refused file is set aside.

        Parameters
        ----------
        file : ListedFile
            The file at the feed.
        path : Path
            The file on this machine.
        fetched_bytes : int
            Its size if it was fetched; 0 if it is read where it lies.
        """
        granule = file.granule
        sha256 = digest.of_file(path) if path.is_file() else ""
        field_digest, coverage, refused = None, None, None
        try:
            field_digest, coverage = self._read(file, path)
        except InputRefused as refusal:
            refused = str(refusal)
        kept = str(path) if fetched_bytes else None
        if refused and sha256 and not self.catalog.db.read_only:
            aside = self._set_aside(path, granule, sha256, refused, move=bool(fetched_bytes))
            kept = None
            refused = f"{refused} (kept as {aside})"
        record = GranuleRecord(
            key=file.key,
            product=granule.product,
            date=granule.date.isoformat(),
            run=granule.run,
            name=granule.name,
            location=granule.location,
            version=granule.version,
            arrived_at=now_text(),
            sha256=sha256,
            fetched_bytes=fetched_bytes,
            file=kept,
            field_digest=field_digest,
            coverage=coverage,
            refused=refused,
        )
        self.catalog.add_granule(record)
        file.listing.cache(record)
        self.events.file_read()
        return record

    def _set_aside(self, path: Path, granule: Granule, sha256: str, reason: str, *, move: bool) -> Path:
        """Keep a refused file together with the reason; return where it is kept."""
        aside = self.folder / "quarantine" / f"{granule.date:%Y%m%d}-{sha256[:12]}" / granule.name
        with write_guard(aside):
            aside.parent.mkdir(parents=True, exist_ok=True)
            if not aside.exists():
                shutil.copyfile(path, aside)
            aside.with_name(aside.name + ".reason.txt").write_text(reason + "\n")
            if move:
                path.unlink()
        return aside

    def _read(self, file: ListedFile, path: Path) -> tuple[str, float | None]:
        """Read a file, cache its field, and return the field's digest and the file's coverage."""
        listing = file.listing
        reading = product_reader(listing.wanted.product, listing.band)(path, file.granule.date, self.grid)
        field_digest = digest.of_field(reading.field)
        with self._lock:
            self._fields[field_digest] = reading.field
            while len(self._fields) > _CACHED_FIELDS:
                self._fields.popitem(last=False)
        return field_digest, reading.coverage

    def preload(self, day_input: Ready) -> None:
        """Read a field into the cache if its file is on this machine; may run in another thread than `read_field`."""
        feed, granule = day_input.file.listing.feed, day_input.file.granule
        path = Path(granule.location) if feed.in_place else self._fetched_path(granule)
        if day_input.field_digest not in self._fields and path.exists():
            with contextlib.suppress(InputRefused):  # `read_field` reads it again and reports it
                self._read(day_input.file, path)

    def read_field(self, day_input: Ready) -> Floats:
        """Return the field of a file that was ingested; one that was deleted since is fetched again.

        Returns
        -------
        float32 array
            The grid's shape; m3 m-3 or mm/day, NaN where there is no value.

        Raises
        ------
        InputRefused
            The file has changed since it was ingested.
        FeedUnreachable
            It was deleted, and cannot be fetched.
        """
        values = self._fields.get(day_input.field_digest)
        if values is None:
            file = day_input.file
            path = self.local_path(file)
            known = file.listing.known(file.key)
            if known and known.fetched_bytes and not known.file:
                self.catalog.add_granule(replace(known, file=str(path)))
            if self._read(file, path)[0] != day_input.field_digest:
                raise InputRefused(f"{file.granule.location}: changed while the run was using it; run again")
            values = self._fields[day_input.field_digest]
        return values

    def prune(self, budget_gib: float, needed_from: dt.date) -> list[Path]:
        """Delete refused files and the oldest fetched ones until the rest keeps to a budget; return what was deleted.

        Parameters
        ----------
        budget_gib : float
            Most that may be kept, GiB.
        needed_from : date
            Files of this day and later stay, whatever their size.
        """
        kept = self.catalog.kept_files()
        refused = sorted(p for p in (self.folder / "quarantine").glob("*/*") if p.is_file())
        candidates = [*((Path(file), date) for file, date in kept), *((path, "") for path in refused)]
        sizes = {path: path.stat().st_size for path, _ in candidates if path.exists()}
        excess = sum(sizes.values()) - budget_gib * 2**30
        deleted = []
        for path, date in sorted(candidates, key=lambda item: item[1]):
            if excess <= 0 or date >= needed_from.isoformat() or path not in sizes:
                continue
            with write_guard(path):
                path.unlink()
            self.catalog.file_deleted(path)
            excess -= sizes[path]
            deleted.append(path)
        return deleted
