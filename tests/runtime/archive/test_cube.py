"""The cube agrees with the daily files or marks the days that do not; the next update repairs it after any kill."""

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.archive import cf
from runtime.archive.catalog import Catalog
from runtime.archive.cube import SLAB, Cube, DayFile, cube_faults
from runtime.archive.cube_store import consolidate
from runtime.archive.cube_update import update_cube
from runtime.archive.derived import day_files
from runtime.archive.reader import Reader
from runtime.archive.record import PublishedDay
from runtime.archive.variables import SOURCE, VARIABLES
from runtime.archive.verify import archive_faults
from runtime.common.grid import Grid
from runtime.common.vocabulary import Tier
from runtime.errors import ArchiveError
from runtime.fill.result import Filled
from tests.conftest import DAYS, Runtime, Site
from tests.support.kills import is_done_before
from tests.support.records import day_record, published_day, put_day

GRID = Grid(1.0, 0.0, np.ones((3, 45), bool))
FIRST = dt.date(2020, 4, 1)
TRACED = ("cube.py", "cube_store.py", "cube_update.py", "atomic.py")
CUBE = "cube.zarr"


def _whole(items: Any, _: str) -> Any:
    return items


def _day(number: int, value: float, *, rain: bool = True, sensors: tuple[str, ...] = ()) -> PublishedDay:
    field = np.full(GRID.shape, value, np.float32)
    field[0, 0] = np.nan
    record = day_record(FIRST + dt.timedelta(number), tier=Tier.CONSOLIDATED, model="m")
    filled = Filled(field, field, np.zeros(GRID.shape, np.int8), np.zeros(GRID.shape, np.int16))
    source = np.full(GRID.shape, len(sensors), np.int16) if sensors else None
    bits = {name: bit for bit, name in enumerate(sensors)}
    rain_field = field * 30 if rain else None
    return published_day(record, GRID, filled, precipitation=rain_field, source=source, source_bits=bits)


def _put(
    archive: Path, number: int, value: float, *, rain: bool = True, sensors: tuple[str, ...] = ()
) -> tuple[dt.date, DayFile]:
    return put_day(archive, _day(number, value, rain=rain, sensors=sensors))


def _update(archive: Path, sources: dict[dt.date, DayFile]) -> int:
    return update_cube(archive, sources, GRID, {"title": "t", "time_coverage_end": str(max(sources))}, _whole)


def _agrees(archive: Path, sources: dict[dt.date, DayFile]) -> None:
    """Check that every published day is marked and equals its file, and that every other day is empty."""
    opened = Cube.open(archive)
    assert opened is not None
    marks = opened.marks()
    assert marks.size == (max(sources) - opened.first).days + 1
    fields = {name: opened.read(name, slice(None)) for name in opened.names}
    for number, mark in enumerate(marks.tolist()):
        source = sources.get(opened.first + dt.timedelta(number))
        assert mark == (source.mark if source else 0)
        published = cf.CfLayout().read(source.path) if source else {}
        for name, field in fields.items():
            np.testing.assert_array_equal(field[number], published.get(name, VARIABLES[name].empty))
    assert cube_faults(archive, sources, _whole) == []


def test_days_are_copied_once(tmp_path: Path) -> None:
    sources = dict([_put(tmp_path, 0, 0.1), _put(tmp_path, 1, 0.2), _put(tmp_path, 3, 0.3)])
    assert _update(tmp_path, sources) == 3
    assert _update(tmp_path, sources) == 0
    _agrees(tmp_path, sources)


def test_a_day_is_replaced_appended_and_taken_away(tmp_path: Path) -> None:
    sources = dict([_put(tmp_path, 0, 0.1), _put(tmp_path, 1, 0.2), _put(tmp_path, 2, 0.25)])
    _update(tmp_path, sources)
    sources |= dict([_put(tmp_path, 1, 0.4), _put(tmp_path, SLAB + 3, 0.5)])
    del sources[FIRST + dt.timedelta(2)]
    assert _update(tmp_path, sources) == 2
    _agrees(tmp_path, sources)


def test_what_a_killed_write_left_is_tidied_up_by_the_next(tmp_path: Path) -> None:
    sources = dict([_put(tmp_path, 0, 0.1)])
    _update(tmp_path, sources)
    folder = tmp_path / CUBE
    left = [folder / "soil_moisture" / "c" / "0" / "0" / "0.5f.partial", folder / "source_file" / "zarr.5f.partial"]
    for path in left:
        path.write_text("half")
    sources |= dict([_put(tmp_path, 1, 0.2)])
    _update(tmp_path, sources)
    assert list(folder.rglob("*.partial")) == []
    _agrees(tmp_path, sources)


def test_an_earlier_day_moves_the_beginning(tmp_path: Path) -> None:
    sources = dict([_put(tmp_path, 5, 0.1)])
    _update(tmp_path, sources)
    sources |= dict([_put(tmp_path, 2, 0.1)])
    assert _update(tmp_path, sources) == 2
    _agrees(tmp_path, sources)


