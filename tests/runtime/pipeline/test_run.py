"""The job over days: idempotence, replays, late and changed inputs, outages, refusals."""

import datetime as dt
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from netCDF4 import Dataset

from runtime.archive.catalog import Catalog
from runtime.archive.record import DayRecord
from runtime.archive.verify import archive_faults, rebuild_catalog
from runtime.common import digest
from runtime.common.events import RunEvents
from runtime.common.vocabulary import RAIN_TODAY, TODAY
from runtime.errors import ArchiveError, StateChainBroken
from runtime.fill.result import Flag
from runtime.pipeline.run import remake_archive
from tests.conftest import DAYS, FillOnce, MakeSite, Site

BOTH = pytest.mark.parametrize("bundle", ["seamless-amsr2-x", "sgdsm2-amsr2-x"])


@pytest.fixture
def computes_anew() -> bool:
    return True


def _every_byte(site: Site) -> dict[str, bytes]:
    """All of the archive, catalog included."""
    return {str(p.relative_to(site.archive)): p.read_bytes() for p in site.archive.rglob("*") if p.is_file()}


def _whole(site: Site) -> bool:
    return archive_faults(site.config(), lambda items, _: items) == []


@pytest.mark.slow_but_the_first
@BOTH
def test_a_second_run_changes_no_byte(bundle: str, make_site: MakeSite) -> None:
    site = make_site(bundle)
    first = site.fill()
    assert (len(first.filled), first.exit_code) == (DAYS, 0)
    before = _every_byte(site)
    again = site.fill()
    assert (again.filled, again.exit_code) == ([], 0)
    assert _every_byte(site) == before
    assert _whole(site)


@pytest.mark.slow_but_the_first
@BOTH
def test_a_lost_day_comes_back_byte_for_byte(bundle: str, make_site: MakeSite, fill_once: FillOnce) -> None:
    site = make_site(bundle)
    fill_once(site)
    before, state = site.published(), site.snapshots()
    site.day_file(DAYS - 1).unlink()
    for snapshot in (site.archive / ".state").glob(f"*/{site.date(DAYS - 1):%Y%m%d}-*"):
        snapshot.unlink()
    assert site.fill(DAYS - 1).filled == [site.date(DAYS - 1)]
    assert (site.published(), site.snapshots()) == (before, state)
    assert "published file missing" in site.reasons().values()


def test_lost_snapshots_are_replayed_aloud(recurrent_site: Site, fill_once: FillOnce) -> None:
    fill_once(recurrent_site)
    before, state = recurrent_site.published(), recurrent_site.snapshots()
    recurrent_site.day_file(9).unlink()
    for snapshot in sorted((recurrent_site.archive / ".state").glob("*/*"))[5:9]:
        snapshot.unlink()
    recurrent_site.fill(9)
    assert recurrent_site.said == ["2020-04-10: replaying 4 days from the state of 2020-04-05"]
    assert (recurrent_site.published(), recurrent_site.snapshots()) == (before, state)


@pytest.mark.slow_but_the_first
@BOTH
def test_an_altered_file_is_made_again(bundle: str, make_site: MakeSite, fill_once: FillOnce) -> None:
    site = make_site(bundle)
    fill_once(site, 0, 3)
    before = site.published()
    with site.day_file(2).open("ab") as file:
        file.write(b"x")
    assert not _whole(site)
    assert site.fill(0, 3).filled == [site.date(2)]
    assert site.published() == before


@pytest.mark.slow_but_the_first
@BOTH
@pytest.mark.parametrize("order", [[(0, 13)], [(0, 4), (5, 9), (10, 13)], [(10, 13), (0, 2), (3, 9)]])
def test_the_order_of_arrival_leaves_no_trace(
    bundle: str, order: list[tuple[int, int]], make_site: MakeSite, fill_once: FillOnce
) -> None:
    """Everything at once, in time, or the past last: the archive is the same to the byte."""
    straight = make_site(bundle, "straight")
    fill_once(straight)
    site = make_site(bundle, "late", arrived=False)
    for first, last in order:
        site.bring(first, last)
        site.fill()
    assert site.published() == straight.published()
    assert _whole(site)


