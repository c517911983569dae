"""A whole archive as one dataset."""

import numpy as np
import pytest

import runtime
from runtime.archive import cf
from runtime.errors import InputsMissing, UsageError
from tests.conftest import START, Site


def test_the_whole_record_opens_lazily(filled_site: Site) -> None:
    archive = runtime.open_archive(filled_site.archive)
    assert archive.soil_moisture.chunks is not None
    assert archive.soil_moisture.dtype == np.float32
    assert archive.attrs["license"].startswith("CC-BY-4.0")
    assert archive.attrs["time_coverage_start"] == f"{START}T00:00:00Z"
    one = archive.sel(time="2020-04-06")
    np.testing.assert_array_equal(one.soil_moisture, cf.values(filled_site.day_file(5), "soil_moisture"))
    np.testing.assert_array_equal(one.flag, cf.values(filled_site.day_file(5), "flag"))
    np.testing.assert_array_equal(one.quality_flag, cf.values(filled_site.day_file(5), "quality_flag"))


def test_recommended_values_are_those_without_a_bit(filled_site: Site) -> None:
    archive = runtime.open_archive(filled_site.archive).sel(time="2020-04-06").load()
    good = archive.seamless.recommended()
    marked = archive.quality_flag.values > 0
    assert marked.any()
    for name in ("soil_moisture", "soil_moisture_observed", "soil_moisture_uncertainty"):
        np.testing.assert_array_equal(np.isnan(good[name]), np.isnan(archive[name]) | marked)
    np.testing.assert_array_equal(good.flag, archive.flag)
    with pytest.raises(UsageError, match="the archive has no quality_flag"):
        archive.drop_vars("quality_flag").seamless.recommended()


def test_an_archive_without_days_says_what_makes_them(window_site: Site) -> None:
    with pytest.raises(InputsMissing, match="no day is published there; `runtime fill` makes them"):
        runtime.open_archive(window_site.archive)
