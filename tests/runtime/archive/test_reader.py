"""The reader gives the values of the daily files, also where it reads them from the cube."""

import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

import runtime
from runtime.archive import cf
from runtime.archive.catalog import Catalog
from runtime.archive.cube_update import remove_cube
from runtime.archive.format import ArchiveFormat
from runtime.archive.reader import Reader
from runtime.archive.variables import SOURCE, VARIABLES
from runtime.archive.verify import archive_faults
from runtime.common.vocabulary import LayoutName
from runtime.errors import ArchiveError, UsageError
from tests.conftest import DAYS, Site, logged

CUBE = "cube.zarr"
HERE = (45.1, 2.2)
OF_ONE_SENSOR = [name for name in VARIABLES if name != SOURCE.name]


def _from_files(filled_site: Site, row: int, col: int, name: str) -> list[float]:
    return [float(cf.values(filled_site.day_file(day), name)[row, col]) for day in range(DAYS)]


def test_a_series_is_what_the_files_hold(filled_site: Site) -> None:
    series = Reader(filled_site.archive).series(*HERE)
    assert series.dates == [filled_site.date(day) for day in range(DAYS)]
    assert (series.latitude, series.longitude) == (45.125, 2.125)
    row, col = int((50 - 45.125) / 0.25), int((2.125 + 10) / 0.25)
    for name in OF_ONE_SENSOR:
        np.testing.assert_array_equal(series.values[name], np.float32(_from_files(filled_site, row, col, name)))


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("harm", ["no cube", "a stale day", "a shorter cube", "no catalog"])
def test_what_the_cube_lacks_comes_from_the_files(harm: str, filled_site: Site) -> None:
    whole = Reader(filled_site.archive).series(*HERE)
    opened = runtime.open_archive(filled_site.archive).load()
    if harm == "no cube":
        remove_cube(filled_site.archive)
    elif harm == "no catalog":
        shutil.rmtree(filled_site.archive / ".catalog")
    else:
        group = zarr.open_group(filled_site.archive / CUBE, mode="r+", use_consolidated=False)
        marks = group["source_file"]
        assert isinstance(marks, zarr.Array)
        marks[slice(3, 5) if harm == "a stale day" else slice(6, None)] = 0
        soil = group["soil_moisture"]
        assert isinstance(soil, zarr.Array)
        soil[slice(3, 5) if harm == "a stale day" else slice(6, None)] = 9999
    left = Reader(filled_site.archive).series(*HERE)
    assert left.dates == whole.dates
    for name in OF_ONE_SENSOR:
        np.testing.assert_array_equal(left.values[name], whole.values[name])
    again = runtime.open_archive(filled_site.archive).load()
    assert list(again) == list(opened)
    for name in OF_ONE_SENSOR:
        np.testing.assert_array_equal(again[name], opened[name])


def test_a_part_of_the_days(filled_site: Site) -> None:
    reader = Reader(filled_site.archive)
    part = reader.series(*HERE, filled_site.date(3), filled_site.date(5), ("soil_moisture",))
    assert part.dates == [filled_site.date(day) for day in (3, 4, 5)]
    assert list(part.values) == ["soil_moisture"]
    np.testing.assert_array_equal(
        part.values["soil_moisture"], reader.series(*HERE).values["soil_moisture"][3:6], strict=True
    )
    assert reader.series(*HERE, dt.date(1999, 1, 1), dt.date(1999, 2, 1)).dates == []


def test_a_day_that_was_never_filled_is_no_day_of_a_series(window_site: Site) -> None:
    window_site.fill(2, 3)
    window_site.fill(7, 8)
    series = Reader(window_site.archive).series(*HERE)
    assert series.dates == [window_site.date(day) for day in (2, 3, 7, 8)]
    assert runtime.open_archive(window_site.archive).sizes["time"] == 4


@pytest.mark.parametrize("point", [(51.0, 2.0), (45.0, 10.2), (45.0, -10.1), (float("nan"), 2.0)])
def test_a_point_outside_is_refused(point: tuple[float, float], filled_site: Site) -> None:
    with pytest.raises(UsageError, match="is outside the archive, which has 35.125 to 49.875 N and -9.875 to 9.875 E"):
        Reader(filled_site.archive).series(*point)


def test_longitudes_may_run_to_360(filled_site: Site) -> None:
    assert Reader(filled_site.archive).cell(45.0, 355.0) == Reader(filled_site.archive).cell(45.0, -5.0)


def test_a_damaged_day_is_named(filled_site: Site) -> None:
    filled_site.day_file(4).write_bytes(b"nothing")
    with pytest.raises(ArchiveError, match=r"seamless_sm_20200405.nc: cannot be read"):
        Reader(filled_site.archive).day(filled_site.date(4))


