"""Recipes: all settings of a training run in one TOML file. A preset names a network; a recipe adds data and schedule.

``preset = "name"`` takes the values of a packaged preset; values of the recipe itself replace them. An unknown key is
refused with the list of valid names.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from runtime.config import Overlay
from runtime.errors import ConfigError
from training.data import PATHS, DataSection, Days, RecipeSection
from training.models import LSTMCNNConfig, SeamlessConfig
from training.presets import Preset, preset_names
from training.samples import Choices, Geometry, Samples, SampleSource, TrainingArchive


class SampleSection(Choices):
    """``[samples]``: the size of a sample, and what is hidden in it."""

    patch: int = Field(default=40, ge=8)
    """Cells with labels along each axis; not used by the recurrent kind, whose patch is its tile."""
    context: int = Field(default=0, ge=0)
    """Cells around the patch that the network reads; not used by the 3-D network, whose context is its halo."""
    sequence: int = Field(default=7, ge=2)
    """Days in a sample of the recurrent kind."""


class TrainingSchedule(RecipeSection):
    """``[schedule]``: the length of the training, the optimiser and the loss."""

    steps: int | None = Field(default=None, ge=1)
    """Optimiser steps; give this or `epochs`."""
    epochs: int | None = Field(default=None, ge=1)
    """Passes over all places that samples can come from."""
    batch: int = Field(default=16, ge=1)
    """Samples per step, over all processes."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Largest learning rate."""
    halve_every: int = Field(default=0, ge=0)
    """Epochs after which the learning rate is halved, as published; with 0 it rises in a short warm-up and then falls
    along a cosine to 1 %."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Weight decay of AdamW; 0 is Adam, as published."""
    eta: float = Field(default=0.1, ge=0)
    """Weight of the loss's global term, as published; not used by `seamless`, whose loss counts hidden cells only."""
    sigma_weight: float = Field(default=0.1, ge=0)
    """Weight of the loss of sigma, for a network that has one."""
    clip: float = Field(default=1.0, ge=0)
    """Largest norm of the gradient; with 0 it is not limited, as published."""
    truncate: int = Field(default=0, ge=0)
    """Days that gradients flow back through the recurrent kind; 0 is the whole sequence."""
    average: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the running mean of the weights, which is the result; with 0 the last weights are the result."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Number type of the computation, in the words of Lightning Fabric."""
    validate_every: int = Field(default=0, ge=0)
    """Steps from one validation to the next; 0 is no validation."""
    patience: int = Field(default=0, ge=0)
    """Validations in a row without a better loss after which training stops; 0 trains to the end."""
    keep_every: int = Field(default=100, ge=1)
    """Steps between the saves that a killed run is resumed from."""
    seed: int = 0
    """Seed of the first weights and of the samples."""

    @model_validator(mode="after")
    def _has_a_length(self) -> TrainingSchedule:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give steps or epochs, one of them")
        return self


class Recipe(RecipeSection):
    """All settings of a training run."""

    model: dict[str, Any]
    """`kind` and the sizes of the network; see `training.models`."""
    bundle: dict[str, Any]
    """Settings that the bundle needs; see `training.presets.Preset`."""
    samples: SampleSection = SampleSection()
    schedule: TrainingSchedule
    data: tuple[DataSection, ...] = ()
    limits: str = ""
    """What the result must not be used for, besides what every model card says; part of the model card."""

    @field_validator("data")
    @classmethod
    def _only_with_weight(cls, data: tuple[DataSection, ...]) -> tuple[DataSection, ...]:
        return tuple(section for section in data if section.weight)

    @property
    def preset(self) -> Preset:
        """The configuration of the network and of its bundle."""
        return Preset.from_dict({"model": self.model, "bundle": self.bundle})

    def geometry(self) -> Geometry:
        """Return the size of a sample of this network."""
        config, samples = self.preset.model, self.samples
        if isinstance(config, LSTMCNNConfig):
            return Geometry(config.tile, 0, samples.sequence, None)
        if isinstance(config, SeamlessConfig):
            return Geometry(samples.patch, samples.context, config.window, config.before)
        return Geometry(samples.patch, config.halo, config.window, config.window // 2)

    def training_samples(self, archives: Sequence[TrainingArchive]) -> Samples:
        """Return the samples to train on, from the opened archives of `data`, in order."""
        sources = [_sample_source(a, d, d.targets) for a, d in zip(archives, self.data, strict=True)]
        return Samples(sources, self.geometry(), self.samples, self.schedule.seed)

    def validation_samples(self, archives: Sequence[TrainingArchive]) -> Samples | None:
        """Return the samples to validate on, none of them simulated; None if no source names days to validate on."""
        sources = [
            _sample_source(a, d, d.validate_days) for a, d in zip(archives, self.data, strict=True) if d.validate_days
        ]
        real = self.samples.model_copy(update={"simulated_first": 0, "simulated": 0.0})
        return Samples(sources, self.geometry(), real, self.schedule.seed + 1) if sources else None


def _sample_source(archive: TrainingArchive, data: DataSection, days: Days | None) -> SampleSource:
    first, last = days or (None, None)
    return SampleSource(archive, first, last, data.weight)


def recipe_names() -> list[str]:
    """Return the names of the packaged recipes."""
    folder = resources.files("training") / "recipes"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def load_recipe(name: str, overrides: Sequence[str] = (), data_root: Path = Path()) -> Recipe:
    """Read a packaged recipe or preset by its name, or any recipe by its path.

    Parameters
    ----------
    name : str
        A packaged recipe or preset, or the path of a ``.toml`` file.
    overrides : sequence of str
        Values as ``section.key=value``, which replace those of the file.
    data_root : Path
        Folder that the paths `granules`, `rain`, `archive` and `record` are relative to.

    Returns
    -------
    Recipe
        The recipe.

    Raises
    ------
    ConfigError
        There is no such recipe, it is not valid TOML, or a key or value is not valid.
    """
    values = _read_recipe(name)
    base = values.pop("preset", None)
    if base is not None:
        values = _merge(_read_recipe(str(base)), values)
    overlay = Overlay(values, name)
    for override in overrides:
        overlay.set_option(override, "schedule.batch=8")
    values.setdefault("data", [])
    for source in values["data"]:
        for key in PATHS:
            if key in source:
                source[key] = str(data_root / source[key])
    try:
        recipe = Recipe.model_validate(values)
        _ = recipe.preset
    except ValidationError as error:
        raise ConfigError(overlay.explain(error, Recipe)) from error
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error
    return recipe


def _read_recipe(name: str) -> dict[str, Any]:
    folder = Path(str(resources.files("training")))
    candidates = (
        [Path(name)]
        if name.endswith(".toml")
        else [folder / "recipes" / f"{name}.toml", folder / "presets" / f"{name}.toml"]
    )
    for path in candidates:
        if path.is_file():
            try:
                return tomllib.loads(path.read_text())
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise ConfigError(f"{path}: is not valid TOML: {error}") from error
    raise ConfigError(
        f"no recipe {name!r}; packaged recipes: {', '.join(recipe_names())}; presets: {', '.join(preset_names())}; "
        "or give a .toml file"
    )


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `over`, section by section."""
    merged = {**base, **over}
    for key in base.keys() & over.keys():
        if isinstance(base[key], dict) and isinstance(over[key], dict):
            merged[key] = _merge(base[key], over[key])
    return merged
