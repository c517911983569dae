"""Train a retrieval on packed examples; a stopped or killed run is resumed from its last save."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from runtime.common import digest
from runtime.common.text import counted
from training.checkpoint import read_weights, write_weights
from training.events import TrainingEvents
from training.fusion.examples import PackedExamples, Split, station_of
from training.fusion.recipe import FusionRecipe, FusionSection
from training.loop import TrainingLoop
from training.models.fusion import Fusion

_SCALED_ON = 256
"""Examples that the spread of each field is taken from."""
_AT_ONCE = 32
"""Examples of a batch of a validation."""


@dataclass(frozen=True)
class FusionCheckpoint:
    """A retrieval with its weights and the record of its training."""

    model: Fusion
    record: dict[str, Any] = field(default_factory=dict)
    """How the weights were trained; empty for random weights."""


def save_fusion(path: Path, checkpoint: FusionCheckpoint) -> None:
    """Write a checkpoint; see `training.checkpoint.write_weights`."""
    config = checkpoint.model.config
    metadata = {"fusion": json.dumps({**vars(config)}), "record": json.dumps(checkpoint.record)}
    write_weights(path, checkpoint.model, metadata)


def load_fusion(path: Path) -> FusionCheckpoint:
    """Read a checkpoint.

    Raises
    ------
    ValueError
        The file is not a checkpoint of a retrieval.
    """
    model, metadata = read_weights(
        path, lambda found: Fusion(FusionSection.model_validate(json.loads(found["fusion"])).config())
    )
    return FusionCheckpoint(model, json.loads(metadata.get("record", "{}")))


class _SquaredError(nn.Module):
    """The mean squared error, in units of the labels' variance."""

    def __init__(self, network: nn.Module, variance: float) -> None:
        super().__init__()
        self.network, self.variance = network, variance

    def forward(self, labels: Tensor, *inputs: Tensor) -> Tensor:
        loss: Tensor = ((self.network(*inputs) - labels) ** 2).mean() / self.variance
        return loss


class _Batches(Dataset[list[Tensor]]):
    """Batches by step: the labels, then the inputs. Each pass over the examples has an order of its own."""

    def __init__(
        self, examples: PackedExamples, numbers: np.ndarray, recipe: FusionRecipe, rank: int, processes: int
    ) -> None:
        self._examples, self._numbers, self._recipe = examples, numbers, recipe
        self._rank, self._processes = rank, processes

    def __getitem__(self, step: int) -> list[Tensor]:
        schedule = self._recipe.schedule
        part = schedule.batch // self._processes
        first = step * schedule.batch + self._rank * part
        chosen = [self._number(each) for each in range(first, first + part)]
        inputs = self._examples.take(chosen)
        config = self._recipe.model.config()
        rng = np.random.default_rng((schedule.seed, 1, first))
        for name, places in config.groups().items():
            for place in places:
                inputs[name][rng.random(part) < self._recipe.drop_source, ..., place] = 0.0
        labels = torch.from_numpy(self._examples.labels[chosen])
        return [labels, *(torch.from_numpy(inputs[each.name]) for each in config.inputs())]

    def _number(self, place: int) -> int:
        epoch, index = divmod(place, len(self._numbers))
        order = np.random.default_rng((self._recipe.schedule.seed, 0, epoch)).permutation(len(self._numbers))
        return int(self._numbers[order[index]])


