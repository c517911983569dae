"""The ways in which an evaluation hides observations, and which stations it uses."""

from __future__ import annotations

from enum import StrEnum

from runtime.common.vocabulary import Tier

TIERS = (Tier.CONSOLIDATED, Tier.PROVISIONAL)


class GapKind(StrEnum):
    """How observations are hidden; the first is the headline."""

    REAL = "real gaps"
    """The cells that were not observed on the following day: gaps as they are, swaths, coasts, snow and all."""
    STRIPS = "wide strips"
    """Slanted strips of 60 in every 200 columns, whose middle lies further from an observation than most real gaps."""


KINDS = tuple(GapKind)
HEADLINE = GapKind.REAL
"""The kind whose figures a bundle's card and error table take."""

DEEPEST = 0.05
"""Metres: the lower end of the layer that a sensor may measure in SGD-SM 2.0; in 1.0 it is 0.1."""
FEWEST_DAYS = 365
"""Days of record, from the first to the last good reading, that a station needs: one year, as in both papers."""
