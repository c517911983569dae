"""Presets: a TOML file that names a network, its sizes, and what the runtime must know of its bundle."""

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
    """The configuration of a network, and the settings that its bundle needs."""

    model: ModelConfig
    tile_core: int
    """Cells that the runtime fills per tile, along each axis."""
    batch: int
    """Tiles per engine call."""
    spin_up_days: int = 0
    """Days that a recurrent network reads before the archive's first day, to fill its memory."""

    def to_dict(self) -> dict[str, Any]:
        """Return the preset as plain values, the form that `from_dict` reads."""
        return {
            "model": {"kind": self.model.kind, **vars(self.model)},
            "bundle": {"tile_core": self.tile_core, "batch": self.batch, "spin_up_days": self.spin_up_days},
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preset:
        """Read a preset from plain values.

        Parameters
        ----------
        values : dict
            With the sections ``model`` (`kind` and sizes) and ``bundle``.

        Returns
        -------
        Preset
            The preset.

        Raises
        ------
        ValueError
            The kind is unknown, or a key is unknown or missing.
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
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def load_preset(name: str) -> Preset:
    """Read a packaged preset by its name, or any preset by its path.

    Parameters
    ----------
    name : str
        A packaged preset, or the path of a ``.toml`` file.

    Returns
    -------
    Preset
        The preset.

    Raises
    ------
    ValueError
        There is no such preset, or its values are not valid.
    """
    path = Path(name) if name.endswith(".toml") else Path(str(resources.files("training") / "presets" / f"{name}.toml"))
    if not path.is_file():
        raise ValueError(f"no preset {name!r}; packaged presets: {', '.join(preset_names())}, or give a .toml file")
    return Preset.from_dict(tomllib.loads(path.read_text()))
