"""Files are read in a process of their own, which a damaged file may end and nothing else may blame on it."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runtime.common.grid import Grid
from runtime.common.sensors import PRODUCTS
from runtime.errors import FeedUnreachable, InputRefused
from runtime.inputs.products.read import read_field
from runtime.inputs.reader_process import ReaderProcess, reader_process
from tests.conftest import BOX, MakeSite, Site

LPRM = PRODUCTS["lprm-amsr2"]


@pytest.fixture
def reader() -> Iterator[ReaderProcess]:
    reader = ReaderProcess(limit_s=2)
    yield reader
    reader.close()


def without_end(path: Path) -> None:
    """Let the HDF5 library read a file without end: zeros where the heap of its references should be."""
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 128 : heap + 288] = bytes(160)
    path.write_bytes(content)


def granule(fortnight: Path, day: int) -> Path:
    return next((fortnight / "lprm").glob(f"*_{Site.date(day):%Y%m%d}*"))


def test_it_reads_as_this_process_does(reader: ReaderProcess, fortnight: Path, grid: Grid, globe: Grid) -> None:
    small = globe.box(-5, 40, 0, 45)
    for day, where in ((0, grid), (1, grid), (1, small), (2, grid)):
        args = (LPRM, granule(fortnight, day), Site.date(day), where, "c1")
        found, wanted = reader.read(*args), read_field(*args)
        np.testing.assert_array_equal(found.field, wanted.field)
        assert (found.coverage, found.digest) == (wanted.coverage, wanted.digest)


@pytest.mark.slow
def test_a_file_that_is_read_without_end_is_refused_and_the_next_is_read(
    reader: ReaderProcess, fortnight: Path, tmp_path: Path, grid: Grid
) -> None:
    damaged = tmp_path / "granule.nc4"
    damaged.write_bytes(granule(fortnight, 0).read_bytes())
    without_end(damaged)
    with pytest.raises(InputRefused, match=r"granule\.nc4: is damaged, reading it does not end within 2 s"):
        reader.read(LPRM, damaged, Site.date(0), grid, "x")
    assert reader.read(LPRM, granule(fortnight, 0), Site.date(0), grid, "x").coverage


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        (signal.SIGSEGV, InputRefused, "is damaged, reading it crashes"),
        (signal.SIGKILL, FeedUnreachable, "was not read, the process that reads files was ended by SIGKILL"),
    ],
)
def test_a_crash_is_the_files_fault_and_a_kill_is_not(
    how: signal.Signals, error: type[Exception], message: str, fortnight: Path, tmp_path: Path, grid: Grid
) -> None:
    reader = ReaderProcess()
    damaged = tmp_path / "granule.nc4"
    damaged.write_bytes(granule(fortnight, 0).read_bytes())
    without_end(damaged)
    reader.read(LPRM, granule(fortnight, 0), Site.date(0), grid, "x")
    assert reader.pid
    threading.Timer(0.5, os.kill, (reader.pid, how)).start()
    with pytest.raises(error, match=message):
        reader.read(LPRM, damaged, Site.date(0), grid, "x")
    assert reader.read(LPRM, granule(fortnight, 0), Site.date(0), grid, "x").coverage
    reader.close()


class _NoMemory(dt.date):
    """A day for which there is no memory left."""

    def __ne__(self, other: object) -> bool:
        raise MemoryError("8 MiB")


def test_a_file_that_there_is_no_memory_for_waits(reader: ReaderProcess, fortnight: Path, grid: Grid) -> None:
    """The file may be sound, so it is not refused."""
    with pytest.raises(FeedUnreachable, match=r"not read, there is not enough memory \(8 MiB\); run again, and give"):
        reader.read(LPRM, granule(fortnight, 0), _NoMemory(2020, 4, 1), grid, "x")


def test_it_takes_no_module_from_the_current_folder(
    reader: ReaderProcess, fortnight: Path, tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "signal.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert reader.read(LPRM, granule(fortnight, 0), Site.date(0), grid, "x").coverage


def test_a_signal_to_the_whole_group_does_not_end_it(reader: ReaderProcess, fortnight: Path, grid: Grid) -> None:
    reader.read(LPRM, granule(fortnight, 0), Site.date(0), grid, "x")
    assert reader.pid
    pid = reader.pid
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    time.sleep(0.1)
    reader.read(LPRM, granule(fortnight, 1), Site.date(1), grid, "x")
    assert reader.pid == pid


@pytest.mark.slow
def test_it_works_under_a_hard_limit_of_computing(fortnight: Path, grid: Grid) -> None:
    script = (
        "import datetime as dt, resource; from pathlib import Path; from runtime.common.grid import Grid\n"
        "from runtime.common.sensors import PRODUCTS; from runtime.inputs.reader_process import ReaderProcess\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (3600, 3600))\n"
        f"args = PRODUCTS['lprm-amsr2'], Path({str(granule(fortnight, 0))!r}), dt.date(2020, 4, 1)\n"
        f"print(ReaderProcess().read(*args, Grid.globe().box{BOX}, 'x').field.shape)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(grid.shape)


def test_one_that_died_between_two_files_is_replaced(reader: ReaderProcess, fortnight: Path, grid: Grid) -> None:
    reader.read(LPRM, granule(fortnight, 0), Site.date(0), grid, "x")
    assert reader.pid
    os.kill(reader.pid, signal.SIGKILL)
    time.sleep(0.2)
    assert reader.read(LPRM, granule(fortnight, 1), Site.date(1), grid, "x").coverage


def test_an_error_that_nobody_foresaw_comes_with_where_it_was(reader: ReaderProcess, fortnight: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)in read_field.*AttributeError"):
        reader.read(LPRM, granule(fortnight, 0), Site.date(0), "no grid", "x")  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_day_whose_file_is_read_without_end_is_refused_and_the_others_are_filled(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader_process().close()
    monkeypatch.setattr(reader_process(), "_limit_s", 2)
    site = make_site()
    without_end(site.lprm(9))
    outcome = site.fill()
    reader_process().close()
    assert outcome.exit_code == 4
    assert "reading it does not end within 2 s" in outcome.message
    assert len(site.published()) == 13


@pytest.mark.slow
def test_a_file_whose_reading_is_killed_waits_and_the_others_are_filled(make_site: MakeSite) -> None:
    """As the out-of-memory killer does: the file may be sound, so it is not refused."""
    site = make_site()
    without_end(site.lprm(9))
    reader = reader_process()
    ended = threading.Event()

    def kill_what_computes_long() -> None:
        while not ended.wait(0.2):
            spent = Path(f"/proc/{reader.pid}/stat").read_text().split()[13] if reader.pid else "0"
            if int(spent) > 300:  # hundredths of a second
                os.kill(reader.pid or 0, signal.SIGKILL)

    reader.close()
    killer = threading.Thread(target=kill_what_computes_long)
    killer.start()
    outcome = site.fill()
    ended.set()
    killer.join()
    assert outcome.exit_code == 3
    assert "was ended by SIGKILL" in outcome.message
    assert len(site.published()) == 13
