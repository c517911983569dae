"""Fitting a network to stacks of days."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.checkpoint import Checkpoint
from training.losses import global_local_loss
from training.models import LSTMCNN, STPCNN, build
from training.presets import Preset
from training.samples import Batch, DayStack, Sampler


@dataclass(frozen=True)
class Schedule:
    """How long and how hard to train; the learning rate falls along a cosine after a short warm-up."""

    steps: int
    batch: int = 16
    learning_rate: float = 2e-3
    eta: float = 0.1
    sequence: int = 12
    """Days of a sample of the recurrent kind."""
    seed: int = 0


Report = Callable[[int, float], None]
"""Called after every step with its number and its loss."""


def make_sampler(preset: Preset, stacks: Sequence[DayStack], schedule: Schedule, patch: int = 40) -> Sampler:
    """Return the sampler that fits a preset's network."""
    model = preset.model
    if model.kind == "stpcnn":
        window: int = model.window  # type: ignore[union-attr]
        return Sampler(stacks, patch=patch, halo=model.halo, days=window, label=window // 2, seed=schedule.seed)
    return Sampler(stacks, patch=model.tile, halo=0, days=schedule.sequence, label=None, seed=schedule.seed)  # type: ignore[union-attr]


def loss_of(model: STPCNN | LSTMCNN, batch: Batch, eta: float) -> Tensor:
    """Return the loss of one batch, in units of the network's own normalisation."""
    sm, mask, land, truth, labelled, hidden, rain, rain_mask = (torch.from_numpy(v) for v in vars(batch).values())
    scale = model.config.sm_std**2
    if isinstance(model, STPCNN):
        filled, reached = model(sm, mask, land)
        labelled, hidden = labelled[:, 0] * reached, hidden[:, 0] * reached
        return global_local_loss(filled, truth[:, 0], labelled, hidden, eta) / scale
    memory = sm.new_zeros(len(sm), model.config.memory)
    state = (memory, memory, sm.new_zeros(len(sm), 1))
    total = sm.new_zeros(())
    for day in range(sm.shape[1]):
        filled, reached, *state_out = model(sm[:, day], mask[:, day], land, rain[:, day], rain_mask[:, day], *state)
        state = (state_out[0], state_out[1], state_out[2])
        total = total + global_local_loss(filled, truth[:, day], labelled[:, day], hidden[:, day] * reached, eta)
    return total / sm.shape[1] / scale


def fit(
    preset: Preset,
    stacks: Sequence[DayStack],
    schedule: Schedule,
    *,
    start: Checkpoint | None = None,
    report: Report = lambda step, loss: None,
    record: dict[str, object] | None = None,
) -> Checkpoint:
    """Train a network and return it with its record.

    Parameters
    ----------
    start : Checkpoint, optional
        Weights to start from instead of fresh ones.
    record : dict, optional
        What the training record should say beside the schedule.
    """
    torch.manual_seed(schedule.seed)
    model = start.model.train() if start else build(preset.model)
    sampler = make_sampler(preset, stacks, schedule)
    optimiser = torch.optim.AdamW(model.parameters(), lr=schedule.learning_rate, weight_decay=1e-4)
    warm_up = max(1, schedule.steps // 20)
    rate = torch.optim.lr_scheduler.SequentialLR(
        optimiser,
        [
            torch.optim.lr_scheduler.LinearLR(optimiser, 0.05, 1.0, warm_up),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, schedule.steps - warm_up)),
        ],
        [warm_up],
    )
    for step in range(1, schedule.steps + 1):
        loss = loss_of(model, sampler.draw(schedule.batch), schedule.eta)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        rate.step()
        report(step, float(loss.detach()))
    return Checkpoint(model.eval(), preset, {**(record or {}), "schedule": vars(schedule)})
