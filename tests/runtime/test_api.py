"""What `import runtime` offers to programs."""

import numpy as np
import pytest

import runtime
from runtime.archive import cf
from runtime.errors import InputsMissing
from tests.conftest import Site


def test_fill_day_fills_publishes_and_returns(window_site: Site) -> None:
    day = runtime.fill_day("2020-04-06", window_site.file, overrides=["model.engine=cpu"])
    assert day.sizes["time"] == 1
    np.testing.assert_array_equal(day.soil_moisture[0], cf.values(window_site.day_file(5), "soil_moisture"))
    before = window_site.published()
    runtime.fill_day(window_site.date(5), window_site.file)
    assert window_site.published() == before


def test_fill_day_raises_what_the_command_would_say(window_site: Site) -> None:
    window_site.lprm(5).unlink()
    with pytest.raises(InputsMissing, match="2020-04-06 is not filled"):
        runtime.fill_day("2020-04-06", window_site.file, overrides=["policy.max_outage_days=0"])
