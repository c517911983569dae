"""A backfill of a network with a memory gives the bytes of a fill, whatever happens to workers, tiles and inputs."""

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import LocalCluster

from runtime.archive.verify import archive_faults
from runtime.backfill import days, links
from runtime.backfill.cluster import ClusterChoice
from runtime.backfill.run import backfill_archive
from runtime.backfill.task import Worker
from runtime.backfill.work import TaskMaker
from runtime.bundle import find_bundle
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.errors import ArchiveError
from runtime.fill import recurrent
from runtime.inputs.products.read import read_field
from runtime.pipeline.publishing import Publisher
from runtime.pipeline.run import Outcome
from tests.conftest import DAYS, MakeSite, Runtime, Site
from tests.runtime.backfill.conftest import seen_by_readers


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The shipped network of SGD-SM 2.0, a tile at a time: the site's four tiles are four shares."""
    folder = tmp_path_factory.mktemp("bundles") / "tile-by-tile"
    shutil.copytree(find_bundle("sgdsm2-amsr2-x"), folder)
    manifest = folder / "bundle.json"
    manifest.write_text(manifest.read_text().replace('"batch": 32', '"batch": 1'))
    return str(folder)


def _backfill(site: Site, cluster: str, *overrides: str, block: int = 4) -> Outcome:
    wanted = DateRange(site.date(0), site.date(DAYS - 1))
    choice = ClusterChoice(scheduler=cluster)
    return backfill_archive(site.config(*overrides), wanted, site.today, RunEvents(), choice, block=block)


@pytest.fixture
def serial(make_site: MakeSite, bundle: str) -> Site:
    """A site that `fill` has filled."""
    site = make_site(bundle, name="serial")
    site.fill(0, DAYS - 1)
    return site


def _snapshots(site: Site) -> dict[str, bytes]:
    folder = site.paths.state
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.safetensors")}


def _is_whole(site: Site, serial: Site) -> bool:
    return (
        seen_by_readers(site) == seen_by_readers(serial)
        and _snapshots(site) == _snapshots(serial) != {}
        and archive_faults(site.config(), lambda items, _: items) == []
    )


def test_it_gives_the_bytes_and_snapshots_of_a_fill(
    make_site: MakeSite, bundle: str, serial: Site, cluster: str
) -> None:
    site = make_site(bundle)
    outcome = _backfill(site, cluster)
    assert outcome.filled == [site.date(number) for number in range(DAYS)]
    assert _is_whole(site, serial)
    assert not site.paths.staging.exists()
    assert _backfill(site, cluster).filled == []


