"""The ways in which an evaluation hides observations."""

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
