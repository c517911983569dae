"""The configuration: one TOML file, overlaid by the environment, overlaid by ``--set``.

Every key may come as ``SEAMLESS_SM__MODEL__ENGINE=cpu`` or ``--set model.engine=cpu``. Relative paths are relative to
the file. An unknown key is refused with the names that would be valid.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from runtime.archive.database import CATALOG
from runtime.engines.choice import EngineName, Precision, Setup
from runtime.errors import ConfigError
from runtime.grid import Grid
from runtime.products import PRODUCTS

DEFAULT_FILE = Path("seamless-sm.toml")
_PREFIX = "SEAMLESS_SM__"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, use_attribute_docstrings=True)


class Archive(_Section):
    """``[archive]``: what is published."""

    path: Path = Path("archive")
    layout: Literal["cf", "sgd-sm"] = "cf"
    start: dt.date | None = None
    """The chain's first day; unset: the oldest day the feed has."""
    keep_superseded: bool = False
    """Keep the file a new revision replaces, below ``.superseded``."""
    cube: bool = True
    """Keep the days a second time, chunked for time series, in ``cube.zarr``."""


class Paths(_Section):
    """``[paths]``: hidden folders under `archive.path` unless set."""

    state: Path | None = None
    inbox: Path | None = None
    engines: Path | None = None


class GridSection(_Section):
    """``[grid]``: the globe, or a part of it."""

    box: tuple[float, float, float, float] | None = None
    """west, south, east, north edge in degrees; unset: the globe."""


class Model(_Section):
    """``[model]``: which network, and who computes it."""

    bundle: str = "seamless-amsr2-x"
    engine: EngineName = "auto"
    precision: Precision = "fp32"
    """Of the multiplications; others than fp32 only where the bundle's own accuracy allows them."""
    rebuild: bool = True
    """Build a TensorRT engine again that does not fit any more; otherwise that is an error."""


class SoilMoistureFeed(_Section):
    """``[[feeds.soil_moisture]]``: one product of one orbit and band; several hand over by from/to."""

    kind: Literal["folder", "earthdata"] = "folder"
    path: str = "incoming/lprm"
    """Of a folder feed; any path fsspec knows."""
    pattern: str | None = None
    """Regular expression of the file names with a group ``date`` (YYYYMMDD), if not the product's own."""
    product: Literal["lprm-amsr2", "lprm-amsre", "lprm-windsat"] = "lprm-amsr2"
    orbit: Literal["descending", "ascending"] = "descending"
    band: Literal["c", "c1", "c2", "x"] = "x"
    first: dt.date | None = Field(default=None, alias="from")
    last: dt.date | None = Field(default=None, alias="to")
    version: str | None = None
    """Of an Earthdata collection, if not the one this software knows."""

    @model_validator(mode="after")
    def _band_exists(self) -> SoilMoistureFeed:
        bands = PRODUCTS[self.product].bands
        if self.band not in bands:
            raise ValueError(f"{self.product} has no band {self.band!r}; it has {', '.join(bands)}")
        try:
            groups = re.compile(self.pattern).groupindex if self.pattern else {"date": 1}
        except re.error as error:
            raise ValueError(f"pattern {self.pattern!r} is no regular expression: {error}") from error
        if "date" not in groups:
            raise ValueError(f"pattern {self.pattern!r} has no group (?P<date>\\d{{8}})")
        return self


class PrecipitationFeed(_Section):
    """``[feeds.precipitation]``."""

    kind: Literal["folder", "earthdata", "none"] = "none"
    path: str = "incoming/imerg"
    product: Literal["imerg"] = "imerg"
    runs: tuple[Literal["early", "late", "final"], ...] = ("late", "early")
    """Runs that may be used, best first. Final also enters by `runtime reprocess`."""
    version: str | None = None
    """Of an Earthdata collection, if not the one this software knows (``06`` for V06)."""


class Feeds(_Section):
    """``[feeds]``."""

    soil_moisture: tuple[SoilMoistureFeed, ...] = (SoilMoistureFeed(),)
    precipitation: PrecipitationFeed = PrecipitationFeed()

    @field_validator("soil_moisture")
    @classmethod
    def _at_least_one(cls, feeds: tuple[SoilMoistureFeed, ...]) -> tuple[SoilMoistureFeed, ...]:
        if not feeds:
            raise ValueError("at least one soil-moisture feed is needed")
        return feeds


