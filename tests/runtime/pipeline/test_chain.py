"""The chain of a recurrent network: days that are not filled, more days than one chunk, and its snapshots."""

import datetime as dt

import pytest
from netCDF4 import Dataset

from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.common.grid import Floats, Grid
from runtime.common.vocabulary import ImergRun
from runtime.demo.files import write_imerg
from runtime.demo.world import WorldDay
from runtime.errors import FeedUnreachable, StateChainBroken
from runtime.inputs.day_input import Ready
from runtime.inputs.feeds.folder import FolderFeed
from runtime.inputs.store import GranuleStore
from runtime.pipeline.run import reprocess_archive
from tests.conftest import DAYS, FillOnce, Site


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.pipeline.run._CHUNK", 4)


@pytest.fixture
def fetched_feeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let folders be remote: their files must be fetched."""
    init = FolderFeed.__init__

    def make_remote(self: FolderFeed, *arguments: object) -> None:
        init(self, *arguments)  # type: ignore[arg-type]
        self.in_place = False

    monkeypatch.setattr(FolderFeed, "__init__", make_remote)


def _lose_field(monkeypatch: pytest.MonkeyPatch, date: dt.date, times: int) -> None:
    """Let reading a day's soil moisture fail so many times, as if it had been deleted and its server were down."""
    read, failures = GranuleStore.read_field, [times]

    def fail(self: GranuleStore, day_input: Ready) -> Floats:
        granule = day_input.file.granule
        if granule.date == date and granule.product != "imerg" and failures[0]:
            failures[0] -= 1
            raise FeedUnreachable("gone")
        return read(self, day_input)

    monkeypatch.setattr(GranuleStore, "read_field", fail)


def test_only_the_refused_day_is_replayed(recurrent_site: Site) -> None:
    recurrent_site.lprm(6).write_bytes(b"not NetCDF")
    recurrent_site.fill()
    assert recurrent_site.said == ["2020-04-08: replaying 1 day from the state of 2020-04-06"]


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("times", [1, 99])
def test_a_day_that_cannot_be_filled_does_not_enter_a_later_chain(
    recurrent_site: Site, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    recurrent_site.fill()
    before = recurrent_site.published()
    lost = recurrent_site.day_file(3).name
    recurrent_site.day_file(3).unlink()
    recurrent_site.day_file(8).unlink()
    _lose_field(monkeypatch, recurrent_site.date(3), times)
    assert recurrent_site.fill().filled == [recurrent_site.date(8)]
    assert recurrent_site.published() == {name: content for name, content in before.items() if name != lost}


@pytest.mark.usefixtures("small_chunks")
def test_a_day_that_cannot_be_filled_at_the_end_of_a_chunk(
    recurrent_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    _lose_field(monkeypatch, recurrent_site.date(3), 99)
    outcome = recurrent_site.fill()
    assert (outcome.filled, outcome.exit_code) == ([recurrent_site.date(day) for day in range(3)], 3)


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks", "fetched_feeds")
def test_reprocessing_reaches_beyond_the_chunk_that_was_fetched(
    recurrent_site: Site, world_days: list[WorldDay], grid: Grid
) -> None:
    site = recurrent_site
    site.fill()
    for day in world_days[:3]:
        write_imerg(site.folder / "incoming" / "imerg", day.date, day.rain * 1.3, grid, ImergRun.FINAL)
    outcome = reprocess_archive(site.config(), DateRange(site.date(0), site.date(2)), site.today, RunEvents())
    assert (len(outcome.filled), outcome.exit_code) == (DAYS, 0)
    assert site.fill().filled == []


def test_spin_up_days_before_the_start_warm_the_memory(recurrent_site: Site) -> None:
    recurrent_site.fill(8, 8, f"archive.start={recurrent_site.date(8)}")
    warm = recurrent_site.published()
    assert recurrent_site.said == ["2020-04-09: replaying 8 days from a cold start"]
    assert list(warm) == [recurrent_site.day_file(8).name]


def test_a_damaged_snapshot_stops_the_chain_and_nothing_else(recurrent_site: Site, fill_once: FillOnce) -> None:
    fill_once(recurrent_site)
    recurrent_site.day_file(9).unlink()
    before = recurrent_site.published()
    (snapshot,) = (recurrent_site.archive / ".state").glob(f"*/{recurrent_site.date(8):%Y%m%d}-*")
    raw = bytearray(snapshot.read_bytes())
    raw[len(raw) // 2] ^= 1
    snapshot.write_bytes(raw)
    with pytest.raises(StateChainBroken, match=f"{snapshot.name}.*delete it and run again"):
        recurrent_site.fill(9)
    assert recurrent_site.published() == before
    snapshot.unlink()
    recurrent_site.fill(9)
    assert recurrent_site.day_file(9).exists()


def test_snapshots_that_were_superseded_go(recurrent_site: Site, fill_once: FillOnce) -> None:
    fill_once(recurrent_site)
    with Dataset(recurrent_site.imerg(8), "a") as file:
        file["precipitation"][:] = file["precipitation"][:] + 12
    recurrent_site.fill()
    assert len(recurrent_site.snapshots()) == DAYS
