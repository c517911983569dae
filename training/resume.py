"""The saved state of a training run, from which a killed run is resumed: one safetensors file (no pickle)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

RESUME = "resume.safetensors"


@dataclass(frozen=True)
class TrainingProgress:
    """How far a run is."""

    step: int = 0
    """Steps done."""
    best: float = math.inf
    """Smallest loss on the validation days."""
    since_best: int = 0
    """Validations since the one with the smallest loss."""

    def after_step(self) -> TrainingProgress:
        """Return the progress after one more step."""
        return replace(self, step=self.step + 1)

    def after_validation(self, loss: float) -> TrainingProgress:
        """Return the progress after a validation with this loss; `since_best` is 0 if it is the smallest so far."""
        if loss < self.best:
            return replace(self, best=loss, since_best=0)
        return replace(self, since_best=self.since_best + 1)


@dataclass(frozen=True)
class TrainingState:
    """Everything that the next step depends on."""

    network: nn.Module
    average: nn.Module
    """The network with the running mean of the weights."""
    optimiser: torch.optim.Optimizer


def save_state(
    folder: Path, state: TrainingState, *, identity: str, progress: TrainingProgress, scaler: dict[str, Any]
) -> None:
    """Save a run's state to a temporary file and rename it to its final name.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    state : TrainingState
        Weights and optimiser.
    identity : str
        Digest of the recipe and its data.
    progress : TrainingProgress
        How far the run is.
    scaler : dict
        State of the loss scaling of ``16-mixed``.
    """
    tensors = {f"network.{name}": value for name, value in state.network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in state.average.state_dict().items()}
    for index, moments in state.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value for name, value in moments.items()}
    metadata = {"identity": identity, "progress": json.dumps(vars(progress)), "scaler": json.dumps(scaler)}
    part = folder / f"{RESUME}.part"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, part, metadata=metadata)
    part.replace(folder / RESUME)


@dataclass(frozen=True)
class SavedState:
    """What `save_state` has saved."""

    tensors: dict[str, Tensor]
    progress: TrainingProgress
    scaler: dict[str, Any]

    def load_into(self, state: TrainingState) -> None:
        """Overwrite weights and optimiser."""
        state.network.load_state_dict(_with_prefix(self.tensors, "network."))
        state.average.load_state_dict(_with_prefix(self.tensors, "average."))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _with_prefix(self.tensors, "optimiser.").items():
            index, _, key = name.partition(".")
            moments.setdefault(int(index), {})[key] = value
        state.optimiser.load_state_dict({**state.optimiser.state_dict(), "state": moments})


def read_state(folder: Path, identity: str) -> SavedState | None:
    """Read what a run has saved.

    Parameters
    ----------
    folder : Path
        Folder of the run.
    identity : str
        Digest of the recipe and its data.

    Returns
    -------
    SavedState or None
        None if the folder holds no saved state.

    Raises
    ------
    ValueError
        The saved state cannot be read, or belongs to another recipe.
    """
    path = folder / RESUME
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read ({error}); delete {folder} to start over") from error
    if metadata["identity"] != identity:
        raise ValueError(
            f"{folder} holds a run of another recipe or from other weights; choose another --out, or delete it"
        )
    progress = TrainingProgress(**json.loads(metadata["progress"]))
    return SavedState(tensors, progress, json.loads(metadata["scaler"]))


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with `prefix`, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
