"""The 106 fields of an example of the published data set, in the order of its README.

Batchu et al. 2023, "A Deep Learning Data Fusion Model Using Sentinel-1/2, SoilGrids, SMAP, and GLDAS for Soil Moisture
Retrieval" (J. Hydrometeorology 24(10)). The README names the fields; types and shapes are known only of the
fields that the authors' scripts read. The type of any other field is not checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

IMAGE_SIZE = 512
"""Rows and columns of an image."""
SENSOR, LATITUDE, LONGITUDE, TIMESTAMP = "sensor_id", "center_lat", "center_long", "timestamp"
LABEL, OLDER_LABEL = "sm_0_5", "sm_5_5"
"""The label, and its name in some examples; that is none of the 106, and counts where the first is 0."""
SMAP, GLDAS = "smap_sm", "gldas_sm"
ELEVATION = "nasa_dem_elevation"
SOIL_GRIDS = tuple(f"soil_grids_{name}_0-5cm_mean" for name in ("sand_sand", "silt_silt", "clay_clay", "bd_bdod"))
"""In the order in which the authors' network reads them."""


class ValueKind(StrEnum):
    """The three kinds of values of a ``tf.train.Feature``."""

    BYTES = "bytes_list"
    FLOAT = "float_list"
    INT64 = "int64_list"


@dataclass(frozen=True)
class ExampleField:
    """One field of an example."""

    name: str
    kind: ValueKind | None = None
    """None where the authors' scripts do not say it."""
    is_image: bool = False
    """Whether it has one value for each pixel; else it has one value. Known only together with `kind`."""


def _with_times(group: str, names: Iterable[str]) -> list[str]:
    return [f"{group}_{name}" for name in (*names, "time_millis_diff", "timestamp")]


_S1 = ("VH", "VV", "angle")
_S2 = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B11", "B12", "sen_2_mask")
_YEAR = ("max", "mean", "min")
"""Statistics of the year before, of each band."""

_NAMES = (
    *(LATITUDE, LONGITUDE, SENSOR, "size", TIMESTAMP, "utm_easting_northing_image_polygon", "utm_zone", "mask"),
    *_with_times("aster", ("B13", "B14")),
    *_with_times(
        "cgls_lc",
        ("crops-coverfraction", "discrete_classification", "grass-coverfraction", "moss-coverfraction"),
    ),
    *_with_times("gldas", ("evaporation", "rainfall", "sm", "snow_depth", "temp")),
    *_with_times("modis_leaf_area", ("Fpar", "Lai")),
    *_with_times("nasa_dem", ("elevation",)),
    *_with_times("sentinel_1", (*_S1, *(f"{year}_{band}" for year in _YEAR for band in _S1), "orbit_pass")),
    *_with_times("sentinel_2", (*_S2, *(f"{year}_{band}" for year in _YEAR for band in _S2), "cloud_percentage")),
    *_with_times("smap", ("sm",)),
    *(
        name
        for soil, stem in (("bd", "bdod"), ("clay", "clay"), ("sand", "sand"), ("silt", "silt"))
        for name in (f"soil_grids_{soil}_{stem}_0-5cm_mean", *_with_times(f"soil_grids_{soil}", ()))
    ),
    LABEL,
)
_READ_IMAGES = (
    *(f"sentinel_1_{band}" for band in _S1),
    *(f"sentinel_2_{band}" for band in _S2[:-1]),
    ELEVATION,
    *SOIL_GRIDS,
)
_KINDS = {
    SENSOR: ValueKind.BYTES,
    **dict.fromkeys((LATITUDE, LONGITUDE, TIMESTAMP, LABEL, OLDER_LABEL), ValueKind.FLOAT),
    **dict.fromkeys((SMAP, GLDAS, *_READ_IMAGES), ValueKind.INT64),
}


def _known_field(name: str) -> ExampleField:
    return ExampleField(name, _KINDS.get(name), name in _READ_IMAGES)


FIELDS = {name: _known_field(name) for name in _NAMES}
"""The 106 fields, by name."""
KNOWN_KINDS = {name: _known_field(name) for name in _KINDS}
"""The fields whose type the authors' scripts say, by name."""
