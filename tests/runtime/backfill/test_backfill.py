"""A backfill gives the bytes of a fill, whatever happens to workers, staged days and inputs."""

import datetime as dt
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import LocalCluster

from runtime.backfill import days, task, work
from runtime.backfill.cluster import ClusterChoice
from runtime.backfill.run import backfill_archive
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.common.grid import Grid
from runtime.errors import ArchiveError, SeamlessError
from runtime.pipeline.publishing import Publisher
from runtime.pipeline.run import Outcome
from tests.conftest import DAYS, MakeSite, Runtime, Site
from tests.runtime.backfill.conftest import is_whole
from tests.support.sensor_site import FIRST, SensorSite, write_month


def _backfill(site: Site, cluster: str, *overrides: str, block: int = 3) -> Outcome:
    wanted = DateRange(site.date(0), site.date(DAYS - 1))
    choice = ClusterChoice(scheduler=cluster)
    return backfill_archive(site.config(*overrides), wanted, site.today, RunEvents(), choice, block=block)


def test_it_gives_the_bytes_of_a_fill(make_site: MakeSite, serial: Site, cluster: str) -> None:
    site = make_site()
    outcome = _backfill(site, cluster)
    assert outcome.filled == [site.date(number) for number in range(DAYS)]
    assert is_whole(site, serial)
    assert not site.paths.staging.exists()
    assert _backfill(site, cluster).filled == []


@pytest.mark.slow
def test_a_killed_publisher_leaves_days_that_are_not_computed_again(
    make_site: MakeSite, serial: Site, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site()
    with monkeypatch.context() as patch:
        patch.setattr(Publisher, "publish", _raise_archive_error)
        with pytest.raises(ArchiveError):
            _backfill(site, cluster)
    _wait_for_staged(site, 2)
    staged = {path.parent.name: path.stat().st_mtime_ns for path in site.paths.staging.glob("*/*/day.json")}
    seen = {}
    take = days.Staging.read

    def read(self: days.Staging, fingerprint: str) -> Any:
        note = self.folder / fingerprint[:32] / "day.json"
        seen[note.parent.name] = note.stat().st_mtime_ns if note.exists() else None
        return take(self, fingerprint)

    monkeypatch.setattr(days.Staging, "read", read)
    assert _backfill(site, cluster).exit_code == 0
    assert [name for name in staged if seen[name] != staged[name]] == []
    assert is_whole(site, serial)


def _raise_archive_error(*_: object, **__: object) -> None:
    raise ArchiveError("disk is full")


def _wait_for_staged(site: Site, count: int) -> None:
    end = time.monotonic() + 60
    while len([*site.paths.staging.glob("*/*/day.json")]) < count and time.monotonic() < end:
        time.sleep(0.05)


@pytest.mark.slow
def test_a_damaged_staged_day_is_computed_again(
    make_site: MakeSite, serial: Site, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, take, damaged = make_site(), days.Staging.read, []

    def read(self: days.Staging, fingerprint: str) -> Any:
        if not damaged:
            [file] = (self.folder / fingerprint[:32]).glob("[0-9]*/*.part")
            file.write_bytes(file.read_bytes()[:-1])
            damaged.append(file)
        return take(self, fingerprint)

    monkeypatch.setattr(days.Staging, "read", read)
    assert _backfill(site, cluster).exit_code == 0
    assert damaged
    assert is_whole(site, serial)


@pytest.mark.slow
def test_a_file_that_changes_after_the_plan_is_read_anew(
    make_site: MakeSite, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, make, changed = make_site(), days.TaskMaker.task, []

    def change_then_make(self: days.TaskMaker, day: Any) -> Any:
        made = make(self, day)
        if not changed:
            changed.append(site.lprm(4))
            changed[0].write_bytes(site.lprm(5).read_bytes())
        return made

    monkeypatch.setattr(days.TaskMaker, "task", change_then_make)
    outcome = _backfill(site, cluster)
    again = make_site(name="again")
    again.lprm(4).write_bytes(site.lprm(5).read_bytes())
    expected = again.fill(0, DAYS - 1)
    assert (outcome.exit_code, len(outcome.filled)) == (expected.exit_code, len(expected.filled))
    assert again.published() == site.published()


@pytest.mark.slow
def test_a_refused_result_is_kept_as_by_a_fill(make_site: MakeSite, cluster: str) -> None:
    site, serial, limit = make_site(), make_site(name="serial"), "policy.max_mean_jump=0.0001"
    refused = serial.fill(0, DAYS - 1, limit)
    outcome = _backfill(site, cluster, limit)
    assert outcome.exit_code == refused.exit_code == 5
    assert list(outcome.failed) == list(refused.failed)
    assert site.published() == serial.published()
    kept = [{p.name: p.read_bytes() for p in each.paths.refused.glob("*.nc")} for each in (site, serial)]
    assert kept[0] == kept[1] != {}


def test_a_worker_with_another_program_is_refused(
    make_site: MakeSite, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "program_digest", lambda: "another")
    site = make_site()
    with pytest.raises(SeamlessError, match="another version of this program"):
        _backfill(site, cluster)
    assert site.published() == {}


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_named(window_site: Site, runtime: Runtime) -> None:
    done = runtime(
        *("backfill", "--from", str(window_site.date(0)), "--scheduler", "tcp://127.0.0.1:1"),
        *("--config", window_site.file),
    )
    assert done.exit_code == 1
    assert window_site.published() == {}


def test_a_dry_run_says_what_it_takes_and_changes_nothing(window_site: Site, runtime: Runtime) -> None:
    done = runtime("backfill", "--from", str(window_site.date(0)), "--dry-run", "--config", window_site.file)
    assert f"{DAYS} days to fill, in 2 tasks of up to 8 days" in done.stdout
    assert "0 files still to be fetched" in done.stdout
    assert "s on this machine alone" in done.stdout
    assert window_site.published() == {}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "backfill needs --from"),
        (["--from", "2020-04-01", "--scheduler", "tcp://a:1", "--workers", "2"], "leave out --workers"),
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], says: str, window_site: Site, runtime: Runtime) -> None:
    done = runtime("backfill", *arguments, "--config", window_site.file)
    assert done.exit_code == 2


