"""The configuration: one TOML file, overlaid by the environment, overlaid by ``--set``."""

from runtime.config.overlay import DEFAULT_FILE, explain, load_config, put
from runtime.config.schema import (
    Archive,
    Config,
    Earthdata,
    Feeds,
    GridSection,
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
    "Config",
    "Earthdata",
    "Feeds",
    "GridSection",
    "Metadata",
    "Model",
    "Paths",
    "Policy",
    "PrecipitationFeed",
    "Service",
    "SoilMoistureFeed",
    "explain",
    "load_config",
    "put",
]
