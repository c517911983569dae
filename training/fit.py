"""Train a network on samples, with one process or several; a stopped or killed run is resumed from its last save."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from runtime.common import digest
from training.checkpoint import Checkpoint, digest_of_weights, load_checkpoint, save_checkpoint
from training.data import PATHS
from training.events import TrainingEvents
from training.log import ScalarLog
from training.losses import Objective, alone
from training.models import build_network
from training.recipe import Recipe, TrainingSchedule
from training.resume import TrainingProgress, TrainingState, load_state, save_state
from training.samples import Batch, Samples, TrainingArchive
from training.stop import StopRequest, TrainingStopped

BEST, LAST = "best.safetensors", "last.safetensors"
_SAVE_S = 60.0
"""Seconds after which the state is saved, however few steps were done."""
_VALIDATION = 256
"""Samples of a validation."""


class _NumberedBatches(Dataset[list[Tensor]]):
    """Batches by step: `Samples` cut into steps, and each step into equal parts for the processes."""

    def __init__(self, samples: Samples, batch: int, rank: int, processes: int) -> None:
        self._samples, self._batch, self._rank, self._processes = samples, batch, rank, processes

    def __getitem__(self, step: int) -> list[Tensor]:
        part = self._batch // self._processes
        return to_tensors(self._samples.batch(step * self._batch + self._rank * part, part))


def to_tensors(batch: Batch) -> list[Tensor]:
    """Return the fields of a batch as tensors, in order."""
    return [torch.from_numpy(getattr(batch, f.name)) for f in fields(batch)]


def learning_rate(schedule: TrainingSchedule, step: int, steps: int, epoch: int) -> float:
    """Return the learning rate of a step.

    Parameters
    ----------
    schedule : TrainingSchedule
        The schedule of the recipe.
    step : int
        The step, counted from 0.
    steps : int
        Number of all steps.
    epoch : int
        Steps of one pass over the samples.

    Returns
    -------
    float
        Halved every `schedule.halve_every` epochs; if that is 0, a warm-up over a twentieth of the steps and then a
        cosine that falls to 1 %.
    """
    if schedule.halve_every:
        return schedule.learning_rate * 0.5 ** (step // (schedule.halve_every * epoch))
    warm_up = max(1, steps // 20)
    if step < warm_up:
        return schedule.learning_rate * (step + 1) / warm_up
    position = (step - warm_up) / max(1, steps - warm_up)
    return schedule.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * position)))


def make_fabric(precision: str = "32-true") -> Fabric:
    """Return the processes of the run: all that `torchrun` started, else this one on its best device."""
    world, local = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    fabric = Fabric(
        accelerator="auto",
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision=precision,  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


class TrainingRun:
    """A training run in its folder.

    Parameters
    ----------
    folder : Path
        Folder of the log, the saved state and the result.
    recipe : Recipe
        The settings.
    archives : list of TrainingArchive
        The opened archives of the recipe's `data`, in order.
    workers : int
        Number of processes that draw samples; with 0 this process draws them.
    events : TrainingEvents, optional
        Receives the progress.

    Raises
    ------
    ValueError
        The batch cannot be divided equally between the processes.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        archives: list[TrainingArchive],
        *,
        workers: int = 0,
        events: TrainingEvents | None = None,
    ) -> None:
        self.folder, self.recipe, self.archives, self.workers = folder, recipe, archives, workers
        self.events = events or TrainingEvents()
        # without the folders: the same data may lie in another one
        settings = recipe.model_dump(mode="json", exclude={"limits": True, "data": {"__all__": set(PATHS)}})
        self.identity = digest.of_values(settings, [archive.source for archive in archives])
        schedule = recipe.schedule
        self.samples = recipe.training_samples(archives)
        self.validation = recipe.validation_samples(archives) if schedule.validate_every else None
        self.epoch = max(1, len(self.samples) // schedule.batch)
        self.steps = schedule.steps or (schedule.epochs or 1) * self.epoch
        self.progress = TrainingProgress()
        self._before: dict[str, Any] = {}
        self.fabric = make_fabric(schedule.precision)
        if schedule.batch % self.fabric.world_size:
            raise ValueError(
                f"schedule.batch = {schedule.batch} cannot be divided equally between {self.fabric.world_size} "
                "processes; choose a multiple of their number"
            )

    def fit(self, start: Checkpoint | None = None) -> Checkpoint:
        """Train to the end, from the last save of a killed run of the same recipe if there is one.

        Parameters
        ----------
        start : Checkpoint, optional
            Weights to start from instead of random ones.

        Returns
        -------
        Checkpoint
            The trained network.

        Raises
        ------
        ValueError
            The folder holds a run of another recipe or from other weights, or a saved state that cannot be read.
        TrainingStopped
            SIGTERM came; the state after the last step is saved.
        """
        fabric, schedule = self.fabric, self.recipe.schedule
        if start:
            self._before = {"started_from": start.record}
            self.identity = digest.of_values(self.identity, digest_of_weights(start))
        state, objective = self._set_up(start)
        self.events.training_started(self.progress.step, self.steps)
        saved_at = time.monotonic()
        with StopRequest() as stop, ScalarLog(self.folder, self.progress.step, fabric.is_global_zero) as log:
            for inputs in self._batches():
                if self._stops_early():
                    break
                is_due = time.monotonic() - saved_at >= _SAVE_S
                loss, is_due, is_stopped = self._train_step(state, objective, inputs, is_due, stop)
                self.progress = self.progress.after_step()
                log.write(self.progress.step, "loss", loss)
                self.events.step_done(self.progress.step, loss)
                if self.validation and self.progress.step % schedule.validate_every == 0:
                    self._validate(self.validation, state.average, log)
                if is_due or is_stopped or self.progress.step % schedule.keep_every == 0:
                    log.flush()
                    self._save(state)
                    saved_at = time.monotonic()
                if is_stopped:
                    raise TrainingStopped(f"stopped after step {self.progress.step} of {self.steps}")
        self._save(state)
        result = Checkpoint(state.average.cpu().eval(), self.recipe.preset, self.record())  # type: ignore[arg-type]
        if self.validation and schedule.patience and (self.folder / BEST).exists():
            result = load_checkpoint(self.folder / BEST)
        if fabric.is_global_zero:
            save_checkpoint(self.folder / LAST, result)
        fabric.barrier()
        return result

    def record(self) -> dict[str, Any]:
        """Return how the weights were trained, as the bundle's manifest and model card show it."""
        data = [
            {
                "source": archive.source,
                **({"targets": [str(day) for day in section.targets]} if section.targets else {}),
                **({"weight": section.weight} if len(self.archives) > 1 else {}),
            }
            for archive, section in zip(self.archives, self.recipe.data, strict=True)
        ]
        return {
            "data": data,
            "steps": self.progress.step,
            "schedule": self.recipe.schedule.model_dump(mode="json", exclude_none=True),
            "samples": self.recipe.samples.model_dump(mode="json"),
            "limits": self.recipe.limits,
            **self._before,
        }

    def _set_up(self, start: Checkpoint | None) -> tuple[TrainingState, Any]:
        """Return the network, its running mean and the optimiser, with the saved state loaded, and the loss."""
        schedule, fabric = self.recipe.schedule, self.fabric
        torch.manual_seed(schedule.seed)
        network = (
            copy.deepcopy(start.model).train().requires_grad_() if start else build_network(self.recipe.preset.model)
        )
        average = copy.deepcopy(network).eval().requires_grad_(False)
        objective: Any = Objective(
            network,
            eta=schedule.eta,
            sigma_weight=schedule.sigma_weight,
            truncate=schedule.truncate,
            share=self._mean_over_processes if fabric.world_size > 1 else alone,
        )
        optimiser: Any = torch.optim.AdamW(
            network.parameters(), schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        objective, optimiser = fabric.setup(objective, optimiser)
        average.to(fabric.device)
        state = TrainingState(network, average, optimiser)
        # Only now, on the device: the optimiser puts its moments where the weights are.
        saved = load_state(self.folder, state, self.identity)
        if saved:
            self.progress, scaler = saved
            fabric.strategy.precision.load_state_dict(scaler)
        return state, objective

    def _train_step(
        self, state: TrainingState, objective: Any, inputs: list[Tensor], is_due: bool, stop: StopRequest
    ) -> tuple[float, bool, bool]:
        """Change the weights by one step; return the loss, and whether any process wants to save, or to stop.

        All processes must save and stop after the same step, whichever of them was told to.
        """
        schedule, fabric, step = self.recipe.schedule, self.fabric, self.progress.step
        for group in state.optimiser.param_groups:
            group["lr"] = learning_rate(schedule, step, self.steps, self.epoch)
        # What dropout leaves out depends on the step alone, so that a resumed run goes on as if never interrupted.
        torch.manual_seed((schedule.seed + step) * fabric.world_size + fabric.global_rank)
        loss = objective(*(value.to(fabric.device) for value in inputs))
        state.optimiser.zero_grad()
        fabric.backward(loss)
        if schedule.clip:
            fabric.clip_gradients(objective, state.optimiser, max_norm=schedule.clip)
        state.optimiser.step()
        decay = min(schedule.average, (step + 1) / (step + 20)) if schedule.average else 0.0
        _update_average(state.average, state.network, decay)
        flags = torch.tensor([float(is_due), float(stop.wanted)], device=fabric.device)
        mean, due, stopped = self._mean_over_processes(torch.cat([loss.detach().float().reshape(1), flags])).tolist()
        return mean, due > 0, stopped > 0

    def _mean_over_processes(self, value: Tensor) -> Tensor:
        mean: Tensor = self.fabric.all_reduce(value.detach(), reduce_op="mean")  # type: ignore[assignment]
        return mean

    def _stops_early(self) -> bool:
        """Return whether the last validations of the schedule's `patience` found no better loss."""
        patience = self.recipe.schedule.patience
        return bool(patience) and self.progress.since_best >= patience

    def _batches(self) -> Iterator[list[Tensor]]:
        """Yield this process's part of the batches that are left."""
        fabric = self.fabric
        data = _NumberedBatches(self.samples, self.recipe.schedule.batch, fabric.global_rank, fabric.world_size)
        steps = range(self.progress.step, self.steps)
        yield from DataLoader(
            data, batch_size=None, sampler=steps, num_workers=self.workers, prefetch_factor=4 if self.workers else None
        )

    def _validate(self, samples: Samples, average: torch.nn.Module, log: ScalarLog) -> None:
        """Compute the loss on the validation days, and keep the best weights.

        Every process computes the loss of all samples, so that all of them stop after the same step.
        """
        schedule = self.recipe.schedule
        objective = Objective(average, eta=schedule.eta, sigma_weight=schedule.sigma_weight)  # type: ignore[arg-type]
        losses = []
        with torch.inference_mode():
            for first in range(0, _VALIDATION, 16):
                inputs = to_tensors(samples.batch(first, 16))
                losses.append(float(objective(*(value.to(self.fabric.device) for value in inputs))))
        loss = float(np.mean(losses))
        self.progress = self.progress.after_validation(loss)
        is_best = self.progress.since_best == 0
        log.write(self.progress.step, "validation", loss)
        self.events.validation_done(self.progress.step, loss, is_best)
        if is_best and self.fabric.is_global_zero:
            best = Checkpoint(copy.deepcopy(average).cpu(), self.recipe.preset, self.record())  # type: ignore[arg-type]
            save_checkpoint(self.folder / BEST, best)

    def _save(self, state: TrainingState) -> None:
        """Save the state of the run, in one of the processes."""
        if self.fabric.is_global_zero:
            save_state(
                self.folder,
                state,
                identity=self.identity,
                progress=self.progress,
                scaler=self.fabric.strategy.precision.state_dict(),
            )
        self.fabric.barrier()


@torch.no_grad()
def _update_average(average: torch.nn.Module, network: torch.nn.Module, decay: float) -> None:
    """Move the running mean of the weights towards the network's by ``1 - decay``; decay 0 copies them."""
    for mean, value in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, 1 - decay)
