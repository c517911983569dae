"""Presets: a TOML file that names a network, its sizes, and what its bundle is for."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from training.models import LSTMCNNConfig, ModelConfig, SeamlessConfig, STPCNNConfig

_KINDS: dict[str, type[STPCNNConfig] | type[LSTMCNNConfig] | type[SeamlessConfig]] = {
    config.kind: config for config in (STPCNNConfig, LSTMCNNConfig, SeamlessConfig)
}


@dataclass(frozen=True)
class Preset:
    """A network's configuration and the choices its bundle carries."""

    model: ModelConfig
    tile_core: int
    """Cells the runtime fills per tile and axis."""
    batch: int
    """Tiles per engine call."""
    spin_up_days: int = 0
    """Days before the archive's start that warm the memory up (recurrent kind)."""

    def to_dict(self) -> dict[str, Any]:
        """Return the preset as plain values, the form `from_dict` takes."""
        return {
            "model": {"kind": self.model.kind, **vars(self.model)},
            "bundle": {"tile_core": self.tile_core, "batch": self.batch, "spin_up_days": self.spin_up_days},
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preset:
        """Read a preset from plain values.

        Raises
        ------
        ValueError
            An unknown kind, an unknown or a missing key.
        """
        model = dict(values.get("model", {}))
        kind = model.pop("kind", None)
        if kind not in _KINDS:
            raise ValueError(f"model.kind is {kind!r}; known kinds: {', '.join(_KINDS)}")
        try:
            return cls(model=_KINDS[kind](**model), **values.get("bundle", {}))
        except TypeError as error:
            raise ValueError(f"preset of kind {kind}: {error}") from None


def preset_names() -> list[str]:
    """Return the names of the packaged presets."""
    folder = resources.files("training") / "presets"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def load_preset(name: str) -> Preset:
    """Read a packaged preset by name, or any preset by path.

    Raises
    ------
    ValueError
        There is no such preset, or it does not parse.
    """
    path = Path(name) if name.endswith(".toml") else Path(str(resources.files("training") / "presets" / f"{name}.toml"))
    if not path.is_file():
        raise ValueError(f"no preset {name!r}; packaged presets: {', '.join(preset_names())}, or give a .toml file")
    return Preset.from_dict(tomllib.loads(path.read_text()))
