"""Recipes: everything that makes a run, in one TOML file. A preset names a network; a recipe adds data and schedule.

``preset = "name"`` starts from a packaged preset; what the recipe says itself wins. An unknown key is refused with the
names that would be valid.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from runtime.common import digest
from runtime.common.events import Progress
from runtime.common.grid import Grid
from runtime.common.sensors import PRODUCTS
from runtime.config import explain, put
from runtime.errors import ConfigError
from training.models import LSTMCNNConfig, SeamlessConfig
from training.presets import Preset, preset_names
from training.samples import Choices, Geometry, Samples, SampleSource, TrainingArchive
from training.samples.archive import META

Days = tuple[dt.date, dt.date]
"""First and last day, both included."""


class _RecipeSection(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SampleSection(Choices):
    """``[samples]``: what a sample is, and what is hidden in it."""

    patch: int = Field(default=40, ge=8)
    """Cells with labels, per axis; the recurrent kind's is its tile."""
    context: int = Field(default=0, ge=0)
    """Cells around them that the network sees; the 3-D network's is its halo."""
    sequence: int = Field(default=7, ge=2)
    """Days of a sample of the recurrent kind."""


class TrainingSchedule(_RecipeSection):
    """``[schedule]``: how long and how hard to train."""

    steps: int | None = Field(default=None, ge=1)
    """Optimiser steps; or say `epochs`."""
    epochs: int | None = Field(default=None, ge=1)
    """Passes over all places samples can come from."""
    batch: int = Field(default=16, ge=1)
    """Samples per step, over all processes."""
    learning_rate: float = Field(default=2e-3, gt=0)
    halve_every: int = Field(default=0, ge=0)
    """Epochs after which the rate halves, as published; 0 falls along a cosine to 1 % after a short warm-up."""
    weight_decay: float = Field(default=0.0, ge=0)
    """0 is Adam, as published."""
    eta: float = Field(default=0.1, ge=0)
    """Weight of the loss's global term, as published."""
    sigma_weight: float = Field(default=0.1, ge=0)
    clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    truncate: int = Field(default=0, ge=0)
    """Days that gradients flow back through the recurrent kind; 0 is the whole sequence."""
    average: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the running mean of the weights, which is what is kept; 0 keeps the last weights."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    validate_every: int = Field(default=0, ge=0)
    """Steps between looks at the validation days; 0 is never."""
    patience: int = Field(default=0, ge=0)
    """Looks without a better loss after which training stops; 0 goes on to the end."""
    keep_every: int = Field(default=100, ge=1)
    """Steps between saves that a killed run goes on from."""
    seed: int = 0

    @model_validator(mode="after")
    def _has_a_length(self) -> TrainingSchedule:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give steps or epochs, one of them")
        return self


class Data(_RecipeSection):
    """``[[data]]``: days to train on: granules, a record made before, or the synthetic world."""

    granules: Path | None = None
    """Folder of soil-moisture files, and of IMERG files unless `rain` names another."""
    rain: Path | None = None
    product: str = "lprm-amsr2"
    orbit: Literal["descending", "ascending"] = "descending"
    band: str = "x"
    record: Path | None = None
    """Folder that `python -m training record` wrote."""
    world: int | None = None
    """Seed of a synthetic world of the whole globe."""
    start: dt.date = dt.date(2020, 3, 1)
    """First day of the world."""
    days: int = Field(default=40, ge=1)
    """Days of the world."""
    retrieval_noise: float = Field(default=0.025, ge=0)
    """Spread of the world's instrument, m3 m-3."""
    targets: Days | None = None
    """Days that may carry labels; unset: all."""
    validate_days: Days | None = Field(default=None, alias="validate")
    """Days to validate on; they carry no labels in training unless `targets` includes them."""
    weight: float = Field(default=1.0, gt=0)
    """How often it is drawn from, beside the other sources."""

    @model_validator(mode="after")
    def _has_one_origin(self) -> Data:
        if sum(origin is not None for origin in (self.granules, self.record, self.world)) != 1:
            raise ValueError("give one of granules, record and world")
        if self.product not in PRODUCTS or self.band not in PRODUCTS[self.product].bands:
            known = ", ".join(f"{p.name} ({', '.join(p.bands)})" for p in PRODUCTS.values() if p.bands)
            raise ValueError(f"no product {self.product} with band {self.band}; there are {known}")
        return self

    def folder(self, cache: Path, grid: Grid) -> Path:
        """Return where the record is, or will be made."""
        if self.record is not None:
            return self.record
        made_from = {"world", "start", "days", "retrieval_noise"}
        if self.world is None:
            made_from = {"granules", "rain", "product", "orbit", "band"}
        files = [_listing(folder) for folder in (self.granules, self.rain) if folder is not None]
        origin = self.model_dump(mode="json", include=made_from)
        return cache / digest.of_values(origin, grid.digest, files)[:16]

    def open(self, cache: Path, grid: Grid, progress: Progress | None = None) -> TrainingArchive:
        """Return the record, made below `cache` if it is not there yet.

        Raises
        ------
        ValueError
            There are no files.
        """
        folder = self.folder(cache, grid)
        if self.record is not None or (folder / META).exists():
            return TrainingArchive.open(folder)
        if self.granules is not None:
            return TrainingArchive.of_granules(
                folder,
                self.granules,
                grid,
                rain=self.rain,
                product=self.product,
                orbit=self.orbit,
                band=self.band,
                progress=progress,
            )
        return TrainingArchive.of_world(
            folder,
            grid,
            seed=self.world or 0,
            first=self.start,
            days=self.days,
            retrieval_noise=self.retrieval_noise,
            progress=progress,
        )