class FusionRun(TrainingLoop[FusionCheckpoint]):
    """A training run of a retrieval, in its folder.

    Parameters
    ----------
    folder : Path
        Folder of the log, the saved state and the result.
    recipe : FusionRecipe
        The settings.
    examples : PackedExamples
        The labelled examples, of all splits.
    source : str
        What they are, in words.
    workers : int
        Number of processes that read examples; with 0 this process reads them.
    events : TrainingEvents, optional
        Receives the progress.

    Raises
    ------
    ValueError
        No station is left to train on.
    """

    def __init__(
        self,
        folder: Path,
        recipe: FusionRecipe,
        examples: PackedExamples,
        source: str,
        *,
        workers: int = 0,
        events: TrainingEvents | None = None,
    ) -> None:
        self.recipe, self.examples, self.source = recipe, examples, source
        rule = recipe.split.rule()
        self.numbers = {split: examples.of_split(rule, split) for split in Split}
        if not self.numbers[Split.TRAINING].size:
            raise ValueError("no station is left to train on; set split.validation and split.test lower, or split.seed")
        labels = digest.of_field(examples.labels)
        identity = digest.of_values(recipe.model_dump(mode="json", exclude={"limits"}), examples.sensors, labels)
        size = len(self.numbers[Split.TRAINING])
        super().__init__(folder, recipe.schedule, identity, size, workers=workers, events=events)

    def fit(self) -> FusionCheckpoint:
        """Train to the end, from the last save of a killed run with the same recipe and examples if there is one.

        Raises
        ------
        ValueError
            The folder holds a run of another recipe, or a saved state that cannot be read.
        TrainingStopped
            SIGTERM came; the state after the last step is saved.
        """
        return self._run()

    def stations(self, split: Split) -> int:
        """Return the number of stations of a split."""
        return len({station_of(self.examples.sensors[number]) for number in self.numbers[split]})

    def _make_network(self) -> nn.Module:
        network = Fusion(self.recipe.model.config())
        numbers = self.numbers[Split.TRAINING]
        shown = numbers[np.linspace(0, len(numbers) - 1, min(_SCALED_ON, len(numbers))).astype(int)]
        inputs = {name: torch.from_numpy(values) for name, values in self.examples.take(shown).items()}
        network.scale_to(inputs, torch.from_numpy(self.examples.labels[numbers]))
        return network

    def _objective(self, network: nn.Module, *, training: bool) -> nn.Module:
        variance = float(self.examples.labels[self.numbers[Split.TRAINING]].var())
        return _SquaredError(network, max(variance, 1e-6))

    def _batches_by_step(self) -> Dataset[list[Tensor]]:
        numbers = self.numbers[Split.TRAINING]
        return _Batches(self.examples, numbers, self.recipe, self.fabric.global_rank, self.fabric.world_size)

    def _validation_loss(self, average: nn.Module) -> float | None:
        numbers, config = self.numbers[Split.VALIDATION], self.recipe.model.config()
        if not numbers.size:
            return None
        objective, total = self._objective(average, training=False), 0.0
        with torch.inference_mode():
            for first in range(0, len(numbers), _AT_ONCE):
                chosen = numbers[first : first + _AT_ONCE]
                inputs = self.examples.take(chosen)
                tensors = [self.examples.labels[chosen], *(inputs[each.name] for each in config.inputs())]
                loss = objective(*(torch.from_numpy(each).to(self.fabric.device) for each in tensors))
                total += float(loss) * len(chosen)
        return total / len(numbers)

    def _result(self, average: nn.Module) -> FusionCheckpoint:
        record = {
            "data": self.source,
            "stations": {split.value: self.stations(split) for split in Split},
            "examples": {split.value: len(self.numbers[split]) for split in Split},
            "steps": self.progress.step,
            **self.recipe.model_dump(mode="json", exclude={"model"}, exclude_none=True),
        }
        assert isinstance(average, Fusion)
        return FusionCheckpoint(average, record)

    def _write(self, path: Path, result: FusionCheckpoint) -> None:
        save_fusion(path, result)

    def _load(self, path: Path) -> FusionCheckpoint:
        return load_fusion(path)


def split_text(run: FusionRun) -> str:
    """Return how many examples and stations each split has."""
    return "; ".join(
        f"{split}: {counted(len(run.numbers[split]), 'example')} of {counted(run.stations(split), 'station')}"
        for split in Split
    )
