"""TFRecord files: what is written is read again, and every damage is named with its record."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.retrieval.tfrecord import BadRecord, Record, masked_crc, read_records, record_writer

RECORDS = [b"first record", b"", b"third \x00\xff" * 5]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shard.tfrecord.gz"
    with record_writer(path) as write:
        for data in RECORDS:
            write(data)
    return path


def _read(path: Path) -> list[bytes | str]:
    found = list(read_records(path))
    return [bytes(each.data) if isinstance(each, Record) else str(each) for each in found]


def test_the_masked_crc_is_that_of_tensorflow() -> None:
    # the published check value of CRC-32C for these digits is 0xE3069283
    crc = 0xE3069283
    assert masked_crc(b"123456789") == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def test_what_is_written_is_read_and_the_same_records_give_the_same_file(file: Path, tmp_path: Path) -> None:
    assert _read(file) == RECORDS
    again = tmp_path / "again.tfrecord.gz"
    with record_writer(again) as write:
        for data in RECORDS:
            write(data)
    assert again.read_bytes() == file.read_bytes()


def test_memory_is_used_again_only_where_nothing_holds_a_part_of_the_record(tmp_path: Path) -> None:
    path = tmp_path / "shard.tfrecord.gz"
    with record_writer(path) as write:
        for letter in b"abcd":
            write(bytes([letter]) * 2_000_000)
    records = read_records(path)
    places = [np.frombuffer(next(records).data, np.uint8).ctypes.data for _ in range(2)]
    assert places[0] == places[1]
    part = next(records).data[5:9]
    fourth = next(records).data
    assert (bytes(part), bytes(fourth[:4])) == (b"cccc", b"dddd")
    with pytest.raises(TypeError, match="read-only"):
        fourth[0] = 0


def test_a_file_that_is_not_compressed_is_read_too(file: Path) -> None:
    file.write_bytes(gzip.decompress(file.read_bytes()))
    assert _read(file) == RECORDS


def test_a_gzip_file_may_have_a_name_and_several_members_and_zeros_at_its_end(file: Path) -> None:
    stream = gzip.decompress(file.read_bytes())
    member = gzip.compress(stream[20:], mtime=0)
    crc = zlib.crc32(b"\x1f\x8b\x08\x1f" + member[4:10]).to_bytes(4, "little")[:2]
    extra, name, comment = struct.pack("<H", 5) + b"extra", b"shard.tfrecord\0", b"a comment\0"
    second = b"\x1f\x8b\x08\x1f" + member[4:10] + extra + name + comment + crc + member[10:]
    file.write_bytes(gzip.compress(stream[:20]) + bytes(3) + second + bytes(100))
    assert _read(file) == RECORDS


def test_what_follows_the_records_is_refused_and_they_are_read(file: Path) -> None:
    whole = file.read_bytes()
    wrong_crc = whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:]
    for content, reason in ((wrong_crc, "its CRC is wrong"), (whole + b"more of it", "bytes follow that are no gzip")):
        file.write_bytes(content)
        assert _read(file) == [*RECORDS, f"{file}: record 4: the gzip stream is cut or damaged ({reason})"]


def test_a_compressed_file_that_is_cut_anywhere_is_refused_by_name(file: Path) -> None:
    whole = file.read_bytes()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        found = list(read_records(file))
        assert isinstance(found[-1], BadRecord), size
        assert str(found[-1]).startswith(f"{file}: record {len(found)}: "), size
        assert [each.data for each in found[:-1] if isinstance(each, Record)] == RECORDS[: len(found) - 1]


def test_records_that_are_cut_anywhere_are_refused_but_at_their_end(file: Path) -> None:
    whole = gzip.decompress(file.read_bytes())
    ends = {16 + len(RECORDS[0]), 32 + len(RECORDS[0] + RECORDS[1])}
    for size in range(len(whole)):
        file.write_bytes(gzip.compress(whole[:size]))
        found = list(read_records(file))
        assert isinstance(found[-1], BadRecord) == (size not in ends), size


@settings(deadline=None)
@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_one_flipped_bit_is_found(place: int, bit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("flipped") / "shard.tfrecord"
    raw = bytearray()
    for data in RECORDS:
        length = struct.pack("<Q", len(data))
        raw += length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))
    raw[place % len(raw)] ^= 1 << bit
    path.write_bytes(raw)
    found = list(read_records(path))
    assert sum(isinstance(each, BadRecord) for each in found) == 1
    assert all(each.data in RECORDS for each in found if isinstance(each, Record))


def test_reading_goes_on_after_a_wrong_crc_of_the_bytes(file: Path) -> None:
    raw = bytearray(gzip.decompress(file.read_bytes()))
    raw[12] ^= 1
    file.write_bytes(gzip.compress(bytes(raw)))
    assert _read(file) == [f"{file}: record 1: the CRC of its bytes is wrong (damaged)", *RECORDS[1:]]


def test_a_length_beyond_reason_takes_no_memory(file: Path) -> None:
    length = struct.pack("<Q", 2**62)
    file.write_bytes(length + struct.pack("<I", masked_crc(length)) + b"few bytes")
    assert "no example is larger" in str(_read(file)[0])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file holds no record"),
        (gzip.compress(b"", mtime=0), "the file holds no record"),
        (b"sensor_id,time\nx,2019\n", "the CRC of its length is wrong"),
        (b"short", "the file is cut: 5 bytes"),
    ],
)
def test_what_is_no_tfrecord_file_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    assert reason in str(_read(path)[0])


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "No such file" in str(_read(tmp_path / "absent")[0])
