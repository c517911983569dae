"""Checkpoints: the weights of a network and its preset, in one safetensors file (no pickle)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file
from torch import nn

from runtime.common import digest
from training.models import Model, build_network
from training.presets import Preset

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Checkpoint:
    """A network with its weights, its preset and the record of its training."""

    model: Model
    preset: Preset
    record: dict[str, Any] = field(default_factory=dict)
    """How the weights were trained, as `training.fit.TrainingRun.record` returns it; empty for random weights."""


def digest_of_weights(checkpoint: Checkpoint) -> str:
    """Return the sha256 of a network's weights and buffers."""
    return digest.of_bytes(save({name: value.contiguous() for name, value in checkpoint.model.state_dict().items()}))


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint to a temporary file and rename it to its final name.

    Parameters
    ----------
    path : Path
        The file to write; missing folders are created.
    checkpoint : Checkpoint
        What to write.
    """
    metadata = {"preset": json.dumps(checkpoint.preset.to_dict()), "record": json.dumps(checkpoint.record)}
    write_weights(path, checkpoint.model, metadata)


def write_weights(path: Path, model: nn.Module, metadata: dict[str, str]) -> None:
    """Write weights and metadata to a temporary file and rename it to its final name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    save_file(
        {name: value.detach().contiguous() for name, value in model.state_dict().items()}, part, metadata=metadata
    )
    part.replace(path)


def read_weights(path: Path, build: Callable[[dict[str, str]], M]) -> tuple[M, dict[str, str]]:
    """Read a file that `write_weights` wrote.

    Parameters
    ----------
    path : Path
        The file.
    build : callable
        Returns the network of the metadata, with any weights.

    Returns
    -------
    model : Module
        The network with its weights, in evaluation mode.
    metadata : dict
        The metadata.

    Raises
    ------
    ValueError
        The file is not a checkpoint, or its weights do not fit the network.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            model = build(metadata)
            model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, RuntimeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a checkpoint of this package: {error}") from error
    model.eval()
    return model, metadata


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; the network is in evaluation mode.

    Parameters
    ----------
    path : Path
        A file that `save_checkpoint` wrote.

    Returns
    -------
    Checkpoint
        The network with its weights, its preset and its training record.

    Raises
    ------
    ValueError
        The file is not a checkpoint, or its weights do not fit its preset.
    """
    model, metadata = read_weights(path, lambda found: build_network(_preset_of(found).model))
    return Checkpoint(model, _preset_of(metadata), json.loads(metadata.get("record", "{}")))


def _preset_of(metadata: dict[str, str]) -> Preset:
    return Preset.from_dict(json.loads(metadata["preset"]))