@pytest.mark.slow
def test_killed_workers_of_this_machine_change_nothing(
    make_site: MakeSite, serial: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, publish, published, killed = make_site(), Publisher.publish, [], []

    def kill_then_publish(*arguments: Any) -> Any:
        if len(published) in (1, 4):
            children = psutil.Process().children()
            worker = [each for each in children if "multiprocessing" in " ".join(each.cmdline())][-1]
            worker.kill()
            killed.append(worker)
        published.append(arguments)
        return publish(*arguments)

    monkeypatch.setattr(Publisher, "publish", kill_then_publish)
    wanted = DateRange(site.date(0), site.date(DAYS - 1))
    outcome = backfill_archive(site.config(), wanted, site.today, RunEvents(), ClusterChoice(workers=2), block=1)
    assert outcome.exit_code == 0
    assert len({worker.pid for worker in killed}) == 2
    assert is_whole(site, serial)


def test_the_digest_of_the_program_covers_its_files() -> None:
    assert len(task.program_digest()) == 64


@pytest.mark.slow
def test_a_cluster_that_ends_is_named_and_the_next_run_goes_on(
    make_site: MakeSite, serial: Site, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, publish = make_site(), Publisher.publish
    dying = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0)

    def end_then_publish(*arguments: Any) -> Any:
        dying.close()
        return publish(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Publisher, "publish", end_then_publish)
        patch.setattr(days, "_WITHOUT_WORKERS_S", 5.0)
        with pytest.raises(SeamlessError, match="run again: it goes on where it was"):
            _backfill(site, dying.scheduler_address, block=1)
    assert _backfill(site, cluster).exit_code == 0
    assert is_whole(site, serial)


@pytest.mark.slow
def test_days_of_several_sensors(tmp_path: Path, grid: Grid, cluster: str) -> None:
    write_month(tmp_path / "month", grid)
    site, serial = (SensorSite(tmp_path / name, tmp_path / "month").bring_all() for name in ("site", "serial"))
    serial.fill(18, 20)
    wanted = DateRange(FIRST + dt.timedelta(18), FIRST + dt.timedelta(20))
    choice = ClusterChoice(scheduler=cluster)
    assert backfill_archive(site.config(), wanted, site.today, RunEvents(), choice, block=2).exit_code == 0
    assert site.published() == serial.published() != {}
