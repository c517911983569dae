"""Checkpoints: weights and the preset they belong to, in one safetensors file (no pickle)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from training.models import Model, build_network
from training.presets import Preset


@dataclass(frozen=True)
class Checkpoint:
    """A network with its weights, its preset and the record of how it was trained."""

    model: Model
    preset: Preset
    record: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint beside its final name and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    weights = {k: v.detach().contiguous() for k, v in checkpoint.model.state_dict().items()}
    metadata = {"preset": json.dumps(checkpoint.preset.to_dict()), "record": json.dumps(checkpoint.record)}
    save_file(weights, partial, metadata=metadata)
    partial.replace(path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; the network comes back in evaluation mode.

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