class Earthdata(_Section):
    """``[earthdata]``: used by feeds of that kind. Credentials come from the environment or netrc, never from here."""

    cmr_url: str = "https://cmr.earthdata.nasa.gov/search/"
    edl_host: str = "urs.earthdata.nasa.gov"
    timeout_s: float = Field(default=60.0, gt=0)
    """How long a server may keep silent."""
    attempts: int = Field(default=6, ge=1)
    """How often a request is tried; in between a wait that doubles, with jitter."""
    wait_s: float = Field(default=2.0, ge=0)
    """The first wait."""
    parallel: int = Field(default=4, ge=1)
    """Downloads at a time."""


class Metadata(_Section):
    """``[metadata]``: how the archive is catalogued (ACDD-1.3, STAC). Nothing is re-done for it."""

    title: str = "Seamless daily surface soil moisture"
    id: str = Field(default="seamless-sm", pattern=r"^[A-Za-z0-9_.-]+$")
    """Of the STAC collection; files and items add their day."""
    naming_authority: str | None = None
    """Whose name makes the id unique, for example ``org.example``."""
    institution: str | None = None
    creator_name: str | None = None
    creator_email: str | None = None
    creator_url: str | None = None
    licence: str = "CC-BY-4.0"
    acknowledgement: str | None = None


class Policy(_Section):
    """``[policy]``: what to do about absent, late and implausible inputs, and about implausible results."""

    max_lag_days: int = Field(default=7, ge=0)
    """How far behind is still normal."""
    max_outage_days: int = Field(default=10, ge=0)
    """Days in a row without soil-moisture input before filling stops."""
    max_refill_days: int = Field(default=30, ge=0)
    """How far back a plain `fill` re-does stale days."""
    consolidated_precipitation: Literal["early", "late", "final"] = "late"
    """The IMERG run a consolidated day rests on, or a better one."""
    min_coverage: float = Field(default=0.25, ge=0)
    """A soil-moisture file with less than this share of the usual coverage is refused."""
    max_mean_jump: float | None = Field(default=None, gt=0)
    """m3 m-3 by which the land mean may differ from the days before; unset: 0.1 for the globe, 0.3 for a region."""
    max_out_of_range: float = Field(default=0.2, ge=0)
    """Share of filled cells on which the network may leave 0..1 m3 m-3 by more than 0.05."""
    max_seam_step: float | None = Field(default=None, gt=0)
    """m3 m-3 by which neighbours may differ more across tile edges than inside tiles; unset: 0.15, a region 0.4."""
    inbox_gib: float = Field(default=20.0, ge=0)
    """Fetched files kept beyond those a plain `fill` may read again."""


_TIME_OF_DAY = r"^([01]\d|2[0-3]):[0-5]\d$"


class Service(_Section):
    """``[service]``: the unattended daily job, and its web server."""

    run_at: str = Field(default="15:30", pattern=_TIME_OF_DAY)
    """Time of day of the daily run, UTC; polling begins then."""
    poll_until: str = Field(default="23:30", pattern=_TIME_OF_DAY)
    """Until then, while the newest day is not complete, the run is repeated."""
    poll_minutes: float = Field(default=30.0, gt=0)
    host: str = "127.0.0.1"
    """The address the web server listens on; loopback unless said otherwise."""
    port: int = Field(default=8000, ge=0, le=65535)
    """0: any free one."""
    token: SecretStr | None = None
    """Bearer token of ``POST /api/runs``; without one that route is off."""
    webhook: str | None = None
    """URL that alerts are posted to as JSON."""

    @model_validator(mode="after")
    def _window_is_a_window(self) -> Service:
        if self.poll_until < self.run_at:
            raise ValueError(f"poll_until {self.poll_until} is before run_at {self.run_at}")
        return self


class Config(_Section):
    """Everything that can be configured."""

    archive: Archive = Archive()
    paths: Paths = Paths()
    grid: GridSection = GridSection()
    model: Model = Model()
    feeds: Feeds = Feeds()
    earthdata: Earthdata = Earthdata()
    metadata: Metadata = Metadata()
    policy: Policy = Policy()
    service: Service = Service()

    @property
    def state_path(self) -> Path:
        """Folder of the state snapshots."""
        return self.paths.state or self.archive.path / ".state"

    @property
    def inbox_path(self) -> Path:
        """Folder of what was fetched from remote feeds."""
        return self.paths.inbox or self.archive.path / ".inbox"

    @property
    def catalog_path(self) -> Path:
        """The catalog's SQLite file."""
        return self.archive.path / CATALOG

    @property
    def engine_setup(self) -> Setup:
        """How the engine is opened."""
        cache = self.paths.engines or self.archive.path / ".engines"
        return Setup(self.model.engine, self.model.precision, cache, self.model.rebuild)

    def make_grid(self) -> Grid:
        """Return the configured grid."""
        globe = Grid.globe()
        return globe.box(*self.grid.box) if self.grid.box else globe


