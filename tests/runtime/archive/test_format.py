"""An archive has one grid and one layout: others are refused, or all its days are made again."""

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runtime as package
from runtime.archive import cf
from runtime.archive.catalog import Catalog
from runtime.archive.format import ArchiveFormat, archive_format
from runtime.archive.reader import Reader
from runtime.archive.verify import archive_faults, rebuild_catalog
from runtime.common.events import RunEvents
from runtime.common.grid import Grid
from runtime.common.vocabulary import LayoutName
from runtime.errors import ArchiveError, ConfigError
from runtime.pipeline import publishing
from runtime.pipeline import run as runs
from runtime.pipeline.run import Outcome, remake_archive
from tests.conftest import DAYS, FillOnce, MakeSite, Runtime, Site, logged

WEST, EAST = "grid.box=[-10, 35, 9, 50]", "grid.box=[-9, 35, 10, 50]"
"""Two boxes of the same shape: with the rows and columns of the one, a cell of the other is 1 degree off."""
SGD_SM = "archive.layout=sgd-sm"
HERE = (45.1, 2.2)
CHANGES = pytest.mark.parametrize("change", [EAST, "grid.box=[-5, 35, 10, 50]", SGD_SM])


@pytest.fixture
def computes_anew() -> bool:
    return True


class _Died(BaseException):
    """Stands for a kill inside the process."""


@pytest.fixture
def site(make_site: MakeSite, fill_once: FillOnce) -> Site:
    """A week in the western box; `max_refill_days` is 2."""
    found = make_site()
    found.file.write_text(found.file.read_text() + "[policy]\nmax_refill_days = 2\n")
    fill_once(found, 0, 6, WEST)
    return found


def _remake(site: Site, *changes: str) -> Outcome:
    return remake_archive(site.config(WEST, *changes), site.today, RunEvents())


def _faults(site: Site) -> list[str]:
    return archive_faults(site.config(), lambda items, _: items)


def _everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _noted(site: Site) -> ArchiveFormat | None:
    with Catalog.open(site.paths.catalog, read_only=True) as catalog:
        return catalog.noted_format()


def _wanted(site: Site, *changes: str) -> ArchiveFormat:
    config = site.config(WEST, *changes)
    return ArchiveFormat.of(config.make_grid(), config.archive.layout)


def _kill_after(site: Site, number: int, *changes: str) -> None:
    """Make the archive again, and die when some days are published."""
    real, published = publishing.publish_day, []

    def publish(*arguments: Any, **options: Any) -> Any:
        if len(published) == number:
            raise _Died
        published.append(1)
        return real(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, "publish_day", publish)
        with pytest.raises(_Died):
            _remake(site, *changes)


@CHANGES
@pytest.mark.parametrize(
    "command",
    [
        ("fill", "--date", "today"),
        ("fill", "--from", "2020-04-06", "--to", "2020-04-08"),
        ("fill", "--date", "today", "--dry-run"),
        ("plan",),
        ("fetch",),
        ("check", "--rebuild-views"),
    ],
    ids=" ".join,
)
def test_another_grid_or_layout_is_refused_before_anything_is_written(
    change: str, command: tuple[str, ...], site: Site, runtime: Runtime
) -> None:
    before = _everything(site.archive)
    said = runtime(*command, "--config", site.file, "--set", WEST, "--set", change)
    assert (said.exit_code, said.stdout) == (2, "")
    assert "set archive.path to a new archive, or make every day again with `runtime reprocess --all`" in said.stderr
    assert "60 x 76 cells of 0.25 degrees, 35 to 50 N and -10 to 9 E, in the layout cf" in said.stderr
    assert len(said.stderr.splitlines()) == 1
    assert _everything(site.archive) == before


@pytest.mark.slow
@CHANGES
def test_reprocess_all_makes_every_day_again(
    change: str, site: Site, make_site: MakeSite, fill_once: FillOnce, runtime: Runtime
) -> None:
    said = runtime("reprocess", "--all", "--config", site.file, "--set", WEST, "--set", change)
    assert said.exit_code == 0, said.stderr
    fresh = make_site(name="fresh")
    fill_once(fresh, 0, 6, WEST, change)
    assert site.published() == fresh.published()
    assert _faults(site) == []
    assert _noted(site) == _wanted(site, change)
    again = runtime("reprocess", "--all", "--config", site.file, "--set", WEST, "--set", change)
    assert (again.exit_code, again.stdout) == (0, "already current\n")
    series, truth = Reader(site.archive).series(*HERE), Reader(fresh.archive).series(*HERE)
    for name in truth.values:
        np.testing.assert_array_equal(series.values[name], truth.values[name])


