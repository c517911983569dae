"""The configuration: one TOML file, overlaid by the environment, overlaid by ``--set``."""

from runtime.config.feeds import Cds, Earthdata, Feeds, Handover, Merge, PrecipitationFeed, SoilMoistureFeed
from runtime.config.overlay import DEFAULT_FILE, Overlay, load_config
from runtime.config.schema import Archive, Config, GridSection, Metadata, Model, Paths, Policy, Service

__all__ = [
    "DEFAULT_FILE",
    "Archive",
    "Cds",
    "Config",
    "Earthdata",
    "Feeds",
    "GridSection",
    "Handover",
    "Merge",
    "Metadata",
    "Model",
    "Overlay",
    "Paths",
    "Policy",
    "PrecipitationFeed",
    "Service",
    "SoilMoistureFeed",
    "load_config",
]