@pytest.mark.slow_but_the_first
@BOTH
def test_a_refused_day_does_not_block_the_days_after_it(bundle: str, make_site: MakeSite) -> None:
    site = make_site(bundle)
    site.lprm(4).write_bytes(b"<html>log in</html>")
    outcome = site.fill()
    assert outcome.exit_code == 4
    assert "2020-04-05 is not published" in outcome.message
    assert len(outcome.filled) == DAYS - 1
    assert not site.day_file(4).exists()
    assert _whole(site)


def test_several_refused_days_are_counted(window_site: Site) -> None:
    for number in (3, 4, 8):
        window_site.lprm(number).write_bytes(b"<html>log in</html>")
    message = window_site.fill().message
    assert message.startswith("2020-04-09 is not published")
    assert message.endswith("; `runtime plan` lists 2 other refused days")


@BOTH
def test_a_published_day_stands_when_its_file_is_damaged_later(
    bundle: str, make_site: MakeSite, fill_once: FillOnce
) -> None:
    site = make_site(bundle)
    fill_once(site)
    before = site.published()
    site.lprm(DAYS - 1).write_bytes(b"garbage!")
    outcome = site.fill(DAYS - 1)
    assert outcome.exit_code == 4
    assert outcome.filled == []
    assert site.published() == before


def test_a_bridged_day_is_made_later_the_same(recurrent_site: Site, make_site: MakeSite, fill_once: FillOnce) -> None:
    """The chain starts at the archive's start, not at the first day someone asks for."""
    recurrent_site.fill(6)
    assert list(recurrent_site.published()) == [recurrent_site.day_file(6).name]
    assert recurrent_site.said == ["2020-04-07: replaying 6 days from a cold start"]
    recurrent_site.fill()
    straight = make_site("sgdsm2-amsr2-x", "straight")
    fill_once(straight)
    assert recurrent_site.published() == straight.published()


def test_a_lost_catalog_is_read_back_from_the_files(recurrent_site: Site, fill_once: FillOnce) -> None:
    fill_once(recurrent_site)
    before = recurrent_site.published()
    recurrent_site.paths.catalog.unlink()
    assert rebuild_catalog(recurrent_site.config(), lambda items, _: items) == DAYS
    assert _whole(recurrent_site)
    assert recurrent_site.fill().filled == []
    assert recurrent_site.published() == before


def _scribble(catalog: Path) -> None:
    """Keep the header, so that it opens, and spoil every page after the first."""
    raw = catalog.read_bytes()
    catalog.write_bytes(raw[:4096] + b"\x55" * (len(raw) - 4096))


@pytest.mark.parametrize("damage", [lambda p: p.write_bytes(b"not a database" * 99), lambda p: p.unlink(), _scribble])
def test_a_damaged_catalog_can_be_rebuilt(damage: Callable[..., None], window_site: Site, fill_once: FillOnce) -> None:
    fill_once(window_site, 0, 2)
    damage(window_site.paths.catalog)
    if window_site.paths.catalog.exists():
        with pytest.raises(ArchiveError, match="runtime check --rebuild-catalog"):
            window_site.fill(0, 2)
    assert rebuild_catalog(window_site.config(), lambda items, _: items) == 3
    assert window_site.fill(0, 2).filled == []


def test_open_mfdataset_gives_one_dataset_with_a_time_axis(window_site: Site, fill_once: FillOnce) -> None:
    fill_once(window_site)
    files = sorted(window_site.archive.glob("2020/*.nc"))
    with xarray.open_mfdataset(files) as days:
        assert dict(days.sizes) == {"time": DAYS, "lat": 60, "lon": 80, "nv": 2}
        assert days["time"].values[0] == np.datetime64("2020-04-01")
        assert float(days["soil_moisture"].mean()) > 0.01
        assert days["days_since_observation"].dtype.kind == "f"
        meanings = days["flag"].attrs["flag_meanings"].split()
        assert len(meanings) == len(days["flag"].attrs["flag_values"]) == 6


