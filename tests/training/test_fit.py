"""Training: the loss falls, runs are repeatable, killed runs are resumed, and two processes give the result of one."""

import csv
import functools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

from runtime.common.grid import Grid
from training import fit as fitting
from training.checkpoint import Checkpoint, load_checkpoint
from training.cli import app
from training.events import TrainingEvents
from training.fit import TrainingRun
from training.log import NAME
from training.loop import LAST
from training.recipe import load_recipe
from training.resume import RESUME
from training.samples import TrainingArchive
from training.stop import TrainingStopped

WINDOW = ['model={kind="stpcnn", layers=4, maps=6}', "samples.patch=24"]
RECURRENT = ['model={kind="lstmcnn", tile=20, layers=2, maps=6, fc_maps=1, memory=24}', "samples.sequence=5"]
AS_PRINTED = [*RECURRENT, "model.reading=published"]
SEAMLESS: list[str] = []


def fit(
    folder: Path, file: Path, archive: TrainingArchive, *overrides: str, events: TrainingEvents | None = None
) -> Checkpoint:
    return TrainingRun(folder, load_recipe(str(file), overrides), [archive], events=events).fit()


def logged(folder: Path, what: str = "loss") -> dict[int, float]:
    with (folder / NAME).open(newline="") as file:
        return {int(row["step"]): float(row["value"]) for row in csv.DictReader(file) if row["what"] == what}


def same_weights(one: Checkpoint, other: Checkpoint) -> bool:
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("kind", [SEAMLESS, WINDOW, RECURRENT, AS_PRINTED])
def test_fitting_learns(kind: list[str], tmp_path: Path, recipe_file: Path, archive: TrainingArchive) -> None:
    trained = fit(tmp_path / "run", recipe_file, archive, *kind, "schedule.steps=60", "schedule.eta=0.1")
    losses = list(logged(tmp_path / "run").values())
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    assert trained.record["steps"] == 60
    assert trained.record["data"][0]["source"] == archive.source
    assert same_weights(load_checkpoint(tmp_path / "run" / LAST), trained)
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("kind", [SEAMLESS, WINDOW, RECURRENT])
def test_a_run_that_goes_on_ends_as_one_that_was_not_interrupted(
    kind: list[str], tmp_path: Path, recipe_file: Path, archive: TrainingArchive
) -> None:
    whole = fit(tmp_path / "whole", recipe_file, archive, *kind)

    class Stops(TrainingEvents):
        def step_done(self, step: int, loss: float) -> None:
            if step == 8:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", recipe_file, archive, *kind, events=Stops())
    assert len(logged(tmp_path / "cut")) == 8
    resumed = fit(tmp_path / "cut", recipe_file, archive, *kind)
    assert same_weights(whole, resumed)
    assert logged(tmp_path / "cut") == logged(tmp_path / "whole")


def test_a_run_that_sigterm_stops_goes_on_where_it_was(
    tmp_path: Path, recipe_file: Path, archive: TrainingArchive
) -> None:
    class Stops(TrainingEvents):
        def step_done(self, step: int, loss: float) -> None:
            if step == 7:
                signal.raise_signal(signal.SIGTERM)

    settings = ["schedule.keep_every=1000"]
    whole = fit(tmp_path / "whole", recipe_file, archive, *settings)
    with pytest.raises(TrainingStopped, match="stopped after step 8 of 12"):
        fit(tmp_path / "cut", recipe_file, archive, *settings, events=Stops())
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    resumed: list[int] = []

    class Resumes(TrainingEvents):
        def training_started(self, step: int, steps: int) -> None:
            resumed.append(step)

    assert same_weights(whole, fit(tmp_path / "cut", recipe_file, archive, *settings, events=Resumes()))
    assert resumed == [8]
    assert logged(tmp_path / "cut") == logged(tmp_path / "whole")


