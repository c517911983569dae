"""The coverage of days and years, in numbers and as a picture."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from runtime.archive import cf
from runtime.errors import InputsMissing
from runtime.fill.result import Flag
from runtime.fill.statistics import DayStatistics
from runtime.output.coverage_figure import annual_coverage, draw_coverage, write_coverage
from tests.conftest import Runtime, Site, errors


def _day(observed: int, filled: int, not_reached: int) -> DayStatistics:
    return DayStatistics(observed, filled, not_reached, land_mean=0.2, seam=None)


DAYS = {
    dt.date(2019, 12, 30): _day(40, 50, 10),
    dt.date(2019, 12, 31): _day(60, 40, 0),
    dt.date(2020, 1, 2): _day(10, 20, 70),
}


def test_a_year_is_the_mean_of_its_published_days() -> None:
    means = annual_coverage(DAYS)
    assert list(means) == [2019, 2020]
    np.testing.assert_allclose(means[2019], (0.5, 0.95))
    np.testing.assert_allclose(means[2020], (0.1, 0.3))


def test_the_picture_has_a_point_for_each_day_and_a_line_for_each_year(tmp_path: Path) -> None:
    (axis,) = draw_coverage(DAYS).axes
    points = [np.asarray(each.get_offsets()) for each in axis.collections]
    np.testing.assert_allclose(points[0][:, 1], [90, 100, 30])
    np.testing.assert_allclose(points[1][:, 1], [40, 60, 10])
    heights = [line.get_ydata()[0] for line in axis.lines if len(line.get_ydata())]  # type: ignore[index, arg-type]
    np.testing.assert_allclose(heights, [50, 95, 10, 30])
    write_coverage(DAYS, tmp_path / "coverage.png")
    assert matplotlib.image.imread(tmp_path / "coverage.png").shape[:2] == (360, 1000)


def test_no_day_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(InputsMissing, match="no day is published yet"):
        write_coverage({}, tmp_path / "coverage.png")
    assert list(tmp_path.iterdir()) == []


def test_status_says_and_draws_how_much_of_the_land_was_seen(
    window_site: Site, runtime: Runtime, tmp_path: Path
) -> None:
    window_site.fill(0, 3, "policy.max_lag_days=0")
    here, picture = ("--config", window_site.file), tmp_path / "coverage.png"
    shares = json.loads(runtime("status", "--json", *here).stdout)["coverage"]["2020"]
    days = [cf.values(window_site.day_file(day), "flag") for day in range(4)]
    on_land = [flag[(flag != Flag.NOT_LAND) & (flag != Flag.OBSERVED_OFF_LAND_MASK)] for flag in days]
    assert shares["observed"] == pytest.approx(np.mean([(flag == Flag.OBSERVED).mean() for flag in on_land]))
    assert shares["with_value"] == pytest.approx(np.mean([(flag != Flag.NOT_REACHED).mean() for flag in on_land]))
    text = runtime("status", "--plot", picture, *here).stdout
    assert f"2020: {shares['observed']:.1%} of the land observed, {shares['with_value']:.1%} observed or filled" in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    refused = runtime("status", "--plot", "coverage.pdf", *here)
    assert (refused.exit_code, errors(refused.stderr)) == (2, ["error: coverage.pdf: wanted a name that ends in .png"])