@pytest.mark.slow
@pytest.mark.parametrize("bundle", ["seamless-amsr2-x", "sgdsm2-amsr2-x"])
@pytest.mark.parametrize("go_on", ["reprocess", "fill"])
def test_a_killed_reprocess_goes_on_and_readers_never_get_another_cell(
    bundle: str, go_on: str, make_site: MakeSite, fill_once: FillOnce
) -> None:
    site, fresh = make_site(bundle), make_site(bundle, "fresh")
    site.file.write_text(site.file.read_text() + "[policy]\nmax_refill_days = 2\n")
    fill_once(site, 0, 6, WEST)
    fill_once(fresh, 0, 6, EAST)
    _kill_after(site, 3, EAST)
    truth = Reader(fresh.archive).series(*HERE)
    with logged() as lines:
        series = Reader(site.archive).series(*HERE)
    assert series.dates == [site.date(number) for number in range(3)]
    for name, values in series.values.items():
        np.testing.assert_array_equal(values, truth.values[name][:3])
    assert list(series.left_out) == [site.date(number) for number in range(3, 7)]
    assert all("reprocess --all" in why for why in series.left_out.values())
    assert "4 days from 2020-04-04 to 2020-04-07 are left out" in lines[0]
    assert package.open_archive(site.archive).sizes["time"] == 3
    faults = _faults(site)
    assert len(faults) == 4
    assert all("-10 to 9 E, in the layout cf, the archive has 60 x 76 cells" in fault for fault in faults)
    with pytest.raises(ConfigError, match="reprocess --all"):
        site.fill(None, None, WEST)
    if go_on == "reprocess":
        outcome = _remake(site, EAST)
        assert outcome.filled == [site.date(number) for number in range(3, 7)]
    else:
        site.today = site.date(6)
        outcome = site.fill(None, None, EAST)
        assert outcome.filled[:4] == [site.date(number) for number in range(3, 7)]
    assert outcome.exit_code == 0
    assert _faults(site) == []
    assert Reader(site.archive).left_out == {}
    assert [*site.published()] == [*fresh.published()]
    if go_on == "reprocess":
        assert site.published() == fresh.published()


def test_a_reprocess_killed_before_its_first_day_can_be_taken_back(site: Site) -> None:
    before = site.published()
    with Catalog.open(site.paths.catalog) as catalog:
        catalog.write_format(_wanted(site, EAST))
    outcome = _remake(site, WEST)
    assert (outcome.exit_code, outcome.filled) == (0, [])
    assert _noted(site) == _wanted(site, WEST)
    assert (site.published(), _faults(site)) == (before, [])


@pytest.mark.slow
def test_a_killed_change_of_the_layout_goes_on(site: Site, make_site: MakeSite) -> None:
    _kill_after(site, 3, SGD_SM)
    truth = {number: cf.values(site.day_file(number), "soil_moisture") for number in range(3, 7)}
    reader = Reader(site.archive)
    assert len(reader.days) == 7, "the grid is the same, and each file is read in its own layout"
    for number, values in truth.items():
        np.testing.assert_array_equal(reader.fields(site.date(number))["soil_moisture"], values)
    assert len(_faults(site)) == 4
    _remake(site, SGD_SM)
    assert _faults(site) == []
    assert {path.name[:6] for path in site.archive.glob("2020/*.nc")} == {"SGD-SM"}


@pytest.mark.slow
def test_a_reader_made_before_the_change_does_not_mix_the_grids(site: Site) -> None:
    reader, opened = Reader(site.archive), package.open_archive(site.archive)
    _remake(site, EAST)
    with pytest.raises(ArchiveError, match=r"-9 to 10 E, in the layout cf, the archive has .* -10 to 9 E"):
        reader.day(site.date(2))
    with pytest.raises(ArchiveError, match=r"-9 to 10 E, in the layout cf, the archive has .* -10 to 9 E"):
        reader.series(*HERE)
    assert opened.sizes == {"time": 7, "lat": 60, "lon": 76}
    assert Reader(site.archive).series(*HERE).dates == [site.date(number) for number in range(7)]


def _without_note(site: Site) -> None:
    """Make the catalog one of a version that noted no format."""
    db = sqlite3.connect(site.paths.catalog)
    db.execute("DELETE FROM format")
    db.commit()
    db.close()


def test_an_archive_of_an_older_version_gets_the_format_of_its_files(site: Site) -> None:
    _without_note(site)
    before = _everything(site.archive)
    with pytest.raises(ConfigError, match="reprocess --all"):
        site.fill(None, None, EAST)
    assert _everything(site.archive) == before
    site.fill(0, 6, WEST)
    assert _noted(site) == _wanted(site)


