"""Runs of ``runtime fill`` as child processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from runtime.archive.lock import hold_archive
from runtime.archive.paths import ArchivePaths
from runtime.common.logs import LogFormat
from service.runner import LOG_FORMAT_VARIABLE, Runner
from tests.conftest import DAYS, Site


def _young(site: Site) -> list[str]:
    """Overrides that make a fortnight of long ago count as up to date."""
    return ["--config", str(site.file), "--set", "policy.max_outage_days=0", "--set", "policy.max_lag_days=99999"]


@pytest.mark.slow
def test_a_run_fills_and_reports_its_exit_code(window_site: Site) -> None:
    runner = Runner(_young(window_site))
    assert [runner.run(), runner.run()] == [0, 0]
    assert runner.exit_codes == {0: 2}
    assert runner.last
    assert runner.last.exit_code == 0
    assert len(window_site.published()) == DAYS


@pytest.mark.parametrize(("days", "code"), [(("--date", "2020-04-99"), 2), (("--date", "2020-04-03"), 7)])
def test_a_failing_run_is_reported_not_fatal(days: tuple[str, ...], code: int, window_site: Site) -> None:
    with hold_archive(ArchivePaths.of(window_site.config()).lock):
        assert Runner(_young(window_site)).run(days) == code


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("log_format", list(LogFormat))
def test_the_last_error_of_a_run_is_kept_and_logged(
    log_format: LogFormat, window_site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    runner = Runner([*_young(window_site), "--set", "feeds.soil_moisture.0.path=nowhere"], log_format=log_format)
    assert runner.run() == 2
    assert runner.last
    assert runner.last.message.endswith("nowhere does not exist; create it or set the feed's path")
    assert runner.last.message in capfd.readouterr().err


def test_a_run_logs_in_the_format_of_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho "${LOG_FORMAT_VARIABLE} $*" > {tmp_path}/called\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    assert Runner(["--config", "a.toml"], log_format=LogFormat.JSON).run() == 0
    assert (tmp_path / "called").read_text() == "json -m runtime fill --date today --config a.toml\n"


def test_a_run_that_cannot_be_started_is_a_failed_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    runner = Runner([])
    assert runner.run() == 1
    assert runner.last
    assert runner.last.failed
    assert runner.running_since is None
    assert "fill cannot be started" in caplog.text
