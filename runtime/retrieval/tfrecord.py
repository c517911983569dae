"""Read and write TFRecord files: per record its length, the CRC of the length, the bytes, and the CRC of the bytes.

The CRCs are CRC-32C, masked as TensorFlow's ``core/lib/hash/crc32c.h`` does it. Packages that read TFRecord files
without TensorFlow exist, but they do not check the CRCs.
"""

from __future__ import annotations

import gzip
import os
import struct
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import google_crc32c
import numpy as np
from isal import igzip_lib, isal_zlib

from runtime.common.atomic import move_into_place, part_file

_IsalError = cast("type[Exception]", igzip_lib.IsalError)  # its stubs say that it is an exception, not a class
_GZIP = b"\x1f\x8b\x08"
_GZIP_HEADER, _GZIP_TRAILER = 10, 8
"""Bytes; a header may have more."""
_CUT = "it ends before its end-of-stream marker"
_LENGTH, _CRC = struct.Struct("<Q"), struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8
_LARGEST = 2**28
"""Bytes of a record: an example with 106 fields has 17 to 40 MB, and less than 200 MB with any values."""
_CHUNK = 2**19
"""Bytes that are read, unpacked and checked at once, so few that they stay in the cache of a core."""


@dataclass(frozen=True)
class Record:
    """One record of a file."""

    file: Path
    number: int
    """Counted from 1."""
    data: memoryview


@dataclass(frozen=True)
class BadRecord:
    """A record that cannot be used."""

    file: Path
    number: int
    """Counted from 1."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: record {self.number}: {self.reason}"


def masked_crc(data: bytes | memoryview) -> int:
    """Return the masked CRC-32C of bytes."""
    return _masked(google_crc32c.value(bytes(data)))


def _masked(crc: int) -> int:
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def read_records(path: Path, read_on: Callable[[int], None] | None = None) -> Iterator[Record | BadRecord]:
    """Yield the records of a file in order, one at a time.

    After a record with a wrong CRC of its bytes, reading goes on with the next. Where the next record begins is not
    known after a wrong length, a cut or a damaged gzip stream: that record is the last one that is yielded.

    Parameters
    ----------
    path : Path
        A TFRecord file, compressed with gzip or not.
    read_on : callable, optional
        Called after each record with the number of bytes read from the file so far.

    Yields
    ------
    Record or BadRecord
        A record, or why it cannot be used.
    """
    number = 1
    try:
        with path.open("rb") as raw:
            stream = _uncompressed(raw)
            memory = _Memory()
            while True:
                header = _bytes_of(stream, _LENGTH.size + _CRC.size)
                if not header and number > 1:
                    return
                yield _next_record(path, number, header, stream, memory)
                if read_on:
                    read_on(raw.tell())
                number += 1
    except _Unreadable as error:
        yield BadRecord(path, number, str(error))
    except (EOFError, _IsalError) as error:
        yield BadRecord(path, number, f"the gzip stream is cut or damaged ({error})")
    except OSError as error:
        yield BadRecord(path, number, f"cannot be read ({error.strerror})")


class _Unreadable(Exception):
    """Nothing after this point of the file can be read."""


def _uncompressed(raw: BinaryIO) -> BinaryIO | _Unzipped:
    magic = raw.read(len(_GZIP))
    raw.seek(0)
    return _Unzipped(raw) if magic == _GZIP else raw


class _Unzipped:
    """A gzip file, unpacked by ISA-L in less than half of zlib's time.

    Its members are read here, since `isal.igzip` loses what it has just unpacked where it finds a cut or a wrong CRC:
    the record before.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._member: Any = None
        self._crc = 0

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, and at least one before the end of the file."""
        while (self._member and not self._member.eof) or self._open_next():
            packed = self._raw.read(_CHUNK) if self._member.needs_input else b""
            if self._member.needs_input and not packed:
                raise EOFError(_CUT)
            if found := self._member.decompress(packed, size):
                self._crc = isal_zlib.crc32(found, self._crc)
                return bytes(found)
        return b""

    def _open_next(self) -> bool:
        """Go on to the next member of the file, and return whether there is one; see RFC 1952 for its header."""
        if self._member:
            self._raw.seek(-len(self._member.unused_data), os.SEEK_CUR)
            if int.from_bytes(self._exactly(_GZIP_TRAILER)[:4], "little") != self._crc:
                raise _IsalError("its CRC is wrong")
        while (first := self._raw.read(1)) == b"\0":
            pass  # zeros may follow a member
        if not first:
            return False
        header = first + self._exactly(_GZIP_HEADER - 1)
        if not header.startswith(_GZIP):
            raise _IsalError("bytes follow that are no gzip")
        if header[3] & 4:
            self._exactly(int.from_bytes(self._exactly(2), "little"))
        for flag in (8, 16):  # a name and a comment
            while header[3] & flag and self._exactly(1) != b"\0":
                pass
        if header[3] & 2:
            self._exactly(2)
        self._member, self._crc = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE), 0
        return True

    def _exactly(self, size: int) -> bytes:
        found = self._raw.read(size)
        if len(found) < size:
            raise EOFError(_CUT)
        return found


class _Memory:
    """What a record is read into, and the next one after it, if nothing holds the record or a part of it any more.

    New memory for each example takes a third of the time of reading it: the system fills it with zeros first.
    """

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)
        self._held: Callable[[], object] = lambda: None

    def of(self, size: int) -> memoryview:
        """Return memory for `size` bytes, which takes none of the machine's until it is written to."""
        if size > self._memory.size or self._held() is not None:
            self._memory = np.empty(size, np.uint8)
        part = self._memory[:size]
        self._held = weakref.ref(part)  # a memoryview of it, and each part of that, keeps it alive
        return part.data


