"""The settings of a training run of a retrieval, and the rows of the published table as presets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field, ValidationError

from runtime.config import Overlay
from runtime.errors import ConfigError
from runtime.retrieval.stacks import Source
from training.data import RecipeSection
from training.fusion.examples import SplitRule
from training.models.fusion import FusionConfig
from training.recipe import TrainingSchedule

_FIRST = (Source.SENTINEL_1, Source.DEM)
PRESETS: dict[str, tuple[Source, ...]] = {
    "smap-gldas": (Source.SMAP, Source.GLDAS),
    "s1-dem": _FIRST,
    "s1-dem-s2": (*_FIRST, Source.SENTINEL_2),
    "s1-dem-s2-soil": (*_FIRST, Source.SENTINEL_2, Source.SOIL_GRIDS),
    "all": tuple(Source),
}
"""The sources of each row of the published table that is a network, by name; the first is what the others are compared
with."""


class FusionSection(RecipeSection):
    """``[model]``: what the network reads, and its sizes; see `FusionConfig`."""

    sources: tuple[Source, ...] = Field(default=tuple(Source), min_length=1)
    size: int = Field(default=256, ge=32, le=512)
    maps: tuple[int, ...] = Field(default=FusionConfig.maps, min_length=1)
    width: int = Field(default=32, ge=1)

    def config(self) -> FusionConfig:
        """Return the configuration of the network."""
        return FusionConfig(self.sources, self.size, self.maps, self.width)


class SplitSection(RecipeSection):
    """``[split]``: which stations are kept back; see `SplitRule`."""

    seed: int = 0
    validation: float = Field(default=0.15, ge=0, lt=0.5)
    test: float = Field(default=0.15, ge=0, lt=0.5)

    def rule(self) -> SplitRule:
        """Return the rule."""
        return SplitRule(self.seed, self.validation, self.test)


class FusionRecipe(RecipeSection):
    """All settings of a training run of a retrieval."""

    model: FusionSection = FusionSection()
    split: SplitSection = SplitSection()
    schedule: TrainingSchedule = TrainingSchedule(epochs=30, batch=32, learning_rate=2e-3, average=0.99)
    drop_source: float = Field(default=0.1, ge=0, lt=1)
    """How often a source is taken from an example, so that the network learns to go without."""
    limits: str = ""
    """What the result must not be used for; part of the model card."""


def fusion_recipe(preset: str, overrides: Sequence[str] = ()) -> FusionRecipe:
    """Return the recipe of a preset.

    Parameters
    ----------
    preset : str
        One of `PRESETS`.
    overrides : sequence of str
        Values as ``section.key=value``.

    Returns
    -------
    FusionRecipe
        The recipe.

    Raises
    ------
    ConfigError
        There is no such preset, or a key or value is not valid.
    """
    if preset not in PRESETS:
        raise ConfigError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
    values: dict[str, Any] = FusionRecipe().model_dump(mode="json", exclude_none=True)
    values["model"]["sources"] = list(PRESETS[preset])
    overlay = Overlay(values, f"preset {preset}")
    for override in overrides:
        if override.startswith("schedule.steps="):
            values["schedule"].pop("epochs", None)
        overlay.set_option(override, "schedule.batch=8")
    try:
        return FusionRecipe.model_validate(values)
    except ValidationError as error:
        raise ConfigError(overlay.explain(error, FusionRecipe)) from error
