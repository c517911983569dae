"""A day's layer as the page draws it: one byte per cell."""

from __future__ import annotations

import gzip
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import numpy as np

from runtime.archive.reader import fields_of
from runtime.fill.result import Flag
from runtime.output import colours

GAP = 254
"""Byte of a land cell without a value. Values below ``colours.STEPS`` are steps of the colour scale."""

NOTHING = 255
"""Byte of a cell that is not land, or of which nothing is known."""

_CACHED_MAPS = 128


class LayerName(StrEnum):
    """The layers of the map: the variables of a published day."""

    SOIL_MOISTURE = "soil_moisture"
    SOIL_MOISTURE_OBSERVED = "soil_moisture_observed"
    SOIL_MOISTURE_UNCERTAINTY = "soil_moisture_uncertainty"
    DAYS_SINCE_OBSERVATION = "days_since_observation"
    PRECIPITATION = "precipitation"
    FLAG = "flag"
    QUALITY_FLAG = "quality_flag"


@lru_cache(_CACHED_MAPS)
def encode_map(path: Path, layer: LayerName, sha256: str) -> bytes | None:
    """Return a layer of a published file, one byte per cell, north first, compressed with gzip.

    Parameters
    ----------
    path : Path
        The published file.
    layer : LayerName
        The layer.
    sha256 : str
        The file's digest: a map is kept until the file has another one.

    Returns
    -------
    bytes or None
        None if the file does not have the layer. A flag is its own byte, a quality the bit that its colour stands for;
        a value is its step of the colour scale, from 0 to ``colours.STEPS`` - 1. Land without a value is `GAP`, what is
        not land `NOTHING`.
    """
    fields = fields_of(path, {layer, LayerName.FLAG})
    if layer not in fields:
        return None
    flag, values = fields.get(LayerName.FLAG), fields[layer]
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
