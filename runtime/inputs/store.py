"""The input files on this machine: fetched, read once, set aside when refused, deleted when no longer needed."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import shutil
import stat
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path

from runtime.archive.catalog import Catalog
from runtime.archive.rows import GranuleRecord
from runtime.common import digest
from runtime.common.atomic import move_into_place, part_file, write_guard
from runtime.common.clock import now_text
from runtime.common.events import RunEvents
from runtime.common.grid import Grid
from runtime.common.sensors import Product
from runtime.errors import ArchiveError, FeedUnreachable, InputRefused
from runtime.inputs.day_input import ListedFile, Ready
from runtime.inputs.feeds.base import Granule
from runtime.inputs.products.granule import Reading, unreadable
from runtime.inputs.reader_process import ReaderProcess, reader_process

_CACHED_FIELDS = 24

_RESERVE = 64
"""Bytes of disk for each cell of the grid that fetched files leave free: for a day's file, its cube and its state."""

logger = logging.getLogger(__name__)


@dataclass
class GranuleStore:
    """Keeps fetched files on disk, and in memory the fields of the last few files that were read."""

    grid: Grid
    catalog: Catalog
    folder: Path
    """Where fetched files are kept, and refused ones are set aside."""
    events: RunEvents
    offline: bool = False
    """Fetch nothing."""
    reader: ReaderProcess = field(default_factory=reader_process)
    _fields: OrderedDict[str, Reading] = field(default_factory=OrderedDict)
    """By digest, the oldest first."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_here(self, file: ListedFile) -> bool:
        """Return whether a file was fetched and is still on this machine."""
        return not file.listing.feed.in_place and self._fetched_path(file.granule).exists()

    def local_path(self, file: ListedFile, sha256: str | None = None) -> Path:
        """Return a file's path on this machine; one that is not here is fetched, whole or not at all.

        Parameters
        ----------
        file : ListedFile
            The file at the feed.
        sha256 : str, optional
            Digest of the fetched file when it was read first. A copy with another one is damaged, and is fetched again.

        Raises
        ------
        FeedUnreachable
            It cannot be fetched now.
        LoginRefused
            The feed does not accept the credentials.
        ArchiveError
            The inbox cannot be written, or its disk has no room.
        """
        feed, granule = file.listing.feed, file.granule
        if feed.in_place:
            return Path(granule.location)
        target = self._fetched_path(granule)
        if sha256 and target.exists() and not _is_intact(target, sha256):
            logger.warning(f"{target}: is not what was fetched, the disk has damaged it; it is fetched again")
            with write_guard(target):
                target.unlink()
        if not target.exists():
            if self.offline:
                raise FeedUnreachable(f"{granule.location}: is not on this machine, and --offline fetches nothing")
            self._check_room(target)
            with part_file(target) as part:
                feed.fetch(granule, part)
                self._check_room(target)
            move_into_place(target)
        return target

    def _check_room(self, target: Path) -> None:
        """Keep the disk from filling up with input files: asked before a file is fetched, and before it is kept.

        Raises
        ------
        ArchiveError
            What is left is needed for publishing.
        """
        folder = next(folder for folder in target.parents if folder.exists())
        free, reserve = shutil.disk_usage(folder).free, _RESERVE * self.grid.land.size
        if free < reserve:
            raise ArchiveError(
                f"{target}: cannot be written ({free / 1e6:.1f} MB are free, {reserve / 1e6:.1f} MB are kept for "
                "publishing); check permissions and free disk space, or set policy.inbox_gib or paths.inbox"
            )

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
        sha256, field_digest, coverage, refused = "", None, None, None
        try:
            _check_size(path, file.listing.wanted.product)
            sha256 = _digest(path)
            field_digest, coverage = self._read(file, path)
        except InputRefused as refusal:
            refused = str(refusal)
        kept = str(path.relative_to(self.folder)) if fetched_bytes else None
        if refused and kept and not self.catalog.db.read_only:
            refused = f"{refused} (kept as {self._set_aside(path, granule, sha256, refused)})"
            kept = None
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

    def _set_aside(self, path: Path, granule: Granule, sha256: str, reason: str) -> Path:
        """Move a fetched file that was refused out of the way, together with the reason; return where it is kept."""
        aside = self.folder / "quarantine" / f"{granule.date:%Y%m%d}-{sha256[:12]}" / granule.name
        with write_guard(aside):
            aside.parent.mkdir(parents=True, exist_ok=True)
            path.replace(aside)
            aside.with_name(aside.name + ".reason.txt").write_text(reason + "\n")
        return aside

    def _read(self, file: ListedFile, path: Path) -> tuple[str, float | None]:
        """Read a file, cache its field, and return the field's digest and the file's coverage."""
        listing = file.listing
        wanted = listing.wanted
        reading = self.reader.read(wanted.product, path, file.granule.date, self.grid, listing.band, wanted.orbit)
        field_digest = reading.digest
        with self._lock:
            self._fields[field_digest] = reading
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

    def forget(self, day_input: Ready) -> None:
        """Drop a field from the cache: the file is read when it is next asked for."""
        with self._lock:
            self._fields.pop(day_input.field_digest, None)

    def read_field(self, day_input: Ready) -> Reading:
        """Return the field of a file that was ingested, and its marks; one that was deleted since is fetched again.

        Returns
        -------
        Reading
            The field in m3 m-3 or mm/day, NaN where there is no value, and its marks.

        Raises
        ------
        InputRefused
            The file has changed since it was ingested, also when fetched again; the catalog then knows what it is now.
        FeedUnreachable
            It was deleted or damaged on this disk, and cannot be fetched.
        """
        reading = self._fields.get(day_input.field_digest)
        if reading is None:
            file = day_input.file
            path = self.local_path(file, day_input.sha256)
            known = file.listing.known(file.key)
            if known and known.fetched_bytes and not known.file:
                self.catalog.add_granule(replace(known, file=str(path.relative_to(self.folder))))
            with contextlib.suppress(InputRefused):
                self._read(file, path)
            reading = self._fields.get(day_input.field_digest)
            if reading is None:
                found = self.ingest(file, path, known.fetched_bytes if known else 0)
                changed = f"{file.granule.location}: changed since it was read first; run again"
                raise InputRefused(found.refused or changed)
        return reading

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
        candidates = [*((self.folder / file, date) for file, date in kept), *((path, "") for path in refused)]
        sizes = {path: path.stat().st_size for path, _ in candidates if path.exists()}
        excess = sum(sizes.values()) - budget_gib * 2**30
        deleted = []
        for path, date in sorted(candidates, key=lambda item: item[1]):
            if excess <= 0 or date >= needed_from.isoformat() or path not in sizes:
                continue
            with write_guard(path):
                path.unlink()
            self.catalog.file_deleted(path.relative_to(self.folder))
            excess -= sizes[path]
            deleted.append(path)
        return deleted


def _check_size(path: Path, product: Product) -> None:
    """Refuse what cannot be a file of a product, before a byte of it is read.

    Raises
    ------
    InputRefused
        It is not there, is a device, a pipe or a folder, or is larger than any file of the product.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise InputRefused(f"{path}: is not a regular file; remove it")
    most = product.max_bytes
    if found.st_size > most:
        raise InputRefused(
            f"{path}: has {found.st_size >> 20} MiB, a file of {product.name} has at most {most >> 20}; remove it, or "
            "check the feed's product"
        )


def _is_intact(path: Path, sha256: str) -> bool:
    """Return whether a file's bytes have this digest; false if they cannot be read."""
    try:
        return digest.of_file(path) == sha256
    except OSError:
        return False


def _digest(path: Path) -> str:
    """Return a file's sha256.

    Raises
    ------
    InputRefused
        The file cannot be read.
    """
    try:
        return digest.of_file(path)
    except OSError as error:
        raise unreadable(path, error) from error
