"""The variables of an archive: names, packing and CF attributes, the same in daily files and in the cube."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Floats
from runtime.common.quality import QualityBit
from runtime.fill.result import NEVER, Flag

STEP = 1e-4
"""m3 m-3 per packed unit of soil moisture."""

RAIN_STEP = 0.02
"""mm per packed unit of precipitation."""


@dataclass(frozen=True)
class Variable:
    """One published variable, with the dimensions (time, lat, lon)."""

    name: str
    dtype: np.dtype[Any]
    fill: int | None
    """Packed value of a cell without a value; None if every cell has a value."""
    attributes: dict[str, Any] = field(default_factory=dict)
    """CF attributes."""
    step: float | None = None
    """Value of one packed unit; None for counts and flags, which are not packed."""

    @property
    def empty(self) -> int:
        """Packed value of the cells of a day that the cube does not have."""
        return NEVER if self.fill is None else self.fill

    @property
    def encoding(self) -> dict[str, Any]:
        """The encoding with which xarray packs the values as they are in the archive."""
        found: dict[str, Any] = {"dtype": self.dtype}
        if self.fill is not None:
            found["_FillValue"] = self.dtype.type(self.fill)
        if self.step is not None:
            found |= {"scale_factor": np.float32(self.step), "add_offset": np.float32(0)}
        return found

    def pack(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return packed values: rounded to the nearest step, and limited to the range of the type; NaN has no value."""
        if self.step is None:
            whole = np.nan_to_num(values)
        else:
            whole = np.rint(np.nan_to_num(values) / self.step).clip(0, np.iinfo(self.dtype).max)
        stored: NDArray[Any] = np.asarray(np.where(np.isnan(values), self.empty, whole), self.dtype)
        return stored

    def unpack(self, stored: NDArray[Any]) -> Floats:
        """Return the values of packed ones as float32, NaN where there is none."""
        values = stored.astype(np.float32) * np.float32(self.step or 1)
        return values if self.fill is None else np.where(stored == self.fill, np.float32(np.nan), values)


def _packed(name: str, dtype: type[np.integer[Any]], fill: int, step: float, most: int, **attributes: str) -> Variable:
    scaling = {"scale_factor": np.float32(step), "add_offset": np.float32(0)}
    limits = {"valid_min": dtype(0), "valid_max": dtype(most)}
    return Variable(name, np.dtype(dtype), fill, {**attributes, **scaling, **limits}, step)


def _moisture(name: str, standard_name: str, **attributes: str) -> Variable:
    known = {"standard_name": standard_name, "units": "m3 m-3", "coverage_content_type": "modelResult"}
    return _packed(name, np.int16, -32767, STEP, round(1 / STEP), **(known | attributes))


_SOIL = "volume_fraction_of_condensed_water_in_soil"

SOIL_MOISTURE = _moisture("soil_moisture", _SOIL, long_name="surface soil moisture, observed or filled")
OBSERVED = _moisture(
    "soil_moisture_observed",
    _SOIL,
    long_name="surface soil moisture as observed",
    coverage_content_type="physicalMeasurement",
)
UNCERTAINTY = _moisture(
    "soil_moisture_uncertainty",
    f"{_SOIL} standard_error",
    coverage_content_type="qualityInformation",
    long_name="uncertainty of a filled value",
    comment="compared with hidden single retrievals, which are noisy themselves; the model card of the bundle says how "
    "it was made; no value on observed cells",
)
PRECIPITATION = _packed(
    "precipitation",
    np.int16,
    -32767,
    RAIN_STEP,
    32767,
    standard_name="lwe_precipitation_rate",
    long_name="IMERG precipitation of the UTC day, as the network read it",
    units="mm day-1",
    cell_methods="time: mean",
    coverage_content_type="physicalMeasurement",
    comment="area-weighted from 0.1 degree; 655.34 stands for that and more; the attribute inputs names the run",
)
FLAG = Variable(
    "flag",
    np.dtype(np.int8),
    None,
    {
        "standard_name": "status_flag",
        "long_name": "where the value of soil_moisture comes from",
        "flag_values": np.array(list(Flag), np.int8),
        "flag_meanings": " ".join(flag.name.lower() for flag in Flag),
        "coverage_content_type": "qualityInformation",
    },
)
SINCE = Variable(
    "days_since_observation",
    np.dtype(np.int16),
    NEVER,
    {
        "long_name": "days since the cell was last observed",
        "units": "day",
        "comment": "0: on the day itself",
        "coverage_content_type": "auxiliaryInformation",
    },
)

QUALITY_MASKS = {
    "standard_name": "status_flag",
    "flag_masks": np.array([int(bit) for bit in QualityBit], np.int16),
    "flag_meanings": " ".join(str(bit.name).lower() for bit in QualityBit),
    "coverage_content_type": "qualityInformation",
}
"""CF attributes of bits of `QualityBit`."""

QUALITY = Variable(
    "quality_flag",
    np.dtype(np.int16),
    None,
    {
        **QUALITY_MASKS,
        "long_name": "why a value of soil_moisture may be wrong",
        "comment": "0: recommended, and cells without a value; a bit that quality_judged does not have is 0 everywhere",
    },
)

MERGED_UNCERTAINTY = {
    "long_name": "uncertainty of a value, observed or filled",
    "comment": "observed cells: the error of the sensors' weighted mean, from comparing the sensors; filled cells: as "
    "the model card of the bundle says, and larger where noisier sensors than the reference were read",
}
"""Attributes of `UNCERTAINTY` in a file that was made from several sensors."""


def source_variable(bits: Mapping[str, int]) -> Variable:
    """Return the variable that says which sensors saw each cell, with the meaning of its bits.

    Parameters
    ----------
    bits : mapping of str to int
        The bit of each sensor.
    """
    attributes = {
        "standard_name": "status_flag",
        "long_name": "sensors that saw the cell on the day",
        "flag_masks": np.array([1 << bit for bit in bits.values()], np.int16),
        "flag_meanings": " ".join(name.replace("-", "_") for name in bits),
        "coverage_content_type": "qualityInformation",
        "comment": "one bit for each sensor, the same on every day; 0: no sensor saw the cell",
    }
    return Variable("soil_moisture_source", np.dtype(np.int16), None, attributes)


def source_bits(attributes: Mapping[str, Any]) -> dict[str, int]:
    """Return the bit of each sensor from the attributes of a stored `SOURCE`; empty if it says none."""
    masks = np.atleast_1d(attributes.get("flag_masks", ())).tolist()
    return {name: mask.bit_length() - 1 for name, mask in zip(attributes["flag_meanings"].split(), masks, strict=True)}


SOURCE = source_variable({})
"""Without the meaning of its bits, which each archive has of its own; only in files made from several sensors."""

VARIABLES = {v.name: v for v in (SOIL_MOISTURE, OBSERVED, UNCERTAINTY, PRECIPITATION, FLAG, QUALITY, SINCE, SOURCE)}
"""All variables by name, in the order in which they are written."""
