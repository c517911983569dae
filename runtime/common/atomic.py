"""Write a file completely or not at all, and report when it cannot be written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import ArchiveError

PART = ".part"
"""Ending of a file that is not complete yet; it lies in the same folder as the final file."""


@contextmanager
def write_guard(where: Path) -> Iterator[None]:
    """Turn a failing write into an `ArchiveError` that says where it failed and what to do."""
    try:
        yield
    except (OSError, RuntimeError, UnicodeError) as error:  # netCDF reports a full disk as RuntimeError
        reason = getattr(error, "strerror", None) or str(error)
        raise ArchiveError(f"{where}: cannot be written ({reason}); check permissions and free disk space") from error


@contextmanager
def part_file(final: Path) -> Iterator[Path]:
    """Give a path to write to in the folder of `final`; `move_into_place` then renames it to `final`.

    After the block the bytes are on the disk. If the block fails, the file is deleted.

    Parameters
    ----------
    final : Path
        Where the complete file will be. Its folder is created if needed.

    Yields
    ------
    Path
        The file to write: `final` with the ending `PART` added.

    Raises
    ------
    ArchiveError
        The file cannot be written.
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
    """Rename what `part_file` wrote to `final`, and wait until the new name is on the disk."""
    with write_guard(final):
        final.with_name(final.name + PART).replace(final)
        sync_to_disk(final.parent)


def sync_to_disk(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
