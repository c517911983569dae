"""A zip of daily files: nothing is unpacked before its names and sizes were looked at."""

from __future__ import annotations

import datetime as dt
import logging
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from runtime.common.atomic import write_guard
from runtime.common.deadline import Deadline
from runtime.errors import FeedUnreachable
from runtime.inputs.feeds.base import GranuleFilter

_BLOCK = 1 << 20
"""Bytes that are unpacked at a time."""
_MAX_MEMBERS = 1000
"""Most files of a zip; a month has 31 days."""
_SHOWN = 120
"""Characters of a name that a message shows."""
_DAMAGES = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, ValueError, RuntimeError)
"""What reading a damaged zip can raise; the NotImplementedError of an odd one is a RuntimeError."""

logger = logging.getLogger(__name__)


class ZippedDays:
    """The daily files of a product in a zip.

    Parameters
    ----------
    file : BinaryIO
        The zip, open for reading.
    wanted : GranuleFilter
        Which files belong to the feed; others are left out, with a warning that names them.
    source : str
        Where the zip is from, for messages.

    Raises
    ------
    FeedUnreachable
        It is no zip or was cut short, or one of its files has a name or a size that it cannot have.
    """

    def __init__(self, file: BinaryIO, wanted: GranuleFilter, source: str) -> None:
        self._file, self._source, self._most = file, source, wanted.product.max_bytes
        try:
            self._zip = zipfile.ZipFile(file)
        except _DAMAGES as error:
            raise FeedUnreachable(f"{source}: is no zip, or was cut short ({error}); run again later") from error
        members = [member for member in self._zip.infolist() if not member.is_dir()]
        if len(members) > _MAX_MEMBERS:
            raise FeedUnreachable(f"{source}: the zip has {len(members)} files, more than {_MAX_MEMBERS}; look at it")
        self._members: dict[dt.date, zipfile.ZipInfo] = {}
        for member in sorted(members, key=lambda member: member.filename):
            self._refuse_odd(member)
            recognised = wanted.recognise(member.filename.rsplit("/", 1)[-1])
            if recognised:
                self._members[recognised[0]] = member
            else:
                logger.warning(f"{source}: {_quoted(member)} in the zip is left out, it is no file of {wanted.product}")

    @property
    def days(self) -> set[dt.date]:
        """The days that the zip has a file for."""
        return set(self._members)

    def _refuse_odd(self, member: zipfile.ZipInfo) -> None:
        name = member.filename
        fault = None
        if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
            fault = "leads out of the folder it is unpacked in"
        elif not name.isprintable():
            fault = "has a letter in its name that cannot be printed"
        elif member.external_attr >> 28 == 0xA:
            fault = "is a link"
        elif member.flag_bits & 1:
            fault = "is encrypted"
        elif member.file_size > self._most:
            fault = f"has {member.file_size >> 20} MiB unpacked, more than {self._most >> 20}"
        if fault:
            raise FeedUnreachable(
                f"{self._source}: {_quoted(member)} in the zip {fault}; the zip is not taken, look at it"
            )

    def unpack(self, date: dt.date, target: Path, deadline: Deadline) -> None:
        """Write the file of a day.

        Parameters
        ----------
        date : dt.date
            One of `days`.
        target : Path
            The file to write.
        deadline : Deadline
            When it must be there.

        Raises
        ------
        FeedUnreachable
            The file is damaged, or is not unpacked in time.
        ArchiveError
            `target` cannot be written.
        """
        member = self._members[date]
        with write_guard(target):
            file = target.open("wb")
        with file:
            for block in self._blocks(member):
                if deadline.has_passed:
                    raise FeedUnreachable(f"{self._source}: is not unpacked within {deadline.limit}; run again later")
                with write_guard(target):
                    file.write(block)

    def _blocks(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        try:
            with self._zip.open(member) as packed:
                while block := packed.read(_BLOCK):
                    yield block
        except _DAMAGES as error:
            raise FeedUnreachable(
                f"{self._source}: {_quoted(member)} in the zip is damaged ({error}); run again later"
            ) from error

    def close(self) -> None:
        """Close the file of the zip."""
        self._file.close()


def _quoted(member: zipfile.ZipInfo) -> str:
    return ascii(member.filename)[:_SHOWN]
