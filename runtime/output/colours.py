"""Which colours stand for which values, in pictures and on the page: perceptually uniform, safe for the colour-blind.

Sequences come from Matplotlib; categories are Okabe and Ito's (jfly.uni-koeln.de/color).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runtime.fill.result import Flag

OBSERVED, FILLED, RAIN = "#0072b2", "#d55e00", "#56b4e9"
"""In time series."""

NO_VALUE, NO_LAND = "#9a9a9a", "#e6e9ec"

STEPS = 250
"""Of a scale, from low to high; a map of bytes has the rest of 256 for what is no value."""

DIFFERENCE = "RdBu"
"""Two ends that differ for the colour-blind, white where nothing changed."""

FLAGS = {
    Flag.OBSERVED: OBSERVED,
    Flag.OBSERVED_OFF_LAND_MASK: "#56b4e9",
    Flag.FILLED_FROM_NEIGHBOURS: "#f0e442",
    Flag.FILLED_FROM_OTHER_DAYS: FILLED,
    Flag.NOT_REACHED: NO_VALUE,
    Flag.NOT_LAND: NO_LAND,
}


@dataclass(frozen=True)
class Scale:
    """How a variable's values become colours."""

    title: str
    colormap: str
    low: float
    high: float
    unit: str

    @property
    def colours(self) -> list[str]:
        """The sequence from low to high in ``STEPS`` steps, ``#rrggbb``."""
        from matplotlib import colormaps

        steps = colormaps[self.colormap](np.linspace(0, 1, STEPS), bytes=True)
        return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b, _ in steps]


SCALES = {
    "soil_moisture": Scale("Soil moisture", "viridis_r", 0.0, 0.6, "m³ m⁻³"),
    "soil_moisture_observed": Scale("Observed only", "viridis_r", 0.0, 0.6, "m³ m⁻³"),
    "soil_moisture_uncertainty": Scale("Uncertainty of filled values", "magma_r", 0.0, 0.2, "m³ m⁻³"),
    "days_since_observation": Scale("Days since the last observation", "cividis_r", 0.0, 10.0, "days"),
    "precipitation": Scale("Precipitation", "cividis_r", 0.0, 50.0, "mm/day"),
}
"""By variable; values beyond an end have its colour."""