def test_a_variable_that_comes_later(tmp_path: Path) -> None:
    sources = dict([_put(tmp_path, 0, 0.1, rain=False)])
    _update(tmp_path, sources)
    assert "precipitation" not in Cube.open(tmp_path).names  # type: ignore[union-attr]
    sources |= dict([_put(tmp_path, 1, 0.1)])
    _update(tmp_path, sources)
    _agrees(tmp_path, sources)


def _without_sources(archive: Path) -> None:
    """Make the cube what an earlier version made of the same files."""
    shutil.rmtree(archive / CUBE / SOURCE.name)
    consolidate(archive / CUBE, {})
    assert SOURCE.name not in Cube.open(archive).names  # type: ignore[union-attr]


def test_the_cube_says_which_sensors_saw_each_cell(tmp_path: Path) -> None:
    sources = dict([_put(tmp_path, 0, 0.1), _put(tmp_path, 1, 0.2, sensors=("smap", "smos"))])
    _update(tmp_path, sources)
    _agrees(tmp_path, sources)
    sources |= dict([_put(tmp_path, 3, 0.3, sensors=("smap", "smos", "amsr-2"))])
    _update(tmp_path, sources)
    _agrees(tmp_path, sources)
    with xarray.open_zarr(tmp_path / CUBE) as opened:
        source = opened[SOURCE.name]
        assert source.dtype == np.int16
        assert source[:, 1, 1].values.tolist() == [-1, 2, -1, 3], "-1: not made from several sensors, or no day"
        assert source.attrs["flag_masks"] == [1, 2, 4]
        assert source.attrs["flag_meanings"] == "smap smos amsr_2"
    zarr.open_group(tmp_path / CUBE, mode="r+")[SOURCE.name][1, 0, 3] = 1  # type: ignore[index]
    (fault,) = cube_faults(tmp_path, sources, _whole)
    assert "2020-04-02 is not what its daily file holds; `runtime check --rebuild-views`" in fault


def test_a_bit_that_means_another_sensor_on_another_day_is_named_after_both(tmp_path: Path) -> None:
    """The order of the feeds was changed, which the daily files say, each for itself."""
    sources = dict([_put(tmp_path, 0, 0.1, sensors=("smap", "smos"))])
    _update(tmp_path, sources)
    sources |= dict([_put(tmp_path, 1, 0.2, sensors=("smos", "smap")), _put(tmp_path, 2, 0.2, sensors=("smos",))])
    _update(tmp_path, sources)
    _agrees(tmp_path, sources)
    assert Cube.open(tmp_path).source_bits == {"smap_or_smos": 0, "smos_or_smap": 1}  # type: ignore[union-attr]
    assert _update(tmp_path, sources) == 0


def test_a_cube_that_was_made_without_the_sensors_gets_them_with_the_next_day(tmp_path: Path) -> None:
    both = ("smap", "smos")
    sources = dict([_put(tmp_path, 0, 0.1), _put(tmp_path, 1, 0.2, sensors=both), _put(tmp_path, SLAB + 1, 0.3)])
    sources |= dict([_put(tmp_path, SLAB + 2, 0.3, sensors=both)])
    _update(tmp_path, sources)
    _without_sources(tmp_path)
    assert cube_faults(tmp_path, sources, _whole) == []
    assert _update(tmp_path, sources) == 0, "it goes on to be read as it is"
    sources |= dict([_put(tmp_path, SLAB + 3, 0.3, sensors=both)])
    assert _update(tmp_path, sources) == 3, "the new day, and the two that have sensors"
    _agrees(tmp_path, sources)
    assert Cube.open(tmp_path).source_bits == {"smap": 0, "smos": 1}  # type: ignore[union-attr]


def test_an_altered_file_is_not_copied(tmp_path: Path) -> None:
    sources = dict([_put(tmp_path, 0, 0.1), _put(tmp_path, 1, 0.2)])
    _put(tmp_path, 1, 0.9)
    assert _update(tmp_path, sources) == 1
    assert Cube.open(tmp_path).marks().tolist()[1:] in ([], [0])  # type: ignore[union-attr]


def test_a_damaged_cube_is_named_and_made_again(tmp_path: Path) -> None:
    sources = dict([_put(tmp_path, 0, 0.1), _put(tmp_path, 1, 0.2)])
    _update(tmp_path, sources)
    (tmp_path / CUBE / "zarr.json").write_text("{")
    with pytest.raises(ArchiveError, match=r"cube.zarr: cannot be read .*runtime check --rebuild-views"):
        Cube.open(tmp_path)
    assert "--rebuild-views" in cube_faults(tmp_path, sources, _whole)[0]
    assert _update(tmp_path, sources) == 2
    _agrees(tmp_path, sources)


