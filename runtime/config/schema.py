"""Every key that can be configured, with its type, its default and what it does."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from runtime.common.clock import FIRST_DAY, LAST_DAY
from runtime.common.grid import Grid
from runtime.common.section import TomlSection
from runtime.common.sensors import PRODUCTS, Product, declare
from runtime.common.vocabulary import EngineName, ImergRun, InputVariable, LayoutName, Precision
from runtime.config.feeds import Cds, Earthdata, Feeds, Handover, Merge, SoilMoistureFeed

_MAX_DAYS = 100_000
"""Largest number of days in the policy: dates that far back still exist."""

MAX_SENSORS = 15
"""Most sensors that one archive is made from: each has a bit of an int16."""


class Archive(TomlSection):
    """``[archive]``: what is published."""

    path: Path = Path("archive")
    layout: LayoutName = LayoutName.CF
    start: dt.date | None = Field(default=None, ge=FIRST_DAY, le=LAST_DAY)
    """The archive's first day; unset: the oldest day that a feed has."""
    keep_superseded: bool = False
    """Keep the file a new revision replaces, below ``.superseded``."""
    cube: bool = True
    """Also keep the days in ``cube.zarr``, chunked for time series."""
    mirror: str | None = None
    """Folder, any that fsspec knows (``s3://bucket/prefix``), that each run brings up to date with what is published;
    one archive each. Its log-in comes from the environment, never from here."""


class Paths(TomlSection):
    """``[paths]``: hidden folders under `archive.path` unless set."""

    state: Path | None = None
    inbox: Path | None = None
    engines: Path | None = None


class GridSection(TomlSection):
    """``[grid]``: the globe, or a part of it.

    The regular grid has 720 x 1440 cells of 0.25 degree. EASE-Grid 2.0 (EPSG:6933) has cells of equal area: 406 x 964
    of 36 km, 584 x 1388 of 25 km or 1624 x 3856 of 9 km. Choose it to keep a sensor's own cells, as SMAP and SMOS
    have them. Its files look like those of the regular grid, with one axis of latitudes and one of longitudes, but
    rows get higher towards the poles, and there are none beyond 85 degrees. Land are the cells of which at least half
    is land in the mask of 0.25 degree.

    Inputs on other cells than the grid's are averaged by area; a cell gets a value if at least half of it has one.
    Inputs on the same cells are copied. The layout ``sgd-sm`` has the regular grid only. The networks were trained on
    the regular grid: their accuracy on another one is not known.
    """

    kind: Literal["regular", "ease2"] = "regular"
    """``regular`` has cells of 0.25 degree; ``ease2`` is EASE-Grid 2.0, whose cells have equal areas."""
    cell_km: Literal[36, 25, 9] | None = None
    """Cell size of ``ease2``, km."""
    box: tuple[float, float, float, float] | None = None
    """west, south, east, north edge in degrees; unset: the globe."""

    @field_validator("box")
    @classmethod
    def _has_an_area(cls, box: tuple[float, float, float, float] | None) -> tuple[float, float, float, float] | None:
        if box and not (box[0] < box[2] and box[1] < box[3]):
            raise ValueError(
                "wanted [west, south, east, north] in degrees, west < east and south < north; "
                "a box cannot cross the 180th meridian"
            )
        return box

    @model_validator(mode="after")
    def _has_a_cell_size(self) -> GridSection:
        if (self.kind == "ease2") != (self.cell_km is not None):
            raise ValueError('wanted cell_km = 36, 25 or 9 with kind = "ease2", and no cell_km without it')
        return self


class Model(TomlSection):
    """``[model]``: which network, and who computes it."""

    bundle: str = "seamless-2"
    engine: EngineName = "auto"
    precision: Precision = "fp32"
    """What multiplications are computed in; lower ones than fp32 only if the bundle is offered in them."""
    rebuild: bool = True
    """Build a TensorRT engine again if it no longer fits; if false, that is an error."""
    whole_grid: bool | None = None
    """Compute a day in one call instead of tile by tile; unset: with the engine cuda, if the GPU's memory is enough."""


class Metadata(TomlSection):
    """``[metadata]``: how the archive is catalogued (ACDD-1.3, STAC). A change of it fills no day again."""

    title: str = "Seamless daily surface soil moisture"
    id: str = Field(default="seamless-sm", pattern=r"^[A-Za-z0-9_.-]+$")
    """Identifier of the STAC collection; files and items add their day."""
    naming_authority: str | None = None
    """Organisation that makes the id unique, for example ``org.example``."""
    institution: str | None = None
    creator_name: str | None = None
    creator_email: str | None = None
    creator_url: str | None = None
    licence: str = "CC-BY-4.0"
    acknowledgement: str | None = None


