"""Fitting a network to samples, on one processor or on many, so that a killed run goes on where it was."""

from __future__ import annotations

import copy
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from runtime.common import digest
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.log import ScalarLog
from training.losses import Objective, alone
from training.models import build_network
from training.recipe import Recipe, TrainingSchedule
from training.samples import Batch, Samples, TrainingArchive

RESUME, BEST, LAST = "resume.safetensors", "best.safetensors", "last.safetensors"
_VALIDATION = 256
"""Samples that are looked at to validate."""


class TrainingEvents:
    """Told how training goes; the base class keeps silent."""

    def on_start(self, step: int, steps: int) -> None:
        """Hear where training starts, not 0 for a run that goes on, and where it ends."""

    def on_step(self, step: int, loss: float) -> None:
        """Hear the loss of a step."""

    def on_validation(self, step: int, loss: float, best: bool) -> None:
        """Hear the loss on the validation days."""


@dataclass
class TrainingProgress:
    """Where a run stands."""

    step: int = 0
    best: float = math.inf
    since_best: int = 0
    """Looks at the validation days since the best one."""


class _Numbered(Dataset[list[Tensor]]):
    """Batches by step: `Samples` cut into steps, and each step into equal parts for the processes."""

    def __init__(self, samples: Samples, batch: int, rank: int, processes: int) -> None:
        self._samples, self._batch, self._rank, self._processes = samples, batch, rank, processes

    def __getitem__(self, step: int) -> list[Tensor]:
        part = self._batch // self._processes
        return tensors(self._samples.batch(step * self._batch + self._rank * part, part))


def tensors(batch: Batch) -> list[Tensor]:
    """Return a batch's fields as tensors, in order."""
    return [torch.from_numpy(getattr(batch, f.name)) for f in fields(batch)]


def rate(schedule: TrainingSchedule, step: int, steps: int, epoch: int) -> float:
    """Return the learning rate of a step, counted from 0; `epoch` is the steps of one pass over the samples."""
    if schedule.halve_every:
        return schedule.learning_rate * 0.5 ** (step // (schedule.halve_every * epoch))
    warm_up = max(1, steps // 20)
    if step < warm_up:
        return schedule.learning_rate * (step + 1) / warm_up
    along = (step - warm_up) / max(1, steps - warm_up)
    return schedule.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * along)))


