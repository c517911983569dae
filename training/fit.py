"""Train a network on samples, with one process or several; a stopped or killed run is resumed from its last save."""

from __future__ import annotations

import copy
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from runtime.common import digest
from training.checkpoint import Checkpoint, digest_of_weights, load_checkpoint, save_checkpoint
from training.data import PATHS
from training.events import TrainingEvents
from training.loop import TrainingLoop
from training.losses import Objective, alone
from training.models import build_network
from training.recipe import Recipe
from training.samples import Batch, Samples, TrainingArchive

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


class TrainingRun(TrainingLoop[Checkpoint]):
    """A training run of a network that fills days, in its folder.

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
        self.recipe, self.archives = recipe, archives
        # without the folders: the same data may lie in another one
        settings = recipe.model_dump(mode="json", exclude={"limits": True, "data": {"__all__": set(PATHS)}})
        identity = digest.of_values(settings, [archive.source for archive in archives])
        schedule = recipe.schedule
        self.samples = recipe.training_samples(archives)
        self.validation = recipe.validation_samples(archives) if schedule.validate_every else None
        self._start: Checkpoint | None = None
        super().__init__(folder, schedule, identity, len(self.samples), workers=workers, events=events)

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
        if start:
            self._start = start
            self.identity = digest.of_values(self.identity, digest_of_weights(start))
        return self._run()

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
            **({"started_from": self._start.record} if self._start else {}),
        }

    def _make_network(self) -> torch.nn.Module:
        if self._start:
            return copy.deepcopy(self._start.model).train().requires_grad_()
        return build_network(self.recipe.preset.model)

    def _objective(self, network: torch.nn.Module, *, training: bool) -> torch.nn.Module:
        schedule = self.schedule
        several = training and self.fabric.world_size > 1
        return Objective(
            network,  # type: ignore[arg-type]
            eta=schedule.eta,
            sigma_weight=schedule.sigma_weight,
            truncate=schedule.truncate if training else 0,
            share=self._mean_over_processes if several else alone,
        )

    def _batches_by_step(self) -> Dataset[list[Tensor]]:
        return _NumberedBatches(self.samples, self.schedule.batch, self.fabric.global_rank, self.fabric.world_size)

    def _validation_loss(self, average: torch.nn.Module) -> float | None:
        if self.validation is None:
            return None
        objective = self._objective(average, training=False)
        losses = []
        with torch.inference_mode():
            for first in range(0, _VALIDATION, 16):
                inputs = to_tensors(self.validation.batch(first, 16))
                losses.append(float(objective(*(value.to(self.fabric.device) for value in inputs))))
        return float(np.mean(losses))

    def _result(self, average: torch.nn.Module) -> Checkpoint:
        return Checkpoint(average, self.recipe.preset, self.record())  # type: ignore[arg-type]

    def _write(self, path: Path, result: Checkpoint) -> None:
        save_checkpoint(path, result)

    def _load(self, path: Path) -> Checkpoint:
        return load_checkpoint(path)