@pytest.mark.slow
def test_an_archive_that_an_older_version_left_mixed_is_told_and_healed(
    site: Site, make_site: MakeSite, fill_once: FillOnce
) -> None:
    """The box was changed, and only the newest days were filled again."""
    _kill_after(site, 0, EAST)
    with Catalog.open(site.paths.catalog) as catalog:
        catalog.write_format(_wanted(site, EAST))
    site.fill(5, 6, EAST)
    _without_note(site)
    fresh = make_site(name="fresh")
    fill_once(fresh, 0, 6, EAST)
    series = Reader(site.archive).series(*HERE)
    assert series.dates == [site.date(5), site.date(6)]
    truth = Reader(fresh.archive).series(*HERE).values["soil_moisture"][5:]
    np.testing.assert_array_equal(series.values["soil_moisture"], truth)
    assert len(_faults(site)) == 5
    with pytest.raises(ConfigError):
        site.fill(None, None, WEST)
    assert _remake(site, EAST).filled == [site.date(number) for number in range(5)]
    assert _faults(site) == []


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("is_lost", [False, True], ids=["a whole catalog", "a lost catalog"])
@pytest.mark.parametrize("change", [EAST, SGD_SM])
def test_a_rebuilt_catalog_has_the_format_of_the_archive(change: str, is_lost: bool, site: Site) -> None:
    _kill_after(site, 3, change)
    if is_lost:
        site.paths.catalog.unlink()
    rebuild_catalog(site.config(WEST, change), lambda items, _: items)
    assert _noted(site) == _wanted(site, change)
    assert len(_faults(site)) == 4
    _remake(site, change)
    assert _faults(site) == []
    site.paths.catalog.unlink()
    rebuild_catalog(site.config(WEST), lambda items, _: items)
    assert _noted(site).is_that_of(_wanted(site, change))  # type: ignore[union-attr]
    with pytest.raises(ConfigError):
        site.fill(None, None, WEST)


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("is_lost", [False, True], ids=["a whole catalog", "a lost catalog"])
def test_of_two_files_of_a_day_a_rebuilt_catalog_keeps_the_new_layout(is_lost: bool, site: Site) -> None:
    """An older version, killed while it changed the layout, left the old file for good."""
    old = site.day_file(2)
    content = old.read_bytes()
    _kill_after(site, 3, SGD_SM)
    old.write_bytes(content)
    assert any(f"{old}: is not in the catalog" in fault for fault in _faults(site))
    if is_lost:
        site.paths.catalog.unlink()
    assert rebuild_catalog(site.config(WEST, SGD_SM), lambda items, _: items) == 7
    assert not old.exists()
    _remake(site, SGD_SM)
    assert _faults(site) == []


def test_a_day_whose_input_is_gone_keeps_its_file_and_is_named(site: Site) -> None:
    site.lprm(2).unlink()
    outcome = _remake(site, EAST)
    assert outcome.exit_code == 3
    assert "2020-04-03 is not filled: has 60 x 76 cells" in outcome.message
    assert "is gone from the feed; bring it back" in outcome.message
    assert list(Reader(site.archive).left_out) == [site.date(2)]
    assert len(_faults(site)) == 1


def test_an_archive_of_which_no_day_can_be_made_again_stays_as_it_was(site: Site) -> None:
    for number in range(DAYS):
        site.lprm(number).unlink()
    before = site.published()
    assert _remake(site, EAST).exit_code == 3
    assert site.published() == before
    assert (_noted(site), _faults(site)) == (_wanted(site), [])
    assert len(Reader(site.archive).days) == 7


def test_readers_keep_the_old_grid_until_a_day_is_made_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first plan on a new grid reads the inputs of all days, which may take hours."""
    seen: list[int] = []
    real = runs.plan_days

    def plan(*arguments: Any) -> Any:
        found = real(*arguments)
        seen.append(len(Reader(site.archive).days))
        return found

    monkeypatch.setattr(runs, "plan_days", plan)
    _remake(site, EAST)
    assert seen == [7]


def test_an_archive_without_days_takes_any_grid(make_site: MakeSite, runtime: Runtime) -> None:
    site = make_site(arrived=False)
    assert runtime("fetch", "--config", site.file, "--set", WEST).exit_code == 0
    said = runtime("reprocess", "--all", "--config", site.file, "--set", SGD_SM)
    assert (said.exit_code, said.stdout) == (0, "already current\n")
    site.bring(0, 6)
    assert site.fill(0, 6, EAST).filled


@pytest.mark.parametrize("options", [(), ("--all", "--from", "2020-04-01"), ("--from", "2020-04-01")])
def test_reprocess_wants_a_range_or_all(options: tuple[str, ...], site: Site, runtime: Runtime) -> None:
    said = runtime("reprocess", *options, "--config", site.file, "--set", WEST)
    assert said.exit_code == 2
    assert "reprocess needs either --from and --to, or --all" in said.stderr


def test_both_layouts_state_the_grid(site: Site, tmp_path: Path, grid: Grid) -> None:
    with Catalog.open(site.paths.catalog, read_only=True) as catalog:
        assert archive_format(site.archive, catalog) == _wanted(site)
    wanted = ArchiveFormat.of(Grid.globe(), LayoutName.SGD_SM)
    centres = (Grid.globe().latitudes.astype(np.float32), Grid.globe().longitudes.astype(np.float32))
    stated = ArchiveFormat.of_axes(*(axis.astype(np.float64) for axis in centres), LayoutName.SGD_SM)
    assert stated.is_that_of(wanted)
    assert not stated.has_grid_of(ArchiveFormat.of(grid, LayoutName.SGD_SM))