class Policy(TomlSection):
    """``[policy]``: absent, late and implausible inputs, and implausible results."""

    max_lag_days: int = Field(default=7, ge=0, le=_MAX_DAYS)
    """Days by which the newest day may lag behind today before that is a failure."""
    max_outage_days: int = Field(default=10, ge=0, le=_MAX_DAYS)
    """Days in a row without soil-moisture input after which filling stops."""
    max_refill_days: int = Field(default=30, ge=0, le=_MAX_DAYS)
    """How far back from the newest day a plain `fill` fills stale days again."""
    consolidated_precipitation: ImergRun = ImergRun.LATE
    """A consolidated day needs rain of this IMERG run, or of a better one."""
    min_coverage: float = Field(default=0.25, ge=0)
    """A soil-moisture file with less than this share of the usual coverage is refused."""
    max_mean_jump: float | None = Field(default=None, gt=0)
    """m3 m-3 by which the land mean may differ from the days before; unset: 0.1 for the globe, 0.3 for a region."""
    max_out_of_range: float = Field(default=0.2, ge=0)
    """Share of filled cells on which the network may leave 0..1 m3 m-3 by more than 0.05."""
    max_seam_step: float | None = Field(default=None, gt=0)
    """m3 m-3 by which neighbours may differ more across tile edges than inside tiles; unset: 0.15, a region 0.4."""
    inbox_gib: float = Field(default=20.0, ge=0)
    """GiB of fetched files that are kept beyond those a plain `fill` may read again."""
    max_file_minutes: float = Field(default=20.0, gt=0, le=1e6)
    """Minutes after which a file or a listing of a remote feed is given up, all tries together."""
    max_run_minutes: float = Field(default=720.0, gt=0, le=1e6)
    """Minutes after which a run ends; what it has published stays, and the next run goes on."""
    max_mirror_minutes: float = Field(default=60.0, gt=0, le=1e6)
    """Minutes, after those of a run, that bringing the mirror up to date may take; the next run goes on."""


_TIME_OF_DAY = r"^([01]\d|2[0-3]):[0-5]\d$"
_HOST_NAME = re.compile(r"[\w.-]+|\[?[\da-fA-F:.]*:[\da-fA-F:.]*\]?", re.ASCII)
_WEB_ADDRESS = re.compile(r"https?://([\w.-]+|\[[\da-fA-F:.]+\])(:\d{1,5})?([/?][!-~]*)?", re.ASCII)


