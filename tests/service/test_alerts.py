"""Which alerts are sent, how often, and what they do not depend on."""

from __future__ import annotations

import datetime as dt
import shutil
import sqlite3
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from runtime.archive.catalog import Catalog
from runtime.common.clock import now
from runtime.config import Config
from runtime.errors import MirrorFailed
from runtime.mirror.ledger import Ledger
from runtime.mirror.update import update_mirror
from service.alerts import Alerts
from service.schedule import FillSchedule
from tests.conftest import START, MakeSite, Site
from tests.service.conftest import KnownRunner
from tests.support.hook import Hook


def _alerts(config: Config, runner: KnownRunner) -> Alerts:
    """Alerts of a service whose schedule has not begun."""
    return Alerts(config, runner, FillSchedule(config, runner))


def _until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def empty(make_site: MakeSite) -> Site:
    """An archive with a catalog, and nothing in it."""
    site = make_site(arrived=False)
    Catalog.open(site.paths.catalog).close()
    return site


@pytest.mark.parametrize("damage", ["not a database " * 1000, "SQLite format 3\0" + "x" * 5000])
def test_a_damaged_catalog_is_reported(damage: str, empty: Site, hook: Hook) -> None:
    catalog = empty.paths.catalog
    sound = catalog.read_bytes()
    catalog.write_text(damage)
    alerts = _alerts(empty.config(hook.setting), KnownRunner(exit_code=1))
    for _ in range(3):
        alerts.check(now())
    assert sorted(hook.kinds()) == [("opened", "catalog"), ("opened", "run failed")]
    assert "runtime check --rebuild-catalog" in next(m["message"] for m in hook.got if m["kind"] == "catalog")
    catalog.write_bytes(sound)
    alerts.check(now())
    assert ("closed", "catalog") in hook.kinds()
    with Catalog.open(catalog, read_only=True) as again:
        assert again.incidents().keys() == {"run failed", "lag"}


def test_a_table_that_is_gone_is_reported(empty: Site, hook: Hook) -> None:
    with sqlite3.connect(empty.paths.catalog) as db:
        db.execute("DROP TABLE problem")
    _alerts(empty.config(hook.setting), KnownRunner()).check(now())
    assert hook.kinds() == [("opened", "catalog")]


def test_a_catalog_that_cannot_be_written_does_not_repeat_an_alert(empty: Site, hook: Hook) -> None:
    """As on a full disk; the trigger stands for it."""
    with sqlite3.connect(empty.paths.catalog) as db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON incident BEGIN SELECT RAISE(FAIL, 'disk is full'); END")
    alerts = _alerts(empty.config(hook.setting), KnownRunner(exit_code=1))
    for _ in range(9):
        alerts.check(now())
    assert sorted(hook.kinds()) == [("opened", "lag"), ("opened", "run failed")]
    with sqlite3.connect(empty.paths.catalog) as db:
        db.execute("DROP TRIGGER full")
    alerts.check(now())
    restarted = _alerts(empty.config(hook.setting), KnownRunner())
    restarted.check(now())
    assert len(hook.got) == 3, "kept as soon as it can be"
    assert hook.kinds()[-1] == ("closed", "lag"), "before the first run has ended an archive may be empty"


def test_a_mirror_that_is_not_up_to_date_is_reported_and_that_it_is_over(empty: Site, hook: Hook) -> None:
    config = empty.config(hook.setting, "archive.mirror=ftp://me:SECRET@127.0.0.1:9/mirror")
    alerts = _alerts(config, KnownRunner())
    with pytest.raises(MirrorFailed):
        update_mirror(config)
    for _ in range(2):
        alerts.check(now())
    assert hook.kinds() == [("opened", "mirror")]
    assert hook.got[0]["message"].startswith("the mirror ftp://127.0.0.1:9/mirror: it cannot be opened")
    assert "SECRET" not in str(hook.got)
    with Ledger(empty.paths.mirror_ledger, str(config.archive.mirror)) as ledger:
        ledger.note_end(None)
    alerts.check(now())
    assert hook.kinds() == [("opened", "mirror"), ("closed", "mirror")]