def make_fabric(precision: str = "32-true") -> Fabric:
    """Return the processes that take part: all that `torchrun` started, else this one on its best device."""
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
    """One training run in its folder.

    Parameters
    ----------
    folder : Path
        Where logs, the state to go on from and the result are kept.
    recipe : Recipe
    records : the recipe's data, opened
    workers : int
        Processes that draw samples; 0 draws in this one.

    Raises
    ------
    ValueError
        The folder holds a run of another recipe, or the batch does not divide over the processes.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        records: list[TrainingArchive],
        *,
        workers: int = 0,
        listener: TrainingEvents | None = None,
    ) -> None:
        self.folder, self.recipe, self.records, self.workers = folder, recipe, records, workers
        self.listener = listener or TrainingEvents()
        said = recipe.model_dump(mode="json", exclude={"limits": True, "data": {"__all__": _PLACES}})
        self.identity = digest.of_values(said, [record.source for record in records])
        schedule = recipe.schedule
        self.samples = recipe.training_samples(records)
        self.validation = recipe.validation_samples(records) if schedule.validate_every else None
        self.epoch = max(1, len(self.samples) // schedule.batch)
        self.steps = schedule.steps or (schedule.epochs or 1) * self.epoch
        self.progress = TrainingProgress()
        self.fabric = make_fabric(schedule.precision)
        if schedule.batch % self.fabric.world_size:
            raise ValueError(
                f"schedule.batch = {schedule.batch} does not divide over {self.fabric.world_size} processes"
            )

    def fit(self, start: Checkpoint | None = None) -> Checkpoint:
        """Train to the end, from where a killed run of the same recipe left off, and return the network.

        Parameters
        ----------
        start : Checkpoint, optional
            Weights to begin with instead of fresh ones.
        """
        schedule, fabric = self.recipe.schedule, self.fabric
        torch.manual_seed(schedule.seed)
        network = (
            copy.deepcopy(start.model).train().requires_grad_() if start else build_network(self.recipe.preset.model)
        )
        average = copy.deepcopy(network).eval().requires_grad_(False)
        objective: Any = Objective(
            network, schedule.eta, schedule.sigma_weight, schedule.truncate, share=self._share if self._many else alone
        )
        optimiser: Any = torch.optim.AdamW(
            network.parameters(), schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        objective, optimiser = fabric.setup(objective, optimiser)
        average.to(fabric.device)
        self._restore(network, average, optimiser)  # on the device already: the optimiser's moments follow its weights
        self.listener.on_start(self.progress.step, self.steps)
        with ScalarLog(self.folder, self.progress.step, fabric.is_global_zero) as log:
            for inputs in self._batches():
                if self._stops():
                    break
                step = self.progress.step
                for group in optimiser.param_groups:
                    group["lr"] = rate(schedule, step, self.steps, self.epoch)
                loss = objective(*(value.to(fabric.device) for value in inputs))
                optimiser.zero_grad()
                fabric.backward(loss)
                fabric.clip_gradients(objective, optimiser, max_norm=schedule.clip)
                optimiser.step()
                _update_average(
                    average, network, min(schedule.average, (step + 1) / (step + 20)) if schedule.average else 0.0
                )
                self.progress.step = step + 1
                value = float(self._share(loss))
                log.write(step + 1, "loss", value)
                self.listener.on_step(step + 1, value)
                if self.validation and self.progress.step % schedule.validate_every == 0:
                    self._validate(self.validation, average, log)
                if self.progress.step % schedule.keep_every == 0:
                    log.flush()
                    self._keep(network, average, optimiser)
        self._keep(network, average, optimiser)
        result = Checkpoint(average.cpu().eval(), self.recipe.preset, self.record())
        if self.validation and schedule.patience and (self.folder / BEST).exists():
            result = load_checkpoint(self.folder / BEST)
        if fabric.is_global_zero:
            save_checkpoint(self.folder / LAST, result)
        fabric.barrier()
        return result

    def record(self) -> dict[str, Any]:
        """Return what a bundle's training record says."""
        data = [
            {
                "source": record.source,
                **({"targets": [str(day) for day in source.targets]} if source.targets else {}),
                **({"weight": source.weight} if len(self.records) > 1 else {}),
            }
            for record, source in zip(self.records, self.recipe.data, strict=True)
        ]
        return {
            "data": data,
            "steps": self.progress.step,
            "schedule": self.recipe.schedule.model_dump(mode="json", exclude_none=True),
            "samples": self.recipe.samples.model_dump(mode="json"),
            "limits": self.recipe.limits,
        }

    @property
    def _many(self) -> bool:
        return self.fabric.world_size > 1

    def _share(self, value: Tensor) -> Tensor:
        shared: Tensor = self.fabric.all_reduce(value.detach(), reduce_op="mean")  # type: ignore[assignment]
        return shared

    def _stops(self) -> bool:
        patience = self.recipe.schedule.patience
        return bool(patience) and self.progress.since_best >= patience

    def _batches(self) -> Iterator[list[Tensor]]:
        fabric = self.fabric
        data = _Numbered(self.samples, self.recipe.schedule.batch, fabric.global_rank, fabric.world_size)
        steps = range(self.progress.step, self.steps)
        yield from DataLoader(
            data, batch_size=None, sampler=steps, num_workers=self.workers, prefetch_factor=4 if self.workers else None
        )

    def _validate(self, samples: Samples, average: torch.nn.Module, log: ScalarLog) -> None:
        """Look at the validation days; every process looks at all of them, and so all agree when to stop."""
        schedule = self.recipe.schedule
        objective = Objective(average, schedule.eta, schedule.sigma_weight)  # type: ignore[arg-type]
        losses = []
        with torch.inference_mode():
            for first in range(0, _VALIDATION, 16):
                inputs = tensors(samples.batch(first, 16))
                losses.append(float(objective(*(value.to(self.fabric.device) for value in inputs))))
        loss = float(np.mean(losses))
        better = loss < self.progress.best
        self.progress.best = min(loss, self.progress.best)
        self.progress.since_best = 0 if better else self.progress.since_best + 1
        log.write(self.progress.step, "validation", loss)
        self.listener.on_validation(self.progress.step, loss, better)
        if better and self.fabric.is_global_zero:
            kept = Checkpoint(copy.deepcopy(average).cpu(), self.recipe.preset, self.record())  # type: ignore[arg-type]
            save_checkpoint(self.folder / BEST, kept)

    def _keep(self, network: torch.nn.Module, average: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Save everything that the next step depends on, whole or not at all."""
        if self.fabric.is_global_zero:
            state = {f"network.{name}": value for name, value in network.state_dict().items()}
            state |= {f"average.{name}": value for name, value in average.state_dict().items()}
            for index, values in optimiser.state_dict()["state"].items():
                state |= {f"optimiser.{index}.{name}": value for name, value in values.items()}
            scaler = self.fabric.strategy.precision.state_dict()  # what 16-mixed multiplies its loss by
            meta = {
                "identity": self.identity,
                "progress": json.dumps(vars(self.progress)),
                "scaler": json.dumps(scaler),
            }
            part = self.folder / f"{RESUME}.part"
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file({name: value.detach().cpu().contiguous() for name, value in state.items()}, part, metadata=meta)
            part.replace(self.folder / RESUME)
        self.fabric.barrier()

    def _restore(self, network: torch.nn.Module, average: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
        path = self.folder / RESUME
        if not path.exists():
            return
        try:
            with safe_open(path, framework="pt") as file:
                meta = file.metadata()
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise ValueError(f"{path} cannot be read ({error}); delete {self.folder} to start over") from error
        if meta["identity"] != self.identity:
            raise ValueError(f"{self.folder} holds a run of another recipe; choose another --out, or delete it")

        def part(head: str) -> dict[str, Tensor]:
            return {name.removeprefix(head): value for name, value in state.items() if name.startswith(head)}

        network.load_state_dict(part("network."))
        average.load_state_dict(part("average."))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in part("optimiser.").items():
            index, _, key = name.partition(".")
            moments.setdefault(int(index), {})[key] = value
        optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
        self.fabric.strategy.precision.load_state_dict(json.loads(meta["scaler"]))
        self.progress = TrainingProgress(**json.loads(meta["progress"]))


_PLACES = {"granules", "rain", "record"}
"""Where data lies does not change what a run is."""


@torch.no_grad()
def _update_average(average: torch.nn.Module, network: torch.nn.Module, decay: float) -> None:
    """Move the running mean of the weights a step towards the network's; decay 0 copies them."""
    for mean, value in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, 1 - decay)
