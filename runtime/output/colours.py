"""The colours of pictures and of the web page: perceptually uniform, and readable for colour-blind people.

Sequences of colours come from Matplotlib, colours of categories from Okabe and Ito (jfly.uni-koeln.de/color).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.common.quality import QualityBit
from runtime.fill.result import Flag

OBSERVED, FILLED, RAIN = "#0072b2", "#d55e00", "#56b4e9"
"""Colours in time series."""

NO_VALUE, NO_LAND = "#9a9a9a", "#e6e9ec"
"""Colours of land cells without a value, and of all other cells."""

STEPS = 250
"""Number of colours of a scale; in a map of bytes, the other 6 of 256 are free for cells without a value."""

DIFFERENCE = "RdBu"
"""Matplotlib's colour map for differences: white for no change, two ends that colour-blind people can tell apart."""

FLAGS = {
    Flag.OBSERVED: OBSERVED,
    Flag.OBSERVED_OFF_LAND_MASK: "#56b4e9",
    Flag.FILLED_FROM_NEIGHBOURS: "#f0e442",
    Flag.FILLED_FROM_OTHER_DAYS: FILLED,
    Flag.NOT_REACHED: NO_VALUE,
    Flag.NOT_LAND: NO_LAND,
}
"""Colour of each flag."""

QUALITY_BITS = {
    QualityBit.FROZEN: "#56b4e9",
    QualityBit.DENSE_VEGETATION: "#009e73",
    QualityBit.SENSOR_FLAG: "#000000",
    QualityBit.AT_LIMIT: "#d55e00",
    QualityBit.JUMP: "#cc79a7",
    QualityBit.NEAR_NEVER_OBSERVED: "#f0e442",
}
"""Colour of each bit of the quality; a cell with several has that of the first."""

RECOMMENDED = "#0072b2"
"""Colour of a value that nothing speaks against."""

CATEGORIES = {
    "flag": {int(flag): (flag.name.lower().replace("_", " "), colour) for flag, colour in FLAGS.items()},
    "quality_flag": {0: ("recommended", RECOMMENDED)}
    | {int(bit): (str(bit.name).lower().replace("_", " "), colour) for bit, colour in QUALITY_BITS.items()},
}
"""Of each variable with categories, the name and the colour of each; of several bits the first one here counts."""


def first_bits(quality: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the bit of each cell's quality that its colour stands for; 0 for no bit."""
    bits = list(QUALITY_BITS)
    return np.select([(quality.astype(np.int16) & bit) > 0 for bit in bits], bits).astype(np.uint8)


@dataclass(frozen=True)
class Scale:
    """How the values of a variable become colours."""

    title: str
    colormap: str
    """Name of Matplotlib's colour map."""
    low: float
    """Value of the first colour."""
    high: float
    """Value of the last colour."""
    unit: str

    @property
    def colours(self) -> list[str]:
        """The `STEPS` colours from low to high, each as ``#rrggbb``."""
        from matplotlib import colormaps

        steps = colormaps[self.colormap](np.linspace(0, 1, STEPS), bytes=True)
        return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b, _ in steps]


SCALES = {
    "soil_moisture": Scale("Soil moisture", "viridis_r", 0.0, 0.6, "m³ m⁻³"),
    "soil_moisture_anomaly": Scale("Drier or wetter than usual", DIFFERENCE, -0.2, 0.2, "m³ m⁻³"),
    "soil_moisture_observed": Scale("Observed only", "viridis_r", 0.0, 0.6, "m³ m⁻³"),
    "soil_moisture_uncertainty": Scale("Uncertainty of filled values", "magma_r", 0.0, 0.2, "m³ m⁻³"),
    "days_since_observation": Scale("Days since the last observation", "cividis_r", 0.0, 10.0, "days"),
    "precipitation": Scale("Precipitation", "cividis_r", 0.0, 50.0, "mm/day"),
}
"""The scale of each variable; values outside it have the colour of the nearer end."""
