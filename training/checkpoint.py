"""Checkpoints: the weights of a network and its preset, in one safetensors file (no pickle)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file

from runtime.common import digest
from training.models import Model, build_network
from training.presets import Preset


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
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    weights = {name: value.detach().contiguous() for name, value in checkpoint.model.state_dict().items()}
    metadata = {"preset": json.dumps(checkpoint.preset.to_dict()), "record": json.dumps(checkpoint.record)}
    save_file(weights, part, metadata=metadata)
    part.replace(path)


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
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            preset = Preset.from_dict(json.loads(metadata["preset"]))
            model = build_network(preset.model)
            model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, RuntimeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a checkpoint of this package: {error}") from error
    return Checkpoint(model.eval(), preset, json.loads(metadata.get("record", "{}")))
