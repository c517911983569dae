"""The configuration: one TOML file, overlaid by the environment, overlaid by ``--set``."""

from runtime.config.overlay import DEFAULT_FILE, Overlay, load_config
from runtime.config.schema import (
    Archive,
    Cds,
    Config,
    Earthdata,
    Feeds,
    GridSection,
    Handover,
    Merge,
    Metadata,
    Model,
    Paths,
    Policy,
    PrecipitationFeed,
    Service,
    SoilMoistureFeed,
)

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
