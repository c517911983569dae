"""Training: samples a second of each preset, and whether the loss goes the same way as on the CPU."""

from __future__ import annotations

import contextlib
import datetime as dt
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from benchmarks.gpu.context import Context
from benchmarks.gpu.meter import too_large
from benchmarks.gpu.rows import Row, not_run
from runtime.common.grid import Grid
from training.data import DataSection
from training.events import TrainingEvents
from training.fit import TrainingRun
from training.models import SeamlessConfig
from training.presets import preset_names
from training.recipe import load_recipe

CURVE_STEPS = 5
"""Steps whose losses are compared."""
_CURVE_BATCH = 2
_SAME = 1e-3
"""Largest relative difference of a loss that counts as rounding: a step of Adam enlarges that of the gradients."""
_SPEED_STEPS = 40
_WARM_UP = 3
_COPIES = 12
"""Memory in sizes of the weights: twice what weights, mean, gradients, two moments and all else need."""
_BOX = (0.0, 20.0, 30.0, 50.0)
_DAYS = 24


class _Enough(Exception):
    """Ends a run without its last save, which writes gigabytes at the published sizes."""


class _Clock(TrainingEvents):
    """Notes the loss and the time of each step, and ends the run after some steps or at a time."""

    def __init__(self, steps: int, ends: float) -> None:
        self.losses: list[float] = []
        self.times: list[float] = []
        self._steps, self._ends = steps, ends

    def step_done(self, step: int, loss: float) -> None:
        """Take note of a step."""
        self.losses.append(loss)  # a number: the device has computed the step
        self.times.append(time.monotonic())
        if step >= self._steps or (time.monotonic() > self._ends and step > _WARM_UP):
            raise _Enough


def measure_training(context: Context, *, is_reference: bool) -> Iterator[Row]:
    """Yield a row for each preset.

    Parameters
    ----------
    context : Context
        Device and time.
    is_reference : bool
        Whether to compute the losses only, which the device is compared with.

    Yields
    ------
    dict
        The losses of the first steps in float32; unless this is the reference, also the speed as the preset trains.
    """
    reference = {row.get("preset"): row for row in context.earlier.get("training-cpu", ())}
    names = sorted(preset_names(), key=lambda name: ("paper" in name, "lstm" in name))  # the small ones first
    for number, name in enumerate(names):
        share = context.left / (len(names) - number)
        if share < 1.0:
            yield not_run(name, "no time left")
            continue
        if reason := too_large(context.device, name, _COPIES):
            yield not_run(name, reason)
            continue
        yield {"preset": name}
        try:
            ends = time.monotonic() + share * (1.0 if is_reference else 0.4)
            steps = 2 if context.small else CURVE_STEPS
            with _exact():
                curve = _train(context, name, _CURVE_BATCH, steps, ends, "32-true", _without_dropout(name)).losses
            yield {"preset": name, **_curve_row(curve, reference.get(name), is_reference)}
            if not is_reference:
                yield {"preset": name, **_speed_row(context, name, time.monotonic() + share * 0.6)}
        except Exception as error:  # whatever a library or the device does, the others are measured
            yield not_run(name, error)


@contextlib.contextmanager
def _exact() -> Iterator[None]:
    """Compute convolutions on a GPU without rounding their inputs, which PyTorch does unless told not to."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _without_dropout(name: str) -> list[str]:
    """Return the settings without dropout: each device draws other cells to leave out."""
    return ["model.dropout=0"] if isinstance(load_recipe(name).preset.model, SeamlessConfig) else []


def _train(
    context: Context, name: str, batch: int, steps: int, ends: float, precision: str, more: Sequence[str] = ()
) -> _Clock:
    """Train a preset on the synthetic world for some steps or to a time, whichever is first."""
    overrides = [
        f"schedule.batch={batch}",
        f"schedule.precision={precision}",
        "schedule.keep_every=1000000",
        "samples.complete_days=none",  # a patch whose land is undamaged is too rare in so small a world
        "samples.mask_pool=0",  # so are masks that fit it
        "samples.min_observed=0.1",
        *more,
    ]
    recipe = load_recipe(name, overrides)
    data = DataSection(world=1, start=dt.date(2020, 3, 1), days=_DAYS)
    archive = data.open(context.scratch / "worlds", Grid.globe().box(*_BOX))
    recipe = recipe.model_copy(update={"data": (data,)})
    clock = _Clock(steps, ends)
    with tempfile.TemporaryDirectory(dir=context.scratch) as folder:
        with contextlib.suppress(_Enough):
            TrainingRun(Path(folder), recipe, [archive], events=clock).fit()
    return clock


def _curve_row(losses: list[float], reference: Row | None, is_reference: bool) -> Row:
    row: Row = {f"loss {step}": loss for step, loss in enumerate(losses, 1)}
    if is_reference:
        return row
    if reference is None:
        return row | {"as on the CPU": "not known: the CPU did not get to it"}
    pairs = [(loss, reference[key]) for key, loss in row.items() if key in reference]
    worst = max((abs(float(a or 0) / float(b or 1) - 1) for a, b in pairs), default=float("nan"))
    return row | {"largest relative difference": worst, "as on the CPU": "yes" if worst <= _SAME else "NO"}


def _speed_row(context: Context, name: str, ends: float) -> Row:
    """Return the samples a second as the preset trains; on a CPU, with a small batch at the published sizes."""
    schedule = load_recipe(name).schedule
    batch = schedule.batch if context.device == "cuda" or schedule.batch <= 16 else 2
    if context.small:
        batch = 2
    if context.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    clock = _train(context, name, batch, 6 if context.small else _SPEED_STEPS, ends, schedule.precision)
    steps = len(clock.times) - _WARM_UP
    row: Row = {"batch": float(batch), "precision": schedule.precision, "steps timed": float(max(steps, 0))}
    if steps > 0:
        row["samples a second"] = batch * steps / (clock.times[-1] - clock.times[_WARM_UP - 1])
    if context.device == "cuda":
        row["memory, GiB"] = torch.cuda.max_memory_allocated() / 2**30
    return row
