"""A day's layer as the page draws it: one byte per cell."""

from __future__ import annotations

import datetime as dt
import gzip
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import numpy as np

from runtime.archive.climatology_files import Usual
from runtime.archive.reader import Reader, fields_of
from runtime.fill.result import Flag
from runtime.output import colours

GAP = 254
"""Byte of a land cell without a value. Values below ``colours.STEPS`` are steps of the colour scale."""

NOTHING = 255
"""Byte of a cell that is not land, or of which nothing is known."""

_CACHED_MAPS = 128


class LayerName(StrEnum):
    """The layers of the map: the variables of a published day, and how it compares with the climatology."""

    SOIL_MOISTURE = "soil_moisture"
    SOIL_MOISTURE_ANOMALY = "soil_moisture_anomaly"
    SOIL_MOISTURE_OBSERVED = "soil_moisture_observed"
    SOIL_MOISTURE_UNCERTAINTY = "soil_moisture_uncertainty"
    DAYS_SINCE_OBSERVATION = "days_since_observation"
    PRECIPITATION = "precipitation"
    FLAG = "flag"
    QUALITY_FLAG = "quality_flag"


def layers_of(reader: Reader) -> list[LayerName]:
    """Return the layers that an archive has."""
    has_climatology = Usual.around(reader.archive, max(reader.days), reader.grid) is not None
    return [
        layer
        for layer in LayerName
        if layer in reader.names or (layer is LayerName.SOIL_MOISTURE_ANOMALY and has_climatology)
    ]


@dataclass(frozen=True)
class DayLayer:
    """A layer of a published day."""

    layer: LayerName
    file: Path
    """The day's file."""
    sha256: str
    """The file's digest."""
    usual: Usual | None
    """What an anomaly is compared with; None for other layers, and without a climatology."""

    @classmethod
    def of(cls, reader: Reader, date: dt.date, layer: LayerName) -> DayLayer:
        """Return a layer of a day that the reader has."""
        day = reader.file(date)
        usual = Usual.around(reader.archive, date, reader.grid) if layer is LayerName.SOIL_MOISTURE_ANOMALY else None
        return cls(layer, day.path, day.sha256, usual)

    @property
    def tag(self) -> str:
        """A text that changes when the layer does."""
        return f"{self.sha256[:16]}-{self.layer}{self.usual.version[:16] if self.usual else ''}"


@lru_cache(_CACHED_MAPS)
def encode_map(shown: DayLayer) -> bytes | None:
    """Return a layer of a published file, one byte per cell, north first, compressed with gzip.

    Parameters
    ----------
    shown : DayLayer
        The layer; its map is kept until its file or the climatology changes.

    Returns
    -------
    bytes or None
        None if the file does not have the layer. A flag is its own byte, a quality the bit that its colour stands for;
        a value is its step of the colour scale, from 0 to ``colours.STEPS`` - 1. Land without a value is `GAP`, what is
        not land `NOTHING`.
    """
    layer, usual = shown.layer, shown.usual
    is_anomaly = layer is LayerName.SOIL_MOISTURE_ANOMALY
    source = LayerName.SOIL_MOISTURE if is_anomaly else layer
    fields = fields_of(shown.file, {source, LayerName.FLAG})
    if source not in fields or (is_anomaly and usual is None):
        return None
    flag, values = fields.get(LayerName.FLAG), fields[source]
    if usual is not None:
        values = values - usual.mean()
    if layer is LayerName.FLAG:
        return gzip.compress(values.astype(np.uint8).tobytes(), 6)
    land = np.zeros(values.shape, bool) if flag is None else flag != Flag.NOT_LAND
    if layer is LayerName.QUALITY_FLAG:
        judged = colours.first_bits(values)
        has_value = land if flag is None else land & (flag != Flag.NOT_REACHED)
        return gzip.compress(np.where(has_value, judged, np.where(land, GAP, NOTHING)).astype(np.uint8).tobytes(), 6)
    scale, highest = colours.SCALES[layer], colours.STEPS - 1
    steps = np.rint((np.nan_to_num(values) - scale.low) / (scale.high - scale.low) * highest).clip(0, highest)
    cells = np.where(np.isnan(values), np.where(land, GAP, NOTHING), steps).astype(np.uint8)
    return gzip.compress(cells.tobytes(), 6)