def test_the_state_is_saved_by_time_too(
    tmp_path: Path, recipe_file: Path, archive: TrainingArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.loop._SAVE_S", 0.0)

    class Dies(TrainingEvents):
        def step_done(self, step: int, loss: float) -> None:
            if step == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "run", recipe_file, archive, "schedule.keep_every=1000", events=Dies())
    with safe_open(tmp_path / "run" / RESUME, framework="pt") as file:
        assert json.loads(file.metadata()["progress"])["step"] == 3


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
"""The number of threads changes the order of sums; the tests themselves compute on one, see `conftest`."""


def _command(file: Path, out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "training", "fit", "--config", str(file), "--out", str(out), *options]


@pytest.mark.slow
def test_a_command_that_sigterm_stops_in_its_first_steps_is_resumed(
    tmp_path: Path, recipe_file: Path, archive: TrainingArchive
) -> None:
    more = ("--set", "schedule.keep_every=1000000", "--set", "schedule.steps=1000000")
    command = _command(recipe_file, tmp_path / "run", *more)
    done = []
    for _ in range(2):
        log = tmp_path / "run" / NAME
        before = log.stat().st_mtime_ns if log.exists() else 0
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
        deadline = time.monotonic() + 120
        while not (log.exists() and log.stat().st_mtime_ns > before) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 128 + signal.SIGTERM, said
        stopped = re.search(r"warning: stopped after step (\d+) of 1000000; the same command resumes there", said)
        assert stopped, said
        done.append((int(stopped[1]), said))
    assert f"resuming after step {done[0][0]} of" in done[1][1]
    assert done[1][0] > done[0][0] > 0


@pytest.mark.slow
def test_a_run_killed_in_the_middle_of_an_epoch_and_resumed_ends_with_the_same_weights(
    tmp_path: Path, recipe_file: Path, archive: TrainingArchive
) -> None:
    whole = fit(tmp_path / "whole", recipe_file, archive, "schedule.steps=150")
    command = _command(recipe_file, tmp_path / "cut", "--set", "schedule.steps=150")
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    deadline = time.monotonic() + 120
    while not (tmp_path / "cut" / RESUME).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "cut" / LAST).exists()
    resumed = subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT)
    assert re.search(r"resuming after step \d+ of 150", resumed.stderr)
    assert "wrote" in resumed.stdout
    assert same_weights(whole, load_checkpoint(tmp_path / "cut" / LAST))


@pytest.mark.slow
def test_two_processes_give_the_loss_curve_of_one_with_the_doubled_batch(
    tmp_path: Path, recipe_file: Path, archive: TrainingArchive
) -> None:
    """Both see the same samples; each process half of every batch. Dropout differs by process, so there is none."""
    settings = ["schedule.steps=20", "schedule.batch=8", "model.dropout=0"]
    fit(tmp_path / "one", recipe_file, archive, *settings)
    options = [part for setting in settings for part in ("--set", setting)]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    both = [*torchrun, *_command(recipe_file, tmp_path / "two", *options)[1:]]
    subprocess.run(both, check=True, capture_output=True, env=ENVIRONMENT)
    one, two = logged(tmp_path / "one"), logged(tmp_path / "two")
    assert list(one) == list(two) == list(range(1, 21))
    np.testing.assert_allclose(list(one.values()), list(two.values()), rtol=2e-4)