def test_no_catalog_is_made_by_an_alert(make_site: MakeSite, hook: Hook) -> None:
    site = make_site(arrived=False)
    _alerts(site.config(hook.setting), KnownRunner(exit_code=2)).check(now())
    assert sorted(kind for _, kind in hook.kinds()) == ["lag", "run failed"]
    assert not site.archive.exists()


def test_the_waits_between_tries_double(empty: Site, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.alerts._CHECK_S", 0.01)
    monkeypatch.setattr("service.alerts._FIRST_RETRY_S", 0.1)
    hook.answers = [500, 301, 404]
    with _alerts(empty.config(hook.setting), KnownRunner(running_minutes=1000)).watching():
        _until(lambda: bool(hook.got))
    waits = [later - earlier for earlier, later in pairwise(hook.asked_at)]
    assert len(waits) == 3
    assert [wait >= least for wait, least in zip(waits, (0.1, 0.2, 0.4), strict=True)] == [True] * 3
    assert hook.kinds() == [("opened", "run stuck")]
    assert set(hook.methods) == {"POST"}


def test_an_alert_is_logged_once_though_the_webhook_refuses_it(
    empty: Site, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    hook.always = 500
    alerts = _alerts(empty.config(hook.setting), KnownRunner(running_minutes=1000))
    for _ in range(5):
        alerts.check(now())
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(": ")[0] for line in lines] == [
        "alert",
        "the webhook did not accept an alert (status 500); it is sent again later",
    ]
    assert hook.url not in caplog.text


def test_a_run_that_does_not_end_is_reported_and_that_it_is_over(empty: Site, hook: Hook) -> None:
    runner = KnownRunner(running_minutes=5)
    alerts = _alerts(empty.config(hook.setting, "policy.max_run_minutes=6"), runner)
    alerts.check(now())
    assert hook.got == []
    runner.__init__(running_minutes=22)  # type: ignore[misc]
    alerts.check(now())
    assert "more than 6 minutes ago" in hook.got[0]["message"]
    runner.__init__(exit_code=0)  # type: ignore[misc]
    alerts.check(now())
    assert hook.kinds()[:2] == [("opened", "run stuck"), ("opened", "lag")]
    assert hook.kinds()[2:] == [("closed", "run stuck")]


@pytest.mark.slow
def test_an_archive_that_ended_is_not_late(varied: Site, hook: Hook) -> None:
    ended = f"feeds.soil_moisture.0.to={varied.today}"
    _alerts(varied.config(hook.setting, ended), KnownRunner()).check(now())
    assert {kind for _, kind in hook.kinds()} == {f"refused {START.replace(day=10)}"}


def test_a_clock_that_jumped_is_an_incident_until_it_is_right(varied: Site, tmp_path: Path, hook: Hook) -> None:
    """A negative lag is no late day; the alert of the clock takes its place."""
    site = Site(tmp_path / "site", varied.source, varied.bundle, varied.today)
    shutil.copytree(varied.folder, site.folder)
    newest = dt.datetime.combine(varied.today, dt.time(12), dt.UTC)
    with Catalog.open(site.paths.catalog) as catalog, catalog.db.transaction() as db:
        db.execute("UPDATE revision SET made_at = ?", (newest.isoformat(),))
    alerts = _alerts(site.config(hook.setting), KnownRunner())
    for days_after, wanted in ((-40, {"clock"}), (12, {"lag"}), (0, set())):
        alerts.check(newest + dt.timedelta(days_after))
        with Catalog.open(site.paths.catalog, read_only=True) as catalog:
            assert {kind for kind in catalog.incidents() if kind in ("clock", "lag")} == wanted
    assert [change for change in hook.kinds() if change[1] == "clock"] == [("opened", "clock"), ("closed", "clock")]
