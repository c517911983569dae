"""The gate for inputs: a soil-moisture file must cover as much as those of the days before.

It depends on dates, not on the order in which files arrived: a replay comes to the same verdict.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from runtime.config import Policy

COVERAGE_DAYS = 30
"""Coverage is compared with the median of so many days before."""

_ENOUGH = 10
"""With fewer days before there is no verdict."""


def coverage_fault(share: float, before: Sequence[float], policy: Policy) -> str | None:
    """Return what is wrong with the coverage of a file; None if nothing.

    Parameters
    ----------
    share : float
        Share of the file's cells that have a value.
    before : sequence of float
        The same of the `COVERAGE_DAYS` days before, as far as there were files.
    policy : Policy
        The limit.
    """
    if len(before) < _ENOUGH:
        return None
    usual = statistics.median(before)
    if share >= policy.min_coverage * usual:
        return None
    return f"covers {share:.2%} of its cells where {usual:.2%} is usual of the {COVERAGE_DAYS} days before"
