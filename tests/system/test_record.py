"""The record of SGD-SM 2.0, made from its preset with the bundle as it is shipped: three sensors, two handovers."""

import datetime as dt
from pathlib import Path

import pytest

from benchmarks.record import Record, eras_around_handovers, fill_whole, steps_around_handovers
from runtime.common.clock import DAY, DateRange

pytestmark = pytest.mark.slow

ERA = 20
"""Days of each sensor in the short record."""


def test_sixty_days_over_both_handovers_lack_only_the_days_without_a_file(tmp_path: Path) -> None:
    firsts = [dt.date(2011, 9, 15) + number * ERA * DAY for number in range(3)]
    eras = [DateRange(first, first + (ERA - 1) * DAY) for first in firsts]
    absent = [firsts[0] + 8 * DAY, firsts[0] + 9 * DAY, firsts[2]]
    found = fill_whole(Record(tmp_path, eras, absent))
    assert (found["bundle"], found["days"], found["files published"]) == ("seamless-2", 3 * ERA, 3 * ERA - 3)
    why = "no soil moisture, and policy.max_outage_days = 0 leaves such days out"
    assert found["days left out"] == {str(date): why for date in absent}
    assert found["faults"] == []
    steps = found["steps"]
    assert [*steps] == [str(firsts[1]), str(firsts[2] + DAY)]
    assert steps[str(firsts[1])]["against the truth"] < -0.03


def test_matching_makes_both_steps_smaller(tmp_path: Path) -> None:
    """No sensor of the record has a file before its own days, so that its first days match those of other years."""
    record = Record(tmp_path / "around", eras_around_handovers(Record(tmp_path / "whole")))
    found = steps_around_handovers(record, "handover.days=6")
    assert [step["matched"] for step in found["matched"].values()] == ["seasons", "seasons"]
    for before, after in zip(found["as it is"].values(), found["matched"].values(), strict=True):
        assert before["matched"] is None
        assert abs(after["against the truth"]) < abs(before["against the truth"]) - 0.005