@pytest.mark.parametrize("layout", ["sgd-sm"])
def test_the_other_layout_has_cube_and_series_too(layout: str, window_site: Site) -> None:
    window_site.fill(3, 6, f"archive.layout={layout}")
    series = Reader(window_site.archive).series(*HERE)
    assert list(series.values) == ["soil_moisture", "soil_moisture_observed"]
    with Catalog.open(window_site.paths.catalog) as catalog:  # as an interrupted change of the layout leaves it
        catalog.write_format(ArchiveFormat.of(window_site.config().make_grid(), LayoutName.CF))
    window_site.fill(3, 4)
    both = Reader(window_site.archive).series(*HERE)
    assert np.isnan(both.values["days_since_observation"][2:]).all()
    assert (both.values["flag"][2:] == -1).all()
    assert np.isfinite(both.values["soil_moisture"]).all()
    cut = both.values["soil_moisture"] - series.values["soil_moisture"]
    assert ((cut > -1e-6) & (cut < 0.01)).all(), "whole percent, rounded down"


def _cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


HARM: dict[str, tuple[str, Callable[[Path], object]]] = {
    "lost": ("soil_moisture/c/0/0/0", Path.unlink),
    "empty": ("flag/c/0/0/0", lambda path: path.write_bytes(b"")),
    "cut off": ("soil_moisture/c/0/0/0", _cut_off),
    "all chunks of a variable": ("soil_moisture", lambda path: shutil.rmtree(path / "c")),
    "the metadata of all": ("zarr.json", Path.unlink),
    "half the metadata of all": ("zarr.json", _cut_off),
    "the marks": ("source_file/c/0", _cut_off),
}


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("harm", HARM)
def test_a_chunk_of_the_cube_that_is_lost_or_cut_off_is_reported_and_read_from_the_files(
    harm: str, filled_site: Site
) -> None:
    """And the next run copies its days again, so that the reader after it finds all of them in the cube."""
    whole = Reader(filled_site.archive).series(*HERE)
    assert whole.not_from_cube == []
    opened = runtime.open_archive(filled_site.archive).load()
    name, do = HARM[harm]
    do(filled_site.archive / CUBE / name)
    with logged() as lines:
        left = Reader(filled_site.archive).series(*HERE)
    assert left.not_from_cube == left.dates == whole.dates
    assert any("2020-04-01 to 2020-04-14 cannot be read and are taken from the daily files" in line for line in lines)
    with logged() as lines:
        again = runtime.open_archive(filled_site.archive).load()
    assert any("taken from the daily files" in line for line in lines)
    for name in OF_ONE_SENSOR:
        np.testing.assert_array_equal(left.values[name], whole.values[name])
        np.testing.assert_array_equal(again[name], opened[name])
    filled_site.fill()
    with logged() as lines:
        healed = Reader(filled_site.archive).series(*HERE)
    assert (healed.not_from_cube, lines) == ([], [])
    for name in OF_ONE_SENSOR:
        np.testing.assert_array_equal(healed.values[name], whole.values[name])


def test_a_new_day_does_not_empty_the_other_days_of_a_lost_chunk(filled_site: Site) -> None:
    """Zarr would write a chunk with the new day alone, and the other days would keep their marks."""
    filled_site.day_file(DAYS - 1).unlink()
    (filled_site.archive / CUBE / "soil_moisture" / "c" / "0" / "0" / "0").unlink()
    filled_site.fill(DAYS - 1)
    series = Reader(filled_site.archive).series(*HERE)
    row, col = Reader(filled_site.archive).cell(*HERE)
    expected = np.float32(_from_files(filled_site, row, col, "soil_moisture"))
    np.testing.assert_array_equal(series.values["soil_moisture"], expected)
    assert np.isfinite(expected).all()


def test_metadata_of_a_variable_that_are_lost_do_not_empty_it(filled_site: Site) -> None:
    """Readers still have them in the metadata of all; a run makes the cube again before it writes those anew."""
    whole = Reader(filled_site.archive).series(*HERE)
    (filled_site.archive / CUBE / "soil_moisture" / "zarr.json").unlink()
    np.testing.assert_array_equal(
        Reader(filled_site.archive).series(*HERE).values["soil_moisture"], whole.values["soil_moisture"]
    )
    assert (
        "zarr.json: cannot be read (it is missing)" in archive_faults(filled_site.config(), lambda items, _: items)[0]
    )
    filled_site.fill(DAYS - 1)
    assert archive_faults(filled_site.config(), lambda items, _: items) == []
    np.testing.assert_array_equal(
        Reader(filled_site.archive).series(*HERE).values["soil_moisture"], whole.values["soil_moisture"]
    )
