"""Writing a file whole or not at all, and saying so when it cannot be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import ArchiveError

PART = ".part"
"""Ending of a file that is being written beside its place."""


@contextmanager
def write_guard(where: Path) -> Iterator[None]:
    """Turn a failing write into an `ArchiveError` that says where and what to do."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # netCDF reports a full disk as RuntimeError
        reason = getattr(error, "strerror", None) or str(error)
        raise ArchiveError(f"{where}: cannot be written ({reason}); check permissions and free disk space") from error


@contextmanager
def part_file(final: Path) -> Iterator[Path]:
    """Yield the path beside `final` to write to; afterwards its bytes are on the disk, or it is gone.

    `place` puts it where it belongs.

    Raises
    ------
    ArchiveError
        It cannot be written.
    """
    part = final.with_name(final.name + PART)
    with write_guard(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            sync_to_disk(part)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def move_into_place(final: Path) -> None:
    """Move what `beside` wrote to its place, and make the move last."""
    with write_guard(final):
        final.with_name(final.name + PART).replace(final)
        sync_to_disk(final.parent)


def sync_to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
