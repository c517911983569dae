"""The keys that say where input files come from, and what several sensors make of a day."""

from __future__ import annotations

import datetime as dt
import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from runtime.common.section import TomlSection
from runtime.common.sensors import CDS_DAYS, CdsWord, check_pattern
from runtime.common.vocabulary import ImergRun


class SoilMoistureFeed(TomlSection):
    """``[[feeds.soil_moisture]]``: one product of one orbit and band; several hand over by from/to."""

    kind: Literal["folder", "earthdata", "cds"] = "folder"
    path: str = "incoming/lprm"
    """Folder of a folder feed: any path that fsspec knows."""
    pattern: str | None = None
    """Regular expression (RE2) of the file names, with a group ``date`` (YYYYMMDD), and perhaps groups ``orbit``,
    ``version`` and ``interim``; unset: the product's own names."""
    product: str = "lprm-amsr2"
    """A product of `runtime products`, or one of ``[products]``."""
    orbit: Literal["descending", "ascending"] = "descending"
    """Of products that tell their orbits apart."""
    band: str = ""
    """Of products with several bands; unset: x if there is one, else the first."""
    first: dt.date | None = Field(default=None, alias="from")
    last: dt.date | None = Field(default=None, alias="to")
    version: str | None = None
    """Version of the Earthdata collection, if not the one this software knows; of the CDS data, if not the newest."""
    bundle: str | None = None
    """Network that fills the days of this feed; unset: `model.bundle`."""

    @property
    def sensor(self) -> str:
        """Name of what the feed's files were seen by: feeds of one product, orbit and band are one sensor."""
        return "-".join(filter(None, (self.product, self.orbit, self.band)))

    @model_validator(mode="after")
    def _is_sound(self) -> SoilMoistureFeed:
        if self.pattern:
            check_pattern(self.pattern, ("date", "orbit", "version", "interim"))
        if self.first and self.last and self.last < self.first:
            raise ValueError(f"from {self.first} is after to {self.last}")
        return self


class PrecipitationFeed(TomlSection):
    """``[feeds.precipitation]``."""

    kind: Literal["folder", "earthdata", "none"] = "none"
    path: str = "incoming/imerg"
    product: str = "imerg"
    """``imerg``, or a product of precipitation of ``[products]``."""
    runs: tuple[ImergRun, ...] = (ImergRun.LATE, ImergRun.EARLY)
    """Runs that may be used, best first. Final also enters by `runtime reprocess`."""
    version: str | None = None
    """Version of the Earthdata collection, if not the one this software knows (``06`` for V06)."""


class Feeds(TomlSection):
    """``[feeds]``."""

    soil_moisture: tuple[SoilMoistureFeed, ...] = (SoilMoistureFeed(),)
    precipitation: PrecipitationFeed = PrecipitationFeed()

    @field_validator("soil_moisture")
    @classmethod
    def _at_least_one(cls, feeds: tuple[SoilMoistureFeed, ...]) -> tuple[SoilMoistureFeed, ...]:
        if not feeds:
            raise ValueError("at least one soil-moisture feed is needed")
        return feeds


class Merge(TomlSection):
    """``[merge]``: what several soil-moisture feeds make of one day."""

    mode: Literal["handover", "together"] = "handover"
    """``handover``: a day has the file of the first feed that covers it and has one. ``together``: it has the files of
    all sensors, mapped to a reference sensor and weighted by their errors."""
    reference: str | None = None
    """The sensor that the others are mapped to: a product of the feeds, or product-orbit-band; unset: the first."""
    fit_days: int = Field(default=60, ge=10, le=3660)
    """A transfer is fitted on the newest so many days that both sensors have."""
    refit_days: int = Field(default=30, ge=1, le=3660)
    """A transfer is used for so many days; then a new one is fitted."""
    settle_days: int = Field(default=10, ge=0, le=3660)
    """Days before the first one of a transfer that it is not fitted on: files of these may still arrive late."""


class Handover(TomlSection):
    """``[handover]``: what happens where one sensor follows another."""

    match: bool = False
    """Map every sensor to the reference (``merge.reference``), so that the values do not step."""
    days: int = Field(default=30, ge=1, le=3660)
    """Days before and after a change of sensor that the step is measured over."""


class Earthdata(TomlSection):
    """``[earthdata]``: used by feeds of that kind. Credentials come from the environment or netrc, never from here."""

    cmr_url: str = "https://cmr.earthdata.nasa.gov/search/"
    edl_host: str = "urs.earthdata.nasa.gov"
    timeout_s: float = Field(default=60.0, gt=0, le=86_400)
    """Seconds without an answer after which a request has failed."""
    attempts: int = Field(default=6, ge=1, le=1000)
    """How often a request is tried; the wait between two tries doubles each time."""
    wait_s: float = Field(default=2.0, ge=0, le=86_400)
    """Seconds of the first wait."""
    parallel: int = Field(default=4, ge=1, le=1000)
    """Downloads at a time."""
    token_hosts: tuple[str, ...] = (
        "data.gesdisc.earthdata.nasa.gov",
        "acdisc.gesdisc.eosdis.nasa.gov",
        "gpm1.gesdisc.eosdis.nasa.gov",
        "gpm2.gesdisc.eosdis.nasa.gov",
        "hydro1.gesdisc.eosdis.nasa.gov",
        "data.nsidc.earthdatacloud.nasa.gov",
        "n5eil01u.ecs.nsidc.org",
    )
    """Hosts, as ``host`` or ``host:port``, that the log-in is sent to: with https only, and never after a redirect to
    another host. With plain http it is sent to this machine (127.0.0.1, ::1, localhost) if it is in the list."""

    @field_validator("token_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not re.fullmatch(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?|[0-9A-Fa-f:]*::[0-9A-Fa-f:.]*", host):
                raise ValueError(f"{host!r} is no host; wanted a name like data.gesdisc.earthdata.nasa.gov")
        return tuple(host.lower() for host in hosts)


class Cds(TomlSection):
    """``[cds]``: used by feeds of that kind. The key comes from the environment or ~/.cdsapirc, never from here."""

    url: str = Field(default="https://cds.climate.copernicus.eu/api", pattern=r"^https?://[^\s/?#@]+[^\s?#@]*$")
    """Address of the data store; the key is sent only to this server, with plain http only if it is this machine."""
    dataset: str = Field(default="satellite-soil-moisture", pattern=r"^[A-Za-z0-9_.-]+$")
    request: dict[str, CdsWord | tuple[CdsWord, ...]] = Field(default={})
    """Keywords of the request that replace those this software knows, or are added; ``""`` leaves one out."""
    timeout_s: float = Field(default=60.0, gt=0, le=86_400)
    """Seconds without an answer after which a question has failed."""
    attempts: int = Field(default=4, ge=1, le=1000)
    """How often a question is tried; the wait between two tries doubles each time."""
    wait_s: float = Field(default=5.0, ge=0, le=86_400)
    """Seconds of the first wait."""
    poll_s: float = Field(default=30.0, gt=0, le=3600)
    """Longest wait before a queued request is looked at again."""

    @field_validator("request")
    @classmethod
    def _leaves_the_days(cls, request: dict[str, str | tuple[str, ...]]) -> dict[str, str | tuple[str, ...]]:
        if days := CDS_DAYS & set(request):
            raise ValueError(f"{min(days)} is set for each request; leave it out")
        return request