@pytest.mark.slow
def test_two_machines_without_a_shared_disk_go_on_after_one_was_lost(
    tmp_path: Path, recipe_file: Path, archive: TrainingArchive
) -> None:
    """Each has its own copy of the data and its own run folder; the second one is killed, and both start again."""
    settings = ["schedule.steps=60", "schedule.batch=8", "schedule.keep_every=5", "model.dropout=0"]
    fit(tmp_path / "one", recipe_file, archive, *settings)
    options = [part for setting in settings for part in ("--set", setting)]
    commands = []
    for number in range(2):
        machine = tmp_path / f"machine{number}"
        shutil.copytree(archive.folder, machine / "data")
        file = machine / "tiny.toml"
        file.write_text(recipe_file.read_text().replace(str(archive.folder), str(machine / "data")))
        assert str(machine / "data") in file.read_text()
        place = ["--nnodes", "2", "--node-rank", str(number), "--master-addr", "127.0.0.1", "--master-port", _port()]
        torchrun = [sys.executable, "-m", "torch.distributed.run", *place]
        commands.append([*torchrun, *_command(file, machine / "run", *options)[1:]])
    machines = [_start(command) for command in commands]
    saved = tmp_path / "machine0" / "run" / RESUME
    deadline = time.monotonic() + 180
    while not saved.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    lost = psutil.Process(machines[1].pid)
    for process in [lost, *lost.children(recursive=True)]:
        process.kill()
    for machine in machines:
        machine.communicate(timeout=180)
        assert machine.returncode != 0
    assert not (tmp_path / "machine0" / "run" / LAST).exists()
    assert not (tmp_path / "machine1" / "run" / RESUME).exists()
    machines = [_start(command) for command in commands]
    said = [machine.communicate(timeout=300)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], said
    assert re.search(r"resuming after step \d+ of 60", said[0])
    one, two = logged(tmp_path / "one"), logged(tmp_path / "machine0" / "run")
    assert list(one) == list(two) == list(range(1, 61))
    np.testing.assert_allclose(list(one.values()), list(two.values()), rtol=1e-3)


@functools.cache
def _port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**ENVIRONMENT, "GLOO_SOCKET_IFNAME": "lo"},
    )


@pytest.mark.slow
def test_training_stops_early_and_keeps_the_best(
    tmp_path: Path, recipe_file: Path, archive: TrainingArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "_VALIDATION", 64)
    validations: list[tuple[int, float, bool]] = []

    class Validations(TrainingEvents):
        def validation_done(self, step: int, loss: float, best: bool) -> None:
            validations.append((step, loss, best))

    overrides = [
        'data.0.targets=["2020-04-01","2020-04-09"]',
        'data.0.validate=["2020-04-10","2020-04-14"]',
        "schedule.validate_every=2",
        "schedule.patience=2",
        "schedule.steps=200",
        "schedule.learning_rate=0.5",
        "schedule.average=0",
    ]
    kept = fit(tmp_path / "run", recipe_file, archive, *overrides, events=Validations())
    assert [best for _, _, best in validations[-2:]] == [False, False]
    assert validations[-1][0] < 200
    best_step = max(step for step, _, best in validations if best)
    assert kept.record["steps"] == best_step
    assert logged(tmp_path / "run", "validation") == {step: loss for step, loss, _ in validations}


def test_a_folder_with_another_run_is_refused(tmp_path: Path, recipe_file: Path, archive: TrainingArchive) -> None:
    fit(tmp_path / "run", recipe_file, archive, "schedule.steps=3")
    with pytest.raises(ValueError, match="holds a run of another recipe"):
        fit(tmp_path / "run", recipe_file, archive, "schedule.steps=4")


