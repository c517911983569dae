"""The bits of ``quality_flag``: why a value may be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray


class QualityBit(IntFlag):
    """Why a value may be wrong (CF flag_masks; flag_meanings are the names in lower case)."""

    AT_LIMIT = 1
    """The value is 0, or 0.6 m3 m-3 or more."""
    JUMP = 2
    """It is far above, or far below, the observations before and after it."""
    SENSOR_FLAG = 4
    """The input file warns of it, for another reason than frost and vegetation."""
    NEAR_NEVER_OBSERVED = 8
    """The cell, or one of the eight around it, is land that was never observed."""
    FROZEN = 16
    """The input file says that the soil is frozen or under snow."""
    DENSE_VEGETATION = 32
    """The input file says that the vegetation is dense."""


OF_PRODUCT = QualityBit.SENSOR_FLAG | QualityBit.FROZEN | QualityBit.DENSE_VEGETATION
"""The bits that only an input file can tell."""


@dataclass(frozen=True)
class ProductMarks:
    """What an input file says of its own values, and of cells for which it has none."""

    bits: NDArray[np.uint8]
    """Bits of `OF_PRODUCT`; the grid's shape."""
    judged: QualityBit
    """The bits that the file tells; it has no variable for the others."""