def _listing(folder: Path) -> list[tuple[str, int, int]]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return [(str(p.relative_to(folder)), p.stat().st_size, p.stat().st_mtime_ns) for p in files]


class Recipe(_RecipeSection):
    """A whole run."""

    model: dict[str, Any]
    """`kind` and the sizes of the network; see `training.models`."""
    bundle: dict[str, Any]
    """What the runtime must know; see `training.presets.Preset`."""
    samples: SampleSection = SampleSection()
    schedule: TrainingSchedule
    data: tuple[Data, ...] = ()
    limits: str = ""
    """What the result must not be used for beyond what every card says; stands in the model card."""

    @property
    def preset(self) -> Preset:
        """The network and its bundle's choices."""
        return Preset.from_dict({"model": self.model, "bundle": self.bundle})

    def geometry(self) -> Geometry:
        """Return what a sample looks like."""
        config, samples = self.preset.model, self.samples
        if isinstance(config, LSTMCNNConfig):
            return Geometry(config.tile, 0, samples.sequence, None)
        context = samples.context if isinstance(config, SeamlessConfig) else config.halo
        return Geometry(samples.patch, context, config.window, config.window // 2)

    def training_samples(self, records: Sequence[TrainingArchive]) -> Samples:
        """Return the samples to train on."""
        sources = [_sample_source(r, d, d.targets) for r, d in zip(records, self.data, strict=True)]
        return Samples(sources, self.geometry(), self.samples, self.schedule.seed)

    def validation_samples(self, records: Sequence[TrainingArchive]) -> Samples | None:
        """Return the samples to validate on, None where no source names days for it."""
        sources = [
            _sample_source(r, d, d.validate_days) for r, d in zip(records, self.data, strict=True) if d.validate_days
        ]
        return Samples(sources, self.geometry(), self.samples, self.schedule.seed + 1) if sources else None


def _sample_source(record: TrainingArchive, data: Data, days: Days | None) -> SampleSource:
    first, last = days or (None, None)
    return SampleSource(record, first, last, data.weight)


def recipe_names() -> list[str]:
    """Return the names of the packaged recipes."""
    folder = resources.files("training") / "recipes"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def load_recipe(name: str, overrides: Sequence[str] = (), data_root: Path = Path()) -> Recipe:
    """Read a packaged recipe or preset by name, or any recipe by path.

    Parameters
    ----------
    overrides : sequence of ``a.b=c``
        Win over the file.
    data_root : Path
        Folder that relative `granules`, `rain` and `record` are relative to.

    Raises
    ------
    ConfigError
        There is no such recipe, it does not parse, or a key or value is not valid.
    """
    values = _read_recipe(name)
    base = values.pop("preset", None)
    if base is not None:
        values = _merged(_read_recipe(str(base)), values)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override}: wanted section.key=value, for example --set schedule.batch=8")
        put(values, key.strip().split("."), text.strip(), f"--set {override}")
    values.setdefault("data", [])
    for source in values["data"]:
        for key in ("granules", "rain", "record"):
            if key in source:
                source[key] = str(data_root / source[key])
    try:
        recipe = Recipe.model_validate(values)
        _ = recipe.preset
    except ValidationError as error:
        raise ConfigError(f"{name}: {explain(error, Recipe)}") from error
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


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {**base, **over}
    for key in base.keys() & over.keys():
        if isinstance(base[key], dict) and isinstance(over[key], dict):
            both[key] = _merged(base[key], over[key])
    return both