@pytest.mark.slow
def test_with_the_whole_grid_in_one_call_too(make_site: MakeSite, bundle: str, cluster: str) -> None:
    whole, serial, site = "model.whole_grid=true", make_site(bundle, name="serial"), make_site(bundle)
    serial.fill(0, DAYS - 1, whole)
    _backfill(site, cluster, whole)
    assert _is_whole(site, serial)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a cluster whose two workers are threads of this process, so that a test can change what they do."""
    monkeypatch.setattr(links, "worker_of", functools.lru_cache(maxsize=None)(Worker))
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", memory_limit=0
    ) as started:
        yield started.scheduler_address


@pytest.mark.slow
def test_killed_after_some_days_it_goes_on_with_another_number_of_shares(
    make_site: MakeSite, bundle: str, serial: Site, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, publish, left = make_site(bundle), Publisher.publish, list(range(5))

    def publish_some(*arguments: Any) -> Any:
        if not left:
            raise ArchiveError("disk is full")
        left.pop()
        return publish(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Publisher, "publish", publish_some)
        with pytest.raises(ArchiveError):
            _backfill(site, cluster)
    assert len(site.published()) == 5
    monkeypatch.setattr(days, "worker_count", lambda client: 4)
    outcome = _backfill(site, cluster, block=3)
    assert len(outcome.filled) == DAYS - 5
    assert _is_whole(site, serial)


@pytest.mark.slow
def test_damaged_tiles_are_computed_again(
    make_site: MakeSite, bundle: str, serial: Site, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, write, damaged = make_site(bundle), links.write_snapshot, []

    def write_damaged(path: Path, *arguments: Any) -> None:
        write(path, *arguments)
        if len(damaged) < 3:
            path.write_bytes(path.read_bytes()[:-7])
            damaged.append(path)

    monkeypatch.setattr(links, "write_snapshot", write_damaged)
    assert _backfill(site, threads).exit_code == 0
    assert len(damaged) == 3
    assert _is_whole(site, serial)


@pytest.mark.slow
def test_what_a_network_cannot_compute_ends_the_chain_as_in_a_fill(
    make_site: MakeSite, bundle: str, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, serial, compute = make_site(bundle), make_site(bundle, name="serial"), recurrent.compute_tiles
    marked = _observed(serial, 8)

    def give_nan(*arguments: Any, **named: Any) -> recurrent.ComputedTiles:
        tiles = compute(*arguments, **named)
        if np.array_equal(arguments[3], marked, equal_nan=True):
            tiles.filled[0] = np.nan
        return tiles

    monkeypatch.setattr(recurrent, "compute_tiles", give_nan)
    monkeypatch.setattr(links, "compute_tiles", give_nan)
    expected, outcome = serial.fill(0, DAYS - 1), _backfill(site, threads)
    assert list(expected.failed) == list(outcome.failed) == [serial.date(number) for number in range(8, DAYS)]
    assert outcome.exit_code == expected.exit_code == 5
    assert seen_by_readers(site) == seen_by_readers(serial) != {}
    assert _snapshots(site) == _snapshots(serial)


def _observed(site: Site, number: int) -> Any:
    """Return a day's observations on the site's grid."""
    config = site.config()
    product = config.product(config.feeds.soil_moisture[0].product)
    return read_field(product, site.lprm(number), site.date(number), config.make_grid(), "x").field


@pytest.mark.slow
def test_a_file_that_changes_after_the_plan_is_read_anew(
    make_site: MakeSite, bundle: str, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, make, changed = make_site(bundle), TaskMaker.links, []

    def change_then_make(self: TaskMaker, day: Any) -> Any:
        made = make(self, day)
        if not changed:
            changed.append(site.lprm(6))
            changed[0].write_bytes(site.lprm(5).read_bytes())
        return made

    monkeypatch.setattr(TaskMaker, "links", change_then_make)
    outcome = _backfill(site, cluster)
    again = make_site(bundle, name="again")
    again.lprm(6).write_bytes(site.lprm(5).read_bytes())
    expected = again.fill(0, DAYS - 1)
    assert (outcome.exit_code, len(outcome.filled)) == (expected.exit_code, len(expected.filled))
    assert again.published() == site.published()


@pytest.mark.slow
def test_a_lost_snapshot_is_replayed(make_site: MakeSite, bundle: str, serial: Site, cluster: str) -> None:
    site = make_site(bundle)
    site.fill(0, 5)
    for snapshot in site.paths.state.rglob("*.safetensors"):
        snapshot.unlink()
    serial_names = _snapshots(serial).keys()
    wanted = DateRange(site.date(6), site.date(DAYS - 1))
    choice = ClusterChoice(scheduler=cluster)
    assert backfill_archive(site.config(), wanted, site.today, RunEvents(), choice, block=4).exit_code == 0
    assert site.published().keys() == serial.published().keys()
    assert _snapshots(site).keys() <= serial_names


@pytest.mark.slow
def test_a_dry_run_measures_days(make_site: MakeSite, bundle: str, runtime: Runtime) -> None:
    site = make_site(bundle)
    done = runtime("backfill", "--from", str(site.date(0)), "--dry-run", "--config", site.file)
    assert "s on this machine alone" in done.stdout
    assert site.published() == {}
    assert _snapshots(site) == {}
