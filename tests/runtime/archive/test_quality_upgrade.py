"""An archive that was made before there was a quality flag."""

import numpy as np
import pytest

import runtime
from runtime.archive.verify import archive_faults
from runtime.common.vocabulary import LayoutName
from runtime.errors import UsageError
from runtime.pipeline import compute, context
from tests.conftest import MakeSite, Site


@pytest.fixture
def with_cube() -> bool:
    return True


def test_it_is_readable_and_gets_the_flag_day_by_day(make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site()
    with monkeypatch.context() as earlier:
        earlier.setattr(compute, "day_quality", lambda *_: None)
        earlier.setitem(context.LAYOUT_VERSIONS, LayoutName.CF, 2)
        site.fill(5, 7)
        with pytest.raises(UsageError, match="the archive has no quality_flag"):
            runtime.open_archive(site.archive).seamless.recommended()
    site.fill(7, 7)
    flags = runtime.open_archive(site.archive).quality_flag.values
    assert (flags[:2] == -1).all()
    assert (flags[2] >= 0).all()
    good = runtime.open_archive(site.archive).seamless.recommended().soil_moisture.values
    assert np.isnan(good[:2]).all()
    assert np.isfinite(good[2]).any()
    assert archive_faults(site.config(), lambda items, _: items) == []
    assert site.fill(5, 7).filled == [Site.date(5), Site.date(6)]
    fresh = make_site(name="fresh")
    fresh.fill(5, 7)
    assert site.published() == fresh.published()
    both = (runtime.open_archive(each.archive).quality_flag.values for each in (site, fresh))
    np.testing.assert_array_equal(*both)