def test_a_damaged_state_is_said(tmp_path: Path, recipe_file: Path, archive: TrainingArchive) -> None:
    fit(tmp_path / "run", recipe_file, archive, "schedule.steps=3")
    raw = (tmp_path / "run" / RESUME).read_bytes()
    (tmp_path / "run" / RESUME).write_bytes(raw[: len(raw) // 2])
    with pytest.raises(ValueError, match="cannot be read.*to start over"):
        fit(tmp_path / "run", recipe_file, archive, "schedule.steps=3")


@pytest.mark.slow
def test_workers_draw_the_same_samples(tmp_path: Path, recipe_file: Path, archive: TrainingArchive) -> None:
    """In a process of its own, as users start it: forked off one with a test run's threads, it has crashed."""
    alone = fit(tmp_path / "alone", recipe_file, archive)
    command = _command(recipe_file, tmp_path / "workers", "--workers", "2")
    subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
    assert same_weights(alone, load_checkpoint(tmp_path / "workers" / LAST))


def test_the_gradient_is_not_limited_if_clip_is_0(tmp_path: Path, recipe_file: Path, archive: TrainingArchive) -> None:
    off, never, always = (
        fit(tmp_path / clip, recipe_file, archive, "schedule.steps=2", f"schedule.clip={clip}")
        for clip in ("0", "1e9", "1e-9")
    )
    assert same_weights(off, never)
    assert not same_weights(off, always)


def test_a_run_may_start_from_weights(tmp_path: Path, recipe_file: Path, archive: TrainingArchive) -> None:
    first = fit(tmp_path / "first", recipe_file, archive)
    loaded = load_recipe(str(recipe_file), ["schedule.steps=1", "schedule.learning_rate=1e-9"])
    second = TrainingRun(tmp_path / "second", loaded, [archive]).fit(first)
    assert second.record["started_from"] == first.record
    with pytest.raises(ValueError, match="another"):
        TrainingRun(tmp_path / "second", loaded, [archive]).fit(second)
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_the_command_line_from_files_to_checkpoint(
    fortnight: Path, tmp_path: Path, grid: Grid, recipe_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.common.grid.Grid.globe", lambda: grid)
    recipe_file.write_text(recipe_file.read_text().split("[[data]]")[0] + '[[data]]\ngranules = "."\n')
    common = [
        "fit",
        "--config",
        str(recipe_file),
        "--data-root",
        str(fortnight),
        "--records",
        str(tmp_path / "records"),
    ]
    dry = CliRunner().invoke(app, [*common, "--out", str(tmp_path / "dry"), "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "12 steps in all" in dry.stdout
    assert re.search(r"\d+ places", dry.stdout)
    assert re.search(r"samples: share hidden of the cells with a label 0\.\d\d to \d\.\d\d, quartiles", dry.stdout)
    pool = ["--set", "samples.mask_pool=20", "--set", "samples.real_masks=1.0"]
    dry = CliRunner().invoke(app, [*common, *pool, "--out", str(tmp_path / "dry"), "--dry-run"])
    assert dry.exit_code == 0, dry.output
    least, most = re.findall(r"masks: 20 of 16 x 16 cells, share of gaps (\S+) to (\S+), quartiles", dry.stdout)[0]
    assert 0.3 <= float(least) < float(most) <= 0.7
    assert not (tmp_path / "dry").exists()
    result = CliRunner().invoke(app, [*common, "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    assert "14 days 2020-04-01..2020-04-14" in load_checkpoint(tmp_path / "run" / LAST).record["data"][0]["source"]
    missing = CliRunner().invoke(app, [*common, "--data-root", str(tmp_path), "--out", str(tmp_path / "x")])
    assert missing.exit_code == 2
    assert "holds no lprm-amsr2 file" in missing.stderr
    no_data = CliRunner().invoke(app, ["fit", "--config", "seamless", "--out", str(tmp_path / "x")])
    assert no_data.exit_code == 2
    assert "names no data" in no_data.stderr


def test_the_command_line_makes_records(
    fortnight: Path, tmp_path: Path, grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "record"
    arguments = ["record", "--granules", str(fortnight), "--out", str(out), "--box", "-10,40,10,50"]
    monkeypatch.setattr("runtime.common.grid.Grid.globe", lambda: grid)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert TrainingArchive.open(out).grid.shape == (40, 80)
    assert "with rain" in result.stdout


@pytest.mark.parametrize("region", ["grid", pytest.param("globe", marks=pytest.mark.slow)])
def test_the_command_line_makes_days_that_read(
    region: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    area: Grid = request.getfixturevalue(region)
    monkeypatch.setattr("runtime.common.grid.Grid.globe", lambda: area)
    result = CliRunner().invoke(app, ["world", "--out", str(tmp_path / "days"), "--days", "1"])
    assert result.exit_code == 0, result.output
    archive = TrainingArchive.of_granules(tmp_path / "archive", tmp_path / "days", area)
    assert archive.observed(0).sum() > 0.25 * area.land.sum()
    assert np.isfinite(archive.rain(0, 1)).all()