def test_the_published_sgd_sm_reader_works_unchanged(window_site: Site) -> None:
    window_site.fill(6, 6, "archive.layout=sgd-sm")
    (path,) = window_site.archive.glob("2020/*.nc")
    with Dataset(path) as file:
        original = file.variables["original_sm_c1"][0:720, 0:1440]
        reconstructed = file.variables["reconstructed_sm_c1"][0:720, 0:1440]
        assert file.date == "2020-04-07"
        assert "time" not in file.dimensions
        assert file.variables["original_sm_c1"].dtype.kind == "i"
    mask = np.ma.getmaskarray(original)
    assert 0 < mask.mean() < 1
    np.testing.assert_array_equal(original[~mask], reconstructed[~mask])
    assert np.ma.getmaskarray(reconstructed).sum() < mask.sum()
    assert 0 <= reconstructed.min() <= reconstructed.max() <= 100


def test_the_files_say_what_they_were_made_from(recurrent_site: Site) -> None:
    recurrent_site.fill(3, 3)
    record = DayRecord.from_file(recurrent_site.day_file(3))
    soil, rain = record.inputs[TODAY], record.inputs[RAIN_TODAY]
    assert soil
    assert rain
    assert soil.name == recurrent_site.lprm(3).name
    assert (len(soil.field_digest), rain.run) == (64, "late")
    with Catalog.open(recurrent_site.paths.catalog, read_only=True) as catalog:
        (revision,) = catalog.revisions()
    assert revision.inputs[TODAY] == digest.of_file(recurrent_site.lprm(3))
    assert record.model.startswith("sgdsm2-amsr2-x")
    assert record.date == dt.date(2020, 4, 4)