class Service(TomlSection):
    """``[service]``: the unattended daily job, and its web server."""

    run_at: str = Field(default="15:30", pattern=_TIME_OF_DAY)
    """Time of day of the daily run, UTC; polling begins then."""
    poll_until: str = Field(default="23:30", pattern=_TIME_OF_DAY)
    """Until this time of day the run is repeated while the newest day is not complete."""
    poll_minutes: float = Field(default=30.0, gt=0, le=1_000_000)
    host: str = "127.0.0.1"
    """Address the web server listens on; the default accepts connections of this machine only."""
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes any free port."""
    hosts: tuple[str, ...] = ()
    """More names of the server that a request may have in its header Host, without port; ``*`` is any. Always allowed
    are `host`, localhost, 127.0.0.1 and ::1; if `host` is 0.0.0.0 or ::, every name is, unless some are given here."""
    token: SecretStr | None = None
    """Bearer token of ``POST /api/runs``; without a token that route is off. Never printed."""
    webhook: SecretStr | None = None
    """URL that alerts are posted to as JSON. Never printed."""

    @field_validator("hosts")
    @classmethod
    def _hosts_are_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if not all(host == "*" or _HOST_NAME.fullmatch(host) for host in hosts):
            raise ValueError("wanted names or addresses such as sm.example.org, without http:// and port")
        return hosts

    @field_validator("webhook")
    @classmethod
    def _webhook_can_be_posted_to(cls, webhook: SecretStr | None) -> SecretStr | None:
        address = webhook.get_secret_value() if webhook else ""
        if address and not (_WEB_ADDRESS.fullmatch(address) and urlsplit(address).port != 0):
            raise ValueError("wanted an address like https://example.org/alerts, in ASCII, without a user name")
        return webhook

    @model_validator(mode="after")
    def _window_is_a_window(self) -> Service:
        if self.poll_until < self.run_at:
            raise ValueError(f"poll_until {self.poll_until} is before run_at {self.run_at}")
        return self


class Config(TomlSection):
    """Everything that can be configured."""

    archive: Archive = Archive()
    paths: Paths = Paths()
    grid: GridSection = GridSection()
    model: Model = Model()
    products: dict[str, Product] = Field(default={})
    """Products of your own, each as ``[products.NAME]``; see `runtime products`."""
    feeds: Feeds = Field(default=Feeds(), validate_default=True)
    merge: Merge = Merge()
    handover: Handover = Handover()
    earthdata: Earthdata = Earthdata()
    cds: Cds = Cds()
    metadata: Metadata = Metadata()
    policy: Policy = Policy()
    service: Service = Service()

    @property
    def bundles(self) -> list[str]:
        """The networks of the soil-moisture feeds, each once, in the order of the feeds."""
        return list(dict.fromkeys(feed.bundle or self.model.bundle for feed in self.feeds.soil_moisture))

    @field_validator("grid")
    @classmethod
    def _fits_the_layout(cls, grid: GridSection, info: ValidationInfo) -> GridSection:
        archive = info.data.get("archive")
        if grid.cell_km and archive and archive.layout is LayoutName.SGD_SM:
            raise ValueError('archive.layout "sgd-sm" has cells of 0.25 degree; set it to "cf" for kind = "ease2"')
        return grid

    @field_validator("products", mode="before")
    @classmethod
    def _declare_products(cls, tables: Any) -> Any:
        return declare(tables, PRODUCTS) if isinstance(tables, dict) else tables

    @field_validator("feeds")
    @classmethod
    def _feeds_have_products(cls, feeds: Feeds, info: ValidationInfo) -> Feeds:
        """Refuse feeds of products, or of bands, that do not exist; set the bands that are unset."""
        if "products" not in info.data:  # they are faulty, and are reported
            return feeds
        known = PRODUCTS | info.data["products"]
        chosen = []
        for number, feed in enumerate(feeds.soil_moisture):
            product = _product_of(feed.product, InputVariable.SOIL_MOISTURE, known, f"soil_moisture.{number}")
            band = feed.band or ("x" if "x" in product.bands else next(iter(product.bands), ""))
            if band and band not in product.bands:
                has = f"it has {', '.join(product.bands)}" if product.bands else "it has none; leave band out"
                raise ValueError(f"soil_moisture.{number}: {feed.product} has no band {band!r}; {has}")
            chosen.append(feed.model_copy(update={"band": band}))
        _product_of(feeds.precipitation.product, InputVariable.PRECIPITATION, known, "precipitation")
        return feeds.model_copy(update={"soil_moisture": tuple(chosen)})

    @property
    def known_products(self) -> dict[str, Product]:
        """The shipped products and those of this configuration, by name."""
        return PRODUCTS | self.products

    def product(self, name: str) -> Product:
        """Return the product of a feed."""
        return self.known_products[name]

    def last_day(self, feed: SoilMoistureFeed) -> dt.date | None:
        """Return the last day that a feed is used for; None if a newer file is waited for."""
        return feed.last or self.product(feed.product).end

    def last_due(self, today: dt.date) -> dt.date:
        """Return the newest day that an archive can have: today, or the last day a soil-moisture feed is used for."""
        return min(today, max(self.last_day(feed) or today for feed in self.feeds.soil_moisture))

    @model_validator(mode="after")
    def _reference_is_a_sensor(self) -> Config:
        if self.merge.reference and not any(self._is_reference(feed) for feed in self.feeds.soil_moisture):
            raise ValueError(
                f"merge.reference {self.merge.reference!r} is no sensor of the feeds: {', '.join(self.sensors)}"
            )
        if self.maps_sensors and len(self.sensors) > MAX_SENSORS:
            raise ValueError(f"feeds.soil_moisture: {len(self.sensors)} sensors, at most {MAX_SENSORS} can be merged")
        return self

    def _is_reference(self, feed: SoilMoistureFeed) -> bool:
        return self.merge.reference in (feed.product, feed.sensor)

    @property
    def sensors(self) -> list[str]:
        """The sensors of the soil-moisture feeds; the position is the bit in ``soil_moisture_source``."""
        return list(dict.fromkeys(feed.sensor for feed in self.feeds.soil_moisture))

    @property
    def reference(self) -> str:
        """The sensor that others are mapped to."""
        feeds = self.feeds.soil_moisture
        return next((feed for feed in feeds if self._is_reference(feed)), feeds[0]).sensor

    @property
    def maps_sensors(self) -> bool:
        """Whether soil moisture passes through transfers between sensors."""
        return self.merge.mode == "together" or self.handover.match

    @property
    def merge_settings(self) -> list[Any]:
        """The settings of merging that change published values; empty if nothing is merged."""
        return [self.merge.mode, self.reference, self.handover.match] if self.maps_sensors else []

    def make_grid(self) -> Grid:
        """Return the configured grid."""
        globe = Grid.ease2(self.grid.cell_km) if self.grid.cell_km else Grid.globe()
        return globe.box(*self.grid.box) if self.grid.box else globe


def _product_of(name: str, what: InputVariable, known: dict[str, Product], feed: str) -> Product:
    """Return the product of a feed, which must be one of soil moisture or of precipitation.

    Raises
    ------
    ValueError
        There is no such product.
    """
    if name not in known or known[name].what is not what:
        valid = ", ".join(each for each, product in known.items() if product.what is what)
        raise ValueError(f"{feed}: there is no product {name!r} of {what}; there are {valid}")
    return known[name]
