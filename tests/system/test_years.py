"""A record fed as it arrives is the record filled in order, to the byte, over hand-overs, outages and reprocessing."""

import datetime as dt
from pathlib import Path

import pytest

from benchmarks.twenty_years import Simulation


def _differences(folder: Path, first: dt.date, days: int, bundle: str) -> list[str]:
    simulation = Simulation(folder, first, days, bundle=bundle)
    simulation.feed_as_it_arrives(say=lambda *_, **__: None)
    simulation.fill_in_order()
    assert simulation.figures()["published"] >= days - 3
    return simulation.differences()


@pytest.mark.slow
@pytest.mark.parametrize(("bundle", "days"), [("sgdsm2-amsr2-x", 40), ("seamless-2", 20)])
def test_some_days_over_a_hand_over(bundle: str, days: int, tmp_path: Path) -> None:
    """WindSat hands over to AMSR2 on 3 July 2012."""
    assert _differences(tmp_path, dt.date(2012, 6, 18), days, bundle) == []


@pytest.mark.slow
def test_a_year_over_both_hand_overs(tmp_path: Path) -> None:
    """AMSR-E hands over to WindSat on 4 October 2011, WindSat to AMSR2 on 3 July 2012."""
    assert _differences(tmp_path, dt.date(2011, 8, 20), 365, "sgdsm2-amsr2-x") == []