def test_a_result_with_nan_is_not_published(
    recurrent_site: Site, monkeypatch: pytest.MonkeyPatch, make_site: MakeSite
) -> None:
    """The engine goes wrong for one day: the day is refused, leaves no memory, and is made right by the next run."""
    from runtime.engines.ort import OrtEngine

    real = OrtEngine.run
    broken = True

    def sometimes_nan(self: OrtEngine, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        out = real(self, inputs)
        return {name: value * np.nan for name, value in out.items()} | {"reached": out["reached"]} if broken else out

    monkeypatch.setattr(OrtEngine, "run", sometimes_nan)
    outcome = recurrent_site.fill(0, 1)
    assert outcome.exit_code == 5
    assert "the network gave NaN" in outcome.message
    assert recurrent_site.published() == {}
    assert recurrent_site.snapshots() == {}
    broken = False
    assert recurrent_site.fill(0, 1).exit_code == 0
    straight = make_site("sgdsm2-amsr2-x", "straight")
    straight.fill(0, 1)
    assert recurrent_site.published() == straight.published()


def test_another_layout_replaces_the_files(window_site: Site) -> None:
    window_site.fill(6, 6)
    remake_archive(window_site.config("archive.layout=sgd-sm"), window_site.today, RunEvents())
    assert [p.name for p in window_site.archive.glob("2020/*")] == ["SGD-SM_20200407.nc"]
    assert _whole(window_site)


@pytest.mark.slow
@BOTH
def test_a_feed_that_forgets_takes_nothing_from_the_archive(
    bundle: str, make_site: MakeSite, fill_once: FillOnce
) -> None:
    """Somebody cleans the incoming folder: what is published stands, and the days that follow build on it."""
    straight = make_site(bundle, "straight")
    fill_once(straight)
    site = make_site(bundle, "cleaned", arrived=False)
    site.bring(0, 11)
    site.fill(None, None, "archive.start=2020-04-01")
    before = site.published()
    for number in range(4):
        site.lprm(number).unlink()
        site.imerg(number).unlink()
    assert site.fill().filled == []
    assert site.published() == before
    site.bring(12, 13)
    site.fill()
    assert site.published() == straight.published()
    site.day_file(2).unlink()
    outcome = site.fill(2)
    assert outcome.exit_code == 3
    assert "published file missing, and LPRM-AMSR2" in outcome.message


def test_the_start_does_not_move_when_the_feed_forgets(make_site: MakeSite) -> None:
    site = make_site("sgdsm2-amsr2-x")
    site.file.write_text(site.file.read_text().replace("start = 2020-04-01", ""))
    site.fill()
    before = site.published()
    for number in range(6):
        site.lprm(number).unlink()
    assert site.fill().filled == []
    assert site.published() == before


@BOTH
def test_uncertainty_is_published_where_the_bundle_has_one(
    bundle: str, make_site: MakeSite, fill_once: FillOnce
) -> None:
    site = make_site(bundle)
    fill_once(site)
    with xarray.open_dataset(site.day_file(8)) as day:
        filled = day.flag.isin([Flag.FILLED_FROM_NEIGHBOURS, Flag.FILLED_FROM_OTHER_DAYS])
        assert bool(filled.any())
        np.testing.assert_array_equal(np.isfinite(day.soil_moisture_uncertainty), filled)
        values = day.soil_moisture_uncertainty.values[filled.values]
        assert 0.004 < values.min() < values.max() <= 0.6
        assert (
            day.soil_moisture.attrs["ancillary_variables"]
            == "flag quality_flag soil_moisture_uncertainty days_since_observation"
        )
        assert day.soil_moisture_uncertainty.attrs["standard_name"].endswith("standard_error")


def test_a_replay_over_changed_inputs_stops_and_names_the_range_to_re_do(
    recurrent_site: Site, fill_once: FillOnce
) -> None:
    """Days before the range stand as published; a lost snapshot among them cannot be replayed from other inputs."""
    site = recurrent_site
    fill_once(site)
    for day in range(5, 9):
        for snapshot in (site.archive / ".state").glob(f"*/{site.date(day):%Y%m%d}-*"):
            snapshot.unlink()
    with Dataset(site.imerg(7), "a") as file:
        file["precipitation"][:] = file["precipitation"][:] + 12
    site.day_file(9).unlink()
    with pytest.raises(StateChainBroken, match="its inputs have changed since; re-do the chain with `runtime fill "):
        site.fill(9)
    assert site.fill(7, 9).filled == [site.date(day) for day in (7, 8, 9)]
    site.fill()
    assert _whole(site)


@pytest.mark.slow
def test_files_are_read_and_written_while_the_engine_computes(
    window_site: Site, make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine of a day waits until the day before is being written and the next one has been read; both wait for it.

    One after the other would wait for ever.
    """
    from runtime.engines.ort import OrtEngine
    from runtime.inputs.inbox import Inbox
    from runtime.pipeline import day as days

    begun, computing, ahead = threading.Semaphore(0), threading.Semaphore(0), threading.Semaphore(0)
    order: list[str] = []
    real_write, real_read, real_run = days.write_day, Inbox.preload, OrtEngine.run

    def write(*arguments: Any) -> Any:
        order.append("write")
        begun.release()
        if order.count("run") < 3:  # the last day is written with nothing to compute beside it
            assert computing.acquire(timeout=60)
        return real_write(*arguments)

    def preload(self: Inbox, arrivals: Any) -> None:
        real_read(self, arrivals)
        order.append("read")
        ahead.release()

    def run(self: OrtEngine, inputs: Any) -> Any:
        order.append("run")
        if order.count("run") > 1:
            assert begun.acquire(timeout=60), "the day before is not written while this one is computed"
            computing.release()
        if order.count("run") < 3:  # the last day has no next one
            assert ahead.acquire(timeout=60), "the next day is not read while this one is computed"
        return real_run(self, inputs)

    with monkeypatch.context() as patch:
        patch.setattr("runtime.pipeline.models.require_fit", lambda *_: None)  # it runs the engine, too
        patch.setattr(days, "write_day", write)
        patch.setattr(Inbox, "preload", preload)
        patch.setattr(OrtEngine, "run", run)
        window_site.fill(4, 6)
    assert order.count("run") == 3, "one tile a day"
    straight = make_site("seamless-amsr2-x", "straight")
    for number in (4, 5, 6):
        straight.fill(number, number)
    assert window_site.published() == straight.published()
