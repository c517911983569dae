"""The loop of a training run, whatever is trained: steps, saves, validations, resume, several processes."""

from __future__ import annotations

import copy
import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.events import TrainingEvents
from training.log import ScalarLog
from training.recipe import TrainingSchedule
from training.resume import TrainingProgress, TrainingState, read_state, save_state
from training.stop import StopRequest, TrainingStopped

R = TypeVar("R")

BEST, LAST = "best.safetensors", "last.safetensors"
_SAVE_S = 60.0
"""Seconds after which the state is saved, however few steps were done."""


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


class TrainingLoop(ABC, Generic[R]):
    """A training run in its folder; what is trained, and on what, a class derived from this one says.

    Parameters
    ----------
    folder : Path
        Folder of the log, the saved state and the result.
    schedule : TrainingSchedule
        Length, optimiser and saves.
    identity : str
        Digest of the settings and the data; a saved state of another one is refused.
    samples : int
        Number of samples in one pass.
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
        schedule: TrainingSchedule,
        identity: str,
        samples: int,
        *,
        workers: int = 0,
        events: TrainingEvents | None = None,
    ) -> None:
        self.folder, self.schedule, self.identity, self.workers = folder, schedule, identity, workers
        self.events = events or TrainingEvents()
        self.epoch = max(1, samples // schedule.batch)
        self.steps = schedule.steps or (schedule.epochs or 1) * self.epoch
        self.progress = TrainingProgress()
        self.fabric = make_fabric(schedule.precision)
        if schedule.batch % self.fabric.world_size:
            raise ValueError(
                f"schedule.batch = {schedule.batch} cannot be divided equally between {self.fabric.world_size} "
                "processes; choose a multiple of their number"
            )

    @abstractmethod
    def _make_network(self) -> torch.nn.Module:
        """Return the network with its first weights."""

    @abstractmethod
    def _objective(self, network: torch.nn.Module, *, training: bool) -> torch.nn.Module:
        """Return a module that takes the tensors of a batch and returns the loss."""

    @abstractmethod
    def _batches_by_step(self) -> Dataset[list[Tensor]]:
        """Return this process's part of each batch, by step."""

    @abstractmethod
    def _validation_loss(self, average: torch.nn.Module) -> float | None:
        """Return the loss of the averaged network on the samples to validate on; None if there are none."""

    @abstractmethod
    def _result(self, average: torch.nn.Module) -> R:
        """Return the result of a run whose averaged network this is."""

    @abstractmethod
    def _write(self, path: Path, result: R) -> None:
        """Write a result."""

    @abstractmethod
    def _load(self, path: Path) -> R:
        """Read a result."""

    def _run(self) -> R:
        """Train to the end, from the last save of a killed run with the same identity if there is one."""
        fabric, schedule = self.fabric, self.schedule
        state, objective = self._set_up()
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
                if schedule.validate_every and self.progress.step % schedule.validate_every == 0:
                    self._validate(state.average, log)
                if is_due or is_stopped or self.progress.step % schedule.keep_every == 0:
                    log.flush()
                    self._save(state)
                    saved_at = time.monotonic()
                if is_stopped:
                    raise TrainingStopped(f"stopped after step {self.progress.step} of {self.steps}")
        self._save(state)
        result = self._result(state.average.cpu().eval())
        if schedule.validate_every and schedule.patience and (self.folder / BEST).exists():
            result = self._load(self.folder / BEST)
        if fabric.is_global_zero:
            self._write(self.folder / LAST, result)
        fabric.barrier()
        return result

    def _set_up(self) -> tuple[TrainingState, Any]:
        """Return the network, its running mean and the optimiser, with the saved state loaded, and the loss."""
        schedule, fabric = self.schedule, self.fabric
        torch.manual_seed(schedule.seed)
        network = self._make_network()
        average = copy.deepcopy(network).eval().requires_grad_(False)
        objective: Any = self._objective(network, training=True)
        optimiser: Any = torch.optim.AdamW(
            network.parameters(), schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        objective, optimiser = fabric.setup(objective, optimiser)
        average.to(fabric.device)
        state = TrainingState(network, average, optimiser)
        # Only now, on the device: the optimiser puts its moments where the weights are.
        # One process reads it for all: machines need not share a disk.
        saved = fabric.broadcast(read_state(self.folder, self.identity) if fabric.is_global_zero else None)
        if saved:
            saved.load_into(state)
            self.progress = saved.progress
            fabric.strategy.precision.load_state_dict(saved.scaler)
        return state, objective

    def _train_step(
        self, state: TrainingState, objective: Any, inputs: list[Tensor], is_due: bool, stop: StopRequest
    ) -> tuple[float, bool, bool]:
        """Change the weights by one step; return the loss, and whether any process wants to save, or to stop.

        All processes must save and stop after the same step, whichever of them was told to.
        """
        schedule, fabric, step = self.schedule, self.fabric, self.progress.step
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
        patience = self.schedule.patience
        return bool(patience) and self.progress.since_best >= patience

    def _batches(self) -> Iterator[list[Tensor]]:
        """Yield this process's part of the batches that are left."""
        steps = range(self.progress.step, self.steps)
        workers = self.workers
        yield from DataLoader(
            self._batches_by_step(),
            batch_size=None,
            sampler=steps,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
        )

    def _validate(self, average: torch.nn.Module, log: ScalarLog) -> None:
        """Compute the loss on the samples to validate on, and keep the best weights.

        Every process computes the loss of all samples, so that all of them stop after the same step.
        """
        loss = self._validation_loss(average)
        if loss is None:
            return
        self.progress = self.progress.after_validation(loss)
        is_best = self.progress.since_best == 0
        log.write(self.progress.step, "validation", loss)
        self.events.validation_done(self.progress.step, loss, is_best)
        if is_best and self.fabric.is_global_zero:
            self._write(self.folder / BEST, self._result(copy.deepcopy(average).cpu()))

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
