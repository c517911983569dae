"""The ways in which an evaluation hides observations."""

from __future__ import annotations

from enum import StrEnum

from runtime.common.vocabulary import Tier

TIERS = (Tier.CONSOLIDATED, Tier.PROVISIONAL)


class GapKind(StrEnum):
    """How observations are hidden."""

    STRIPS = "strips"
    """Slanted parallel strips over the whole grid, like the gaps between swaths."""
    REAL_MASKS = "real masks"
    """The gaps of another day."""
    SQUARES = "squares"
    """One square on each continent."""


KINDS = tuple(GapKind)
