"""The networks of a run: one for all feeds, or another one for the days of a feed that names its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from runtime.bundle import Bundle, find_bundle, load_bundle
from runtime.common.grid import Grid
from runtime.config import Config, SoilMoistureFeed
from runtime.engines.base import Staged
from runtime.engines.openvino import OpenVinoEngine
from runtime.engines.ort import OrtEngine
from runtime.engines.select import EngineSettings, choose_engine, open_engine
from runtime.errors import BundleError, ConfigError
from runtime.fill.base import Filler, make_filler
from runtime.fill.fit import require_fit
from runtime.fill.whole_grid import choose_size

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Models:
    """The bundles of a configuration; an engine is opened when the first day of its bundle is filled."""

    by_name: Mapping[str, Bundle]
    """By the names in the configuration, in the order of the feeds."""
    default: str
    """Name of the bundle of the feeds that name none."""
    grid: Grid
    configured_engine: EngineSettings
    _fillers: dict[str, Filler] = field(default_factory=dict)
    """By model id."""

    @classmethod
    def open(cls, config: Config, grid: Grid, engine: EngineSettings) -> Models:
        """Open the bundles of all feeds.

        Parameters
        ----------
        config : Config
            The configuration.
        grid : Grid
            The archive's grid.
        engine : EngineSettings
            Which engine computes the networks.

        Raises
        ------
        BundleError
            A bundle is damaged, or does not accept the product or band of a feed.
        ConfigError
            A network with a memory shall fill some of the days only.
        """
        by_name = {name: load_bundle(find_bundle(name)) for name in config.bundles}
        models = cls(by_name, config.model.bundle, grid, engine)
        for feed in config.feeds.soil_moisture:
            require_accepted(models.of(feed), feed)
        if models.carry_state and len({bundle.model_id for bundle in by_name.values()}) > 1:
            raise ConfigError(
                f"a network with a memory fills every day or none, and the feeds name {', '.join(by_name)}; "
                "give all feeds the same bundle"
            )
        return models

    def of(self, feed: SoilMoistureFeed) -> Bundle:
        """Return the bundle that fills the days of a feed."""
        return self.by_name[feed.bundle or self.default]

    @cached_property
    def engine(self) -> EngineSettings:
        """Which engine computes the networks, and whether it computes a day in one call."""
        return choose_size(self.configured_engine, self.by_name.values(), self.grid)

    @property
    def first(self) -> Bundle:
        """The bundle of the first feed; of all feeds, if the network has a memory."""
        return next(iter(self.by_name.values()))

    @property
    def carry_state(self) -> bool:
        """Whether a network carries a state from day to day."""
        return any(bundle.manifest.carries_state for bundle in self.by_name.values())

    @property
    def take_rain(self) -> bool:
        """Whether a network reads rain."""
        return any(bundle.manifest.takes_rain for bundle in self.by_name.values())

    @property
    def window(self) -> tuple[int, int]:
        """First and last day that any network reads, relative to day T."""
        windows = [bundle.manifest.window for bundle in self.by_name.values()]
        return min(window[0] for window in windows), max(window[-1] for window in windows)

    def filler(self, bundle: Bundle) -> Filler:
        """Return a bundle's network, on the configured engine."""
        if bundle.model_id not in self._fillers:
            if self.engine.engine == "auto":
                size = ", the whole grid in one call" if self.engine.whole_grid else ""
                logger.info(f"engine {choose_engine(bundle, self.engine).engine}, {self.engine.precision}{size}")
            engine = open_engine(bundle, self.engine)
            # TensorRT takes only tiles of the sizes that it was built for
            if isinstance(engine, OrtEngine | OpenVinoEngine | Staged):
                require_fit(engine, bundle)
            self._fillers[bundle.model_id] = make_filler(
                engine, bundle.manifest, self.grid, whole_grid=self.engine.whole_grid
            )
        return self._fillers[bundle.model_id]


def require_accepted(bundle: Bundle, feed: SoilMoistureFeed) -> None:
    """Refuse a feed that a bundle is not made for.

    Raises
    ------
    BundleError
        The bundle does not accept the product or band of the feed.
    """
    accepted, band = bundle.manifest, _band(feed)
    if not accepted.accepts(feed.product, band):
        raise BundleError(
            f"bundle {accepted.name} accepts {', '.join(accepted.products)}, band {', '.join(accepted.bands)}, "
            f"not {feed.product}{f' in band {band}' if band else ''}; set feeds.soil_moisture or model.bundle"
        )


def model_warning(bundle: Bundle, feed: SoilMoistureFeed) -> str | None:
    """Return what to know about the values that a bundle fills for a feed; None if it was judged on such data."""
    return bundle.manifest.not_judged(feed.product, _band(feed))


def _band(feed: SoilMoistureFeed) -> str | None:
    return feed.band or None  # a product without bands has none