def load(
    file: Path | None = None, overrides: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Config:
    """Read the configuration.

    Parameters
    ----------
    file : Path, optional
        Default: ``seamless-sm.toml`` in the working directory; without it, the defaults.
    overrides : sequence of ``a.b=c``
        Win over the environment, which wins over the file.

    Raises
    ------
    ConfigError
        The file is missing or does not parse, or a key or value is not valid.
    """
    chosen = file or DEFAULT_FILE
    values: dict[str, Any] = {}
    if file or chosen.is_file():
        try:
            values = tomllib.loads(chosen.read_text())
        except OSError as error:
            raise ConfigError(f"{chosen}: cannot be read ({error.strerror}); `runtime init` writes one") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{chosen}: is not valid TOML: {error}") from error
    origin = {"source": str(chosen) if values else "configuration"}
    environment = os.environ if environment is None else environment
    for name, text in sorted(environment.items()):
        if name.startswith(_PREFIX):
            put(values, name[len(_PREFIX) :].lower().split("__"), text, name)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override}: wanted section.key=value, for example --set model.engine=cpu")
        put(values, key.strip().split("."), text.strip(), f"--set {override}")
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{origin['source']}: {explain(error, Config)}") from error
    return _anchor(config, chosen.absolute().parent)


def put(values: dict[str, Any], keys: list[str], text: str, source: str) -> None:
    """Set one nested value; a number in the key indexes a list."""
    here: Any = values
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        index: Any = int(key) if isinstance(here, list) and key.isdigit() else key
        if isinstance(here, list) and isinstance(index, int) and index == len(here):
            here.append({})
        if following is None:
            try:
                here[index] = text if key == "token" else _parse(text)  # 0042 is a token, not a number
            except (TypeError, IndexError) as error:
                raise ConfigError(f"{source}: {'.'.join(keys)} does not name a single value") from error
            return
        fresh: Any = [] if following.isdigit() else {}
        try:
            here = here.setdefault(index, fresh) if isinstance(here, dict) else here[index]
        except (IndexError, TypeError, AttributeError) as error:
            raise ConfigError(f"{source}: {'.'.join(keys)} does not name a single value") from error


def _parse(text: str) -> Any:
    """Read a value the way TOML would; what is no TOML value is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Say every problem of a configuration in one line, with the valid names where a name is unknown."""
    parts = []
    for problem in error.errors():
        *above, last = problem["loc"]
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            section = ".".join(str(part) for part in above)
            parts.append(
                f"unknown key {where}; valid in {section or 'the file'}: {', '.join(_valid_names(model, above))}"
            )
        else:
            message = re.sub(r"^Value error, ", "", problem["msg"])
            parts.append(f"{where or last}: {message} (got {problem['input']!r})")
    return "; ".join(parts)


def _valid_names(model: Any, path: Sequence[int | str]) -> list[str]:
    for part in path:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        model = next((a for a in getattr(annotation, "__args__", ()) if a is not Ellipsis), annotation)
    return [field.alias or name for name, field in model.model_fields.items()]


def _anchor(config: Config, folder: Path) -> Config:
    """Make relative paths relative to the configuration's folder."""

    def anchored(path: Path | None) -> Path | None:
        return path if path is None else folder / path.expanduser()

    def anchored_url(url: str) -> str:
        return url if "://" in url else str(folder / Path(url).expanduser())

    feeds = Feeds(
        soil_moisture=tuple(f.model_copy(update={"path": anchored_url(f.path)}) for f in config.feeds.soil_moisture),
        precipitation=config.feeds.precipitation.model_copy(
            update={"path": anchored_url(config.feeds.precipitation.path)}
        ),
    )
    bundle = config.model.bundle
    if (folder / bundle / "bundle.json").is_file():
        bundle = str(folder / bundle)
    return config.model_copy(
        update={
            "archive": config.archive.model_copy(update={"path": anchored(config.archive.path)}),
            "paths": Paths(**{name: anchored(path) for name, path in config.paths}),
            "model": config.model.model_copy(update={"bundle": bundle}),
            "feeds": feeds,
        }
    )