def _read_to(room: memoryview, stream: BinaryIO | _Unzipped) -> tuple[int, int]:
    """Read as many bytes as there is room for, fewer at the end of the file; return their number and masked CRC-32C."""
    filled = crc = 0
    while filled < len(room) and (part := stream.read(min(len(room) - filled, _CHUNK))):
        room[filled : filled + len(part)] = part
        filled, crc = filled + len(part), google_crc32c.extend(crc, part)
    return filled, _masked(crc)


def _next_record(
    path: Path, number: int, header: bytes, stream: BinaryIO | _Unzipped, memory: _Memory
) -> Record | BadRecord:
    if not header:
        raise _Unreadable("the file holds no record")
    if len(header) < _LENGTH.size + _CRC.size:
        raise _Unreadable(f"the file is cut: {len(header)} bytes of the record's length and its CRC are there")
    (length,), (crc,) = _LENGTH.unpack(header[: _LENGTH.size]), _CRC.unpack(header[_LENGTH.size :])
    if masked_crc(header[: _LENGTH.size]) != crc:
        raise _Unreadable("the CRC of its length is wrong (no TFRecord file, or damaged); no later record can be read")
    if length > _LARGEST:
        raise _Unreadable(f"it has {length} bytes by its length, and no example is larger than {_LARGEST}")
    data = memory.of(length)
    filled, found = _read_to(data, stream)
    tail = _bytes_of(stream, _CRC.size)
    if filled < length or len(tail) < _CRC.size:
        raise _Unreadable(f"the file is cut: {filled + len(tail)} of {length + _CRC.size} bytes are there")
    if found != _CRC.unpack(tail)[0]:
        return BadRecord(path, number, "the CRC of its bytes is wrong (damaged)")
    return Record(path, number, data.toreadonly())


def _bytes_of(stream: BinaryIO | _Unzipped, size: int) -> bytes:
    """Return `size` bytes, fewer at the end of the file."""
    room = memoryview(bytearray(size))
    return bytes(room[: _read_to(room, stream)[0]])


@contextmanager
def record_writer(path: Path, level: int = 6) -> Iterator[Callable[[bytes | memoryview], None]]:
    """Write a TFRecord file, compressed with gzip, completely or not at all.

    Parameters
    ----------
    path : Path
        The file.
    level : int
        Level of the compression, 0 to 9.

    Yields
    ------
    callable
        Called with the bytes of each record. The same records give the same file.

    Raises
    ------
    ArchiveError
        The file cannot be written.
    """
    with part_file(path) as part:
        with part.open("wb") as raw, gzip.GzipFile("", "wb", level, raw, mtime=0) as stream:

            def write(data: bytes | memoryview) -> None:
                length = _LENGTH.pack(len(data))
                for piece in (length, _CRC.pack(masked_crc(length)), data, _CRC.pack(masked_crc(data))):
                    stream.write(piece)

            yield write
    move_into_place(path)
