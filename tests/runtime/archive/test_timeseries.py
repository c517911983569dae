"""The archive as a data set of pytesmo: grid points, series, and pytesmo's own validation on stations of ISMN."""

import datetime as dt
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas
import pytest

from runtime import SeamlessTs
from runtime.archive.reader import Reader
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.config import load_config
from runtime.errors import UsageError
from runtime.pipeline.run import fill_archive
from tests.conftest import Site

TOMILLAR = "REMEDHUS_REMEDHUS_ElTomillar_sm_0.000000_0.050000_Stevens-Hydra-Probe_20150401_20150430.stm"


@pytest.fixture
def with_cube() -> bool:
    return False


def test_a_series_by_place_and_by_grid_point(filled_site: Site) -> None:
    reader = SeamlessTs(filled_site.archive)
    found = reader.read(2.2, 45.1)
    gpi, distance = reader.grid.find_nearest_gpi(2.2, 45.1)
    assert distance < 15_000
    pandas.testing.assert_frame_equal(reader.read(gpi), found)
    pandas.testing.assert_frame_equal(reader.read_ts(2.2, 45.1), found)
    series = Reader(filled_site.archive).series(45.1, 2.2)
    assert found.index[0] == pandas.Timestamp("2020-04-01 12:00")
    assert len(found) == len(series.dates)
    assert set(found.columns) == set(series.values)
    for name, values in series.values.items():
        np.testing.assert_array_equal(found[name], values)
    assert reader.grid.gpi2lonlat(gpi) == (2.125, 45.125)


def test_parameters_and_hour_are_chosen(filled_site: Site) -> None:
    found = SeamlessTs(filled_site.archive, parameters=["flag"], hour=1.5).read(2.2, 45.1)
    assert list(found) == ["flag"]
    assert found.index[-1] == pandas.Timestamp("2020-04-14 01:30")
    with pytest.raises(UsageError, match="has no variable sm; it has days_since_observation, flag, precip"):
        SeamlessTs(filled_site.archive, parameters=["sm"])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((-7.0, 47.0), "no land cell of the archive near to 47 N -7 E"),
        ((10**6,), "there is no grid point 1000000; wanted 0 to 4799"),
        ((1, 2, 3), "read takes the number of a grid point, or longitude and latitude"),
    ],
)
def test_places_that_it_does_not_have(args: tuple[float, ...], message: str, filled_site: Site) -> None:
    with pytest.raises(UsageError, match=message):
        SeamlessTs(filled_site.archive).read(*args)


@pytest.mark.slow
def test_pytesmo_validates_an_archive_with_a_station_of_ismn(data: Path, tmp_path: Path) -> None:
    """Pytesmo's R and RMSD of April 2015 at a station are those of numpy on the same pairs."""
    from pytesmo.validation_framework.metric_calculators import BasicMetrics
    from pytesmo.validation_framework.validation import Validation

    config = tmp_path / "spain.toml"
    config.write_text(
        '[archive]\npath = "archive"\nstart = 2015-04-01\n[grid]\nbox = [-10.0, 36.0, 0.0, 44.0]\n'
        '[model]\nengine = "cpu"\n[[feeds.soil_moisture]]\n'
        f'path = "{data / "lprm_april2015_x"}"\nband = "x"\n[feeds.precipitation]\nkind = "none"\n'
    )
    days = DateRange(dt.date(2015, 4, 1), dt.date(2015, 4, 20))
    fill_archive(load_config(config), days, dt.date(2015, 4, 20), RunEvents())
    folder = tmp_path / "ismn" / "REMEDHUS" / "ElTomillar"
    folder.mkdir(parents=True)
    shutil.copy(data / "ismn" / TOMILLAR, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries
        from ismn.interface import ISMN_Interface

        ismn = ISMN_Interface(tmp_path / "ismn")
        (sensor,) = ismn.get_dataset_ids("soil_moisture")
        station = ismn.metadata.loc[sensor]
        lon, lat = float(station["longitude"]["val"]), float(station["latitude"]["val"])
        reader = SeamlessTs(tmp_path / "archive", ["soil_moisture"])
        validation = Validation(
            {
                "ISMN": {"class": ismn, "columns": ["soil_moisture"]},
                "seamless": {"class": reader, "columns": ["soil_moisture"]},
            },
            spatial_ref="ISMN",
            temporal_ref="seamless",
            metrics_calculators={(2, 2): BasicMetrics(other_name="k1").calc_metrics},
            temporal_window=1 / 24,
            scaling=None,
        )
        (found,) = validation.calc(sensor, lon, lat).values()
    ground = ismn.read(sensor)["soil_moisture"]
    ours = reader.read(lon, lat)["soil_moisture"].dropna()
    pairs = ground.reindex(ours.index).to_frame("ground").assign(ours=ours).dropna()
    assert found["n_obs"][0] == len(pairs) >= 15
    assert found["R"][0] == pytest.approx(np.corrcoef(pairs.ground, pairs.ours)[0, 1], abs=1e-5)
    assert found["RMSD"][0] == pytest.approx(np.sqrt(((pairs.ground - pairs.ours) ** 2).mean()), abs=1e-5)
