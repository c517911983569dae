"""Bring a mirror up to date with its archive, and compare the two.

An update lists the store and compares it with what the archive has and has sent. It sends what lacks, verifies each
object, and removes what is no longer published. Killed or failed at any point, it leaves readers what they had, and the
next one goes on.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from runtime.archive.catalog import Catalog
from runtime.archive.derived import update_derived
from runtime.archive.lock import open_for_writing
from runtime.archive.paths import ArchivePaths
from runtime.common.deadline import Deadline, TimeLimits
from runtime.common.events import Track
from runtime.common.text import counted
from runtime.config import Config
from runtime.errors import ArchiveError, MirrorFailed, SeamlessError, UsageError
from runtime.mirror.content import SEPARATORS, Chain, MirrorContent, Piece, separator_of
from runtime.mirror.ledger import Ledger, Sent
from runtime.mirror.store import FileDigests, MirrorStore, StoredObject

_DAY_FILE = re.compile(r"\d{4}/[^/]+\.nc")

logger = logging.getLogger(__name__)


class MirrorChange(NamedTuple):
    """What an update changes."""

    sent: list[str]
    """Names of the objects that are sent."""
    size: int
    """Their bytes."""
    removed: list[str]
    """Names of the objects that are removed."""

    def __str__(self) -> str:
        removed = f", {counted(len(self.removed), 'object')} removed" if self.removed else ""
        return f"{counted(len(self.sent), 'object')} ({self.size / 2**20:.1f} MiB) sent{removed}"


def update_mirror(config: Config) -> MirrorChange:
    """Bring the configured mirror up to date, without filling; the archive is held meanwhile.

    Returns
    -------
    MirrorChange
        What was sent and removed.

    Raises
    ------
    UsageError
        No mirror is configured, or its address cannot be used.
    ArchiveBusy
        A run holds the archive.
    MirrorFailed
        The store does not answer, refuses, or holds another archive.
    """
    require_mirror(config)
    with open_for_writing(config) as catalog:
        update_derived(config, catalog, config.make_grid())
        return _update(config, catalog)


def mirror_published(config: Config, catalog: Catalog) -> None:
    """Bring the mirror, if there is one, up to date at the end of a run; a failure is logged, noted, and not raised.

    The caller holds the archive.
    """
    if not config.archive.mirror:
        return
    try:
        _update(config, catalog)
    except SeamlessError as error:
        logger.warning(str(error))
    except Exception:  # whatever it is, the run has published its days
        logger.exception("the mirror is not up to date; the archive is not affected")


def _update(config: Config, catalog: Catalog) -> MirrorChange:
    with _opened(config, catalog) as (mirror, ledger):
        try:
            change = mirror.bring_up_to_date()
        except Exception as error:
            ledger.note_end(str(error) if isinstance(error, SeamlessError) else type(error).__name__)
            raise
        ledger.note_end(None)
        if change.sent or change.removed:
            logger.info(f"mirror {mirror.store.shown}: {change}")
        return change


def planned_change(config: Config) -> MirrorChange:
    """Return what an update of the mirror would change; errors are those of `update_mirror`."""
    with _opened_for_reading(config) as mirror:
        steps, removed = mirror.plan()
        pieces = [piece for step in steps for chain in step for piece in chain]
        return MirrorChange([piece.name for piece in pieces], sum(map(_size, pieces)), removed)


def mirror_faults(config: Config, track: Track) -> list[str]:
    """Return where the mirror differs from the archive, one line each; errors are those of `update_mirror`.

    Every object is compared by the checksum of the store; where it gives none, the object is read.
    """
    with _opened_for_reading(config) as mirror:
        return mirror.faults(track)


def require_mirror(config: Config) -> str:
    """Return the address of the configured mirror.

    Raises
    ------
    UsageError
        There is none.
    """
    if not config.archive.mirror:
        raise UsageError("no mirror is configured; set archive.mirror, for example to s3://bucket/prefix")
    return config.archive.mirror


@contextmanager
def _opened(config: Config, catalog: Catalog) -> Iterator[tuple[_Mirror, Ledger]]:
    """Open a mirror, and compare nothing yet."""
    paths, url = ArchivePaths.of(config), require_mirror(config)
    end = Deadline.after(60 * config.policy.max_mirror_minutes, "policy.max_mirror_minutes")
    store = MirrorStore(url, TimeLimits(end, config.policy.max_file_minutes))
    with (
        Ledger(paths.mirror_ledger, url, read_only=catalog.db.read_only) as ledger,
        tempfile.TemporaryDirectory(prefix="seamless-sm-mirror-") as scratch,
    ):
        yield _Mirror(paths, catalog, store, ledger, Path(scratch)), ledger


@contextmanager
def _opened_for_reading(config: Config) -> Iterator[_Mirror]:
    with Catalog.open(ArchivePaths.of(config).catalog, read_only=True) as catalog:
        with _opened(config, catalog) as (mirror, _):
            yield mirror


@dataclass
class _Mirror:
    """A mirror and the archive that it shows."""

    paths: ArchivePaths
    catalog: Catalog
    store: MirrorStore
    ledger: Ledger
    scratch: Path
    listed: dict[str, StoredObject] = field(default_factory=dict)
    """What the store has."""

    def bring_up_to_date(self) -> MirrorChange:
        """Send what lacks, step by step, and then remove what is no longer published."""
        steps, removed = self.plan()
        sent = [piece for step in steps for chain in step for piece in chain]
        size = sum(map(_size, sent))
        for step in steps:
            self._send_step(step)
        for name in removed:
            if name in self.listed:
                self.store.remove(name)
            self.ledger.forget(name)
        return MirrorChange([piece.name for piece in sent], size, removed)

    def plan(self) -> tuple[list[list[Chain]], list[str]]:
        """Return what has to be sent, by step, and the names of what has to be removed."""
        content = self._content()
        steps = [content.days, *self._cube_steps(content), [content.indexes]]
        lacking = [[left for chain in step if (left := self._lacking(chain))] for step in steps]
        return [step for step in lacking if step], self._surplus(content)

    def faults(self, track: Track) -> list[str]:
        """Return where the store differs from the archive, one line each."""
        content = self._content()
        cube = self._cube_pieces(content, self._separator() or SEPARATORS[0])
        pieces = [piece for chain in (*content.days, *cube, content.indexes) for piece in chain]
        found = []
        for piece in track(pieces, "check mirror"):
            if piece.name not in self.listed:
                found.append(f"{piece.name}: is missing")
            elif not self._holds(piece):
                found.append(f"{piece.name}: differs from the archive")
        surplus = [name for name in self._surplus(content) if name in self.listed]
        return found + [f"{name}: is no longer published" for name in surplus]

    def _content(self) -> MirrorContent:
        """List the store, and return what it should have.

        Raises
        ------
        MirrorFailed
            It has days that this archive neither has nor has sent.
        """
        self.store.require_outside(self.paths.root)
        self.listed = self.store.listing()
        content = MirrorContent.of(self.paths, self.catalog, self.scratch)
        days = {piece.name for chain in content.days for piece in chain}
        foreign = [name for name in self.listed if _DAY_FILE.fullmatch(name) and name not in {*days, *self.ledger.sent}]
        if foreign:
            raise MirrorFailed(
                f"the mirror {self.store.shown} has {counted(len(foreign), 'day')} that this archive neither has nor "
                f"has sent ({min(foreign)}): it may be another archive's; set another archive.mirror, or delete them"
            )
        return content

    def _separator(self) -> str | None:
        """Return the separator of the chunks that readers of the mirror use now; None without a readable cube."""
        root = f"{self.paths.cube.name}/zarr.json"
        return separator_of(self.store.read(root)) if root in self.listed else None

    def _cube_pieces(self, content: MirrorContent, separator: str) -> list[Chain]:
        """Return the chunks of the cube with names of one kind, and then its metadata."""
        if not content.cube:
            return []
        return [*((piece,) for piece in content.cube.chunks(separator)), content.cube.metadata(separator)]

    def _cube_steps(self, content: MirrorContent) -> list[list[Chain]]:
        """Return the steps of a cube that has changed: its chunks under the names that no reader uses, its metadata."""
        now = self._separator() if content.cube else None
        if not content.cube or (now and not any(map(self._lacking, self._cube_pieces(content, now)))):
            return []
        *chunks, metadata = self._cube_pieces(content, SEPARATORS[SEPARATORS.index(now) - 1] if now else SEPARATORS[0])
        return [chunks, [metadata]]

    def _surplus(self, content: MirrorContent) -> list[str]:
        """Return what was sent once and is no longer published, indexes first.

        A file that the archive still has is not removed: the catalog may have been lost.
        """
        gone = [name for name in {*self.ledger.sent} - content.names if not (self.paths.root / name).exists()]
        return sorted(gone, key=_removal_order)

    def _lacking(self, pieces: Iterable[Piece]) -> Chain:
        return tuple(piece for piece in pieces if not self._is_current(piece))

    def _is_current(self, piece: Piece) -> bool:
        """Return whether the store has what was sent last, and the archive still has the same."""
        sent, stored = self.ledger.sent.get(piece.name), self.listed.get(piece.name)
        if not (sent and stored) or (stored.size, stored.version) != (sent.size, sent.version):
            return False
        if piece.sha256:
            return piece.sha256 == sent.sha256
        with _readable(piece):
            stat = piece.source.stat()
            if (stat.st_size, stat.st_mtime_ns) == (sent.size, sent.mtime_ns):
                return True
            return FileDigests.of_path(piece.source).sha256 == sent.sha256

    def _holds(self, piece: Piece) -> bool:
        """Return whether the store has the content of the archive, by checksum."""
        try:
            content = FileDigests.of_path(piece.source)
        except OSError:  # the mirror may have what the archive has lost
            content = None
        wanted = piece.sha256 or (content.sha256 if content else "")
        return self.store.has(piece.name, self.listed[piece.name], wanted, content)

    def _send_step(self, chains: Sequence[Chain]) -> None:
        """Send chains at the same time; after a failure, begin no other object."""
        pool = ThreadPoolExecutor(self.store.parallel, "mirror")
        try:
            futures = [pool.submit(self._send_chain, chain) for chain in chains]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(cancel_futures=True)
        for future in done:
            future.result()

    def _send_chain(self, chain: Chain) -> None:
        for piece in chain:
            self._send(piece)

    def _send(self, piece: Piece) -> None:
        """Send an object, unless the store proves that it has the content; write it down."""
        with _readable(piece):
            stat, content = piece.source.stat(), FileDigests.of_path(piece.source)
        if piece.sha256 and piece.sha256 != content.sha256:
            raise ArchiveError(
                f"{piece.source}: is not what was published, and is not sent to the mirror; `runtime check`"
            )
        stored = self.listed.get(piece.name)
        if not (stored and stored.surely_has(content)):
            stored = self.store.put(piece.source, piece.name, content)
        self.ledger.put(piece.name, Sent(content.size, stat.st_mtime_ns, content.sha256, stored.version))


@contextmanager
def _readable(piece: Piece) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArchiveError(
            f"{piece.source}: cannot be sent to the mirror ({error.strerror}); `runtime check` says how it is repaired"
        ) from error


def _size(piece: Piece) -> int:
    with _readable(piece):
        return piece.source.stat().st_size


def _removal_order(name: str) -> tuple[bool, bool, int, str]:
    """Sort indexes before what they point to: catalogues and metadata, items, files; those further up first."""
    file = name.rsplit("/", 1)[-1]
    return file not in ("catalog.json", "zarr.json"), not file.endswith(".json"), name.count("/"), name
