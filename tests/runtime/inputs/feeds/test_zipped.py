"""Zips of daily files: odd ones are refused by name before anything is written."""

import logging
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from runtime.common.deadline import Deadline
from runtime.common.sensors import PRODUCTS
from runtime.errors import FeedUnreachable
from runtime.inputs.feeds.base import GranuleFilter
from runtime.inputs.feeds.zipped import ZippedDays
from tests.conftest import START
from tests.support.cds import zip_of

WANTED = GranuleFilter(PRODUCTS["lprm-amsr2"], "descending")


def _odd_zip(name: str, content: bytes, **changes: int) -> bytes:
    body = BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(name)
        member.compress_type = zipfile.ZIP_DEFLATED
        for key, value in changes.items():
            setattr(member, key, value)
        archive.writestr(member, content)
    return body.getvalue()


GOOD = "LPRM-AMSR2_L3_D_SOILM3_V001_20200401013507.nc4"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>gone</html>", "is no zip, or was cut short"),
        (zip_of({GOOD: b"x" * 999})[:-30], "is no zip, or was cut short"),
        (zip_of({f"/etc/{GOOD}": b"x"}), "'/etc/LPRM.* leads out of the folder"),
        (zip_of({f"../../{GOOD}": b"x"}), "'../../LPRM.* leads out of the folder"),
        (zip_of({f"C:\\{GOOD}": b"x"}), "leads out of the folder"),
        (_odd_zip(GOOD, b"/etc/passwd", external_attr=0xA1FF << 16), "is a link"),
        (zip_of({GOOD: bytes(129 << 20)}), "has 129 MiB unpacked, more than 128"),
        (zip_of({f"{n}.txt": b"x" for n in range(1001)}), "the zip has 1001 files, more than 1000"),
        (zip_of({GOOD: b"abc"}).replace(b"abc", b"abd").replace(b"\x4b\x4c\x4a", b"\x4b\x4c\x4b"), "is damaged"),
    ],
    ids=["page", "cut", "absolute", "above", "drive", "link", "bomb", "many", "damaged"],
)
def test_an_odd_zip_is_refused_by_name(body: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(FeedUnreachable, match=f"here: .*{message}"):
        _unpack(body, tmp_path / "got")
    assert {path.name for path in tmp_path.iterdir()} <= {"got"}


def _unpack(body: bytes, target: Path) -> None:
    ZippedDays(BytesIO(body), WANTED, "here").unpack(START, target, Deadline.after(60.0, "a.key"))


def test_a_day_that_is_not_unpacked_in_time_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(FeedUnreachable, match=r"here: is not unpacked within 0 s \(a.key\)"):
        ZippedDays(BytesIO(zip_of({GOOD: b"x"})), WANTED, "here").unpack(
            START, tmp_path / "got", Deadline.after(0.0, "a.key")
        )


def test_other_files_in_the_zip_are_left_out_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _unpack(zip_of({"README.txt": b"x", f"data/{GOOD}": b"a day"}), tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"a day"
    assert "here: 'README.txt' in the zip is left out, it is no file of lprm-amsr2" in caplog.text