def test_values_that_differ_from_the_file_are_found(tmp_path: Path) -> None:
    sources = dict([_put(tmp_path, 0, 0.1), _put(tmp_path, 1, 0.2)])
    _update(tmp_path, sources)
    zarr.open_group(tmp_path / CUBE, mode="r+")["flag"][1, 0, 3] = 5  # type: ignore[index]
    assert cube_faults(tmp_path, sources, _whole) == [
        f"{tmp_path / CUBE}: 2020-04-02 is not what its daily file holds; "
        "`runtime check --rebuild-views` makes it again"
    ]


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(st.integers(0, SLAB + 2), st.sampled_from([0.1, 0.2, 0.3])), min_size=1, max_size=8))
def test_any_order_of_publishing_gives_the_same_values(
    tmp_path_factory: pytest.TempPathFactory, days: list[tuple[int, float]]
) -> None:
    archive = tmp_path_factory.mktemp("archive")
    sources: dict[dt.date, DayFile] = {}
    for number, value in days:
        sources |= dict([_put(archive, number, value)])
        if value > 0.1:
            _update(archive, sources)
    _update(archive, sources)
    _agrees(archive, sources)


@pytest.mark.slow
@pytest.mark.parametrize("there", ["no cube yet", "a cube", "a cube without sensors"])
def test_killed_at_any_line_the_next_update_heals(there: str, tmp_path: Path) -> None:
    """Before that, no marked day differs from its file, and all arrays have the same length for xarray."""
    start, archive = tmp_path / "start", tmp_path / "archive"
    both = ("smap", "smos")
    old = dict([_put(start, 0, 0.1, rain=False, sensors=both[:1]), _put(start, 1, 0.2, rain=False)])
    if there != "no cube yet":
        _update(start, old)
    if there == "a cube without sensors":
        _without_sources(start)
    new = old | dict([_put(tmp_path / "new", 1, 0.4), _put(tmp_path / "new", SLAB + 1, 0.5, sensors=both)])
    line, lived = 0, False
    while not lived:
        line += 47
        shutil.rmtree(archive, ignore_errors=True)
        shutil.copytree(start, archive)
        shutil.copytree(tmp_path / "new", archive, dirs_exist_ok=True)
        sources = {d: s._replace(archive=archive) for d, s in new.items()}
        lived = is_done_before(line, TRACED, _update, archive, sources)
        assert cube_faults(archive, sources, _whole) == [], f"killed at line {line}"
        if (archive / CUBE).exists():
            with xarray.open_zarr(archive / CUBE) as opened:
                assert set(opened.sizes) >= {"time", "lat", "lon"}, f"killed at line {line}"
        _update(archive, sources)
        _agrees(archive, sources)
        assert {p.name for p in archive.iterdir()} == {"2020", CUBE}
    assert line > 100


def test_a_run_keeps_the_cube_and_check_looks_at_it(window_site: Site, runtime: Runtime) -> None:
    window_site.fill(0, 3)
    window_site.fill(4, DAYS - 1)
    with Catalog.open(window_site.paths.catalog, read_only=True) as catalog:
        days = list(catalog.days())
    opened = Cube.open(window_site.archive)
    assert opened is not None
    assert np.count_nonzero(opened.marks()) == len(days) == DAYS
    assert archive_faults(window_site.config(), _whole) == []
    zarr.open_group(window_site.archive / CUBE, mode="r+")["soil_moisture"][4, 3, 3] = 77  # type: ignore[index]
    assert f"{window_site.date(4)} is not what its daily file holds" in archive_faults(window_site.config(), _whole)[0]
    said = runtime("check", "--rebuild-views", "--config", window_site.file)
    made = f"cube, climatology and STAC documents made of {DAYS} days"
    assert (said.exit_code, said.stdout) == (0, f"{made}\nthe archive is whole\n")


class _Died(BaseException):
    """Stands for a kill inside the process."""


@pytest.mark.slow
def test_a_run_killed_between_daily_files_and_cube(window_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers get the new day before the cube has it, and the next run updates the cube."""
    window_site.fill(0, 5)

    def die(*_: Any) -> None:
        raise _Died

    with monkeypatch.context() as patched:
        patched.setattr("runtime.archive.derived.update_cube", die)
        with pytest.raises(_Died):
            window_site.fill(6, 8)
    assert window_site.day_file(8).exists()
    assert Cube.open(window_site.archive).marks().size == 6  # type: ignore[union-attr]
    assert archive_faults(window_site.config(), _whole) == []
    series = Reader(window_site.archive).series(45.1, 2.2)
    assert series.dates[-1] == window_site.date(8)
    assert float(series.values["soil_moisture"][-1]) == float(
        cf.values(window_site.day_file(8), "soil_moisture")[19, 48]
    )
    window_site.fill(6, 8)
    with Catalog.open(window_site.paths.catalog, read_only=True) as catalog:
        published = day_files(window_site.archive, catalog)
    marks = Cube.open(window_site.archive).marks().tolist()  # type: ignore[union-attr]
    assert marks == [source.mark for source in published.values()]
    assert archive_faults(window_site.config(), _whole) == []


def test_without_a_cube(window_site: Site) -> None:
    window_site.fill(4, 6)
    assert (window_site.archive / CUBE).exists()
    window_site.fill(7, 7, "archive.cube=false")
    assert not (window_site.archive / CUBE).exists()
    window_site.fill(7, 7)
    assert np.count_nonzero(Cube.open(window_site.archive).marks()) == 4  # type: ignore[union-attr]
