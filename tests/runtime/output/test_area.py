"""Means over polygons: weights, uncertainty, and the files they end in."""

import csv
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shapely
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import runtime as seamless
from runtime.archive import cf
from runtime.common.grid import Grid
from runtime.common.vocabulary import Tier
from runtime.demo.world import World
from runtime.errors import UsageError
from runtime.fill.result import Filled
from runtime.output import polygon
from runtime.output.area import CORRELATION_KM, mean_error
from runtime.output.polygon import cell_areas, read_polygon
from tests.conftest import START, Runtime, Site, logged
from tests.support.records import day_record, published_day

BASIN = [(-1.0, 43.0), (5.1, 44.2), (2.3, 48.7), (-1.0, 43.0)]


def _written(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document))
    return path


def _polygon(*corners: tuple[float, float]) -> dict[str, object]:
    return {"type": "Polygon", "coordinates": [corners]}


@pytest.fixture
def basin(tmp_path: Path) -> Path:
    feature = {"type": "Feature", "properties": {"name": "made up"}, "geometry": _polygon(*BASIN)}
    return _written(tmp_path / "basin.geojson", {"type": "FeatureCollection", "features": [feature]})


def _sphere_area(corners: list[tuple[float, float]]) -> float:
    """Return the area of a polygon whose sides are straight in longitude and latitude, km2, by Green's theorem."""
    total = 0.0
    for (lon1, lat1), (lon2, lat2) in itertools.pairwise(np.radians([*corners, corners[0]]).tolist()):
        mean = np.sin(lat1) if abs(lat2 - lat1) < 1e-9 else (np.cos(lat1) - np.cos(lat2)) / (lat2 - lat1)
        total += (lon2 - lon1) * mean
    return float(abs(total) * 6371.0**2)


def _clipped(corners: list[tuple[float, float]], axis: int, edge: float, sign: int) -> list[tuple[float, float]]:
    """Return the part of a convex polygon on one side of a meridian or parallel (Sutherland and Hodgman)."""
    found = []
    for here, following in itertools.pairwise([*corners, corners[0]] if corners else []):
        inside, next_inside = sign * (here[axis] - edge) >= 0, sign * (following[axis] - edge) >= 0
        if inside:
            found.append(here)
        if inside != next_inside:
            share = (edge - here[axis]) / (following[axis] - here[axis])
            found.append((here[0] + share * (following[0] - here[0]), here[1] + share * (following[1] - here[1])))
    return found


def _areas_without_shapely(corners: list[tuple[float, float]], grid: Grid) -> NDArray[np.float64]:
    areas = np.zeros(grid.shape)
    for row, col in np.ndindex(*grid.shape):
        part = _clipped(corners, 1, grid.lat_edges[row], -1)
        for axis, edge, sign in ((1, grid.lat_edges[row + 1], 1), (0, grid.lon_edges[col], 1)):
            part = _clipped(part, axis, edge, sign)
        part = _clipped(part, 0, grid.lon_edges[col + 1], -1)
        areas[row, col] = _sphere_area(part) if part else 0
    return areas


def test_cells_are_cut_exactly(grid: Grid) -> None:
    expected = _areas_without_shapely(BASIN[:3], grid)
    np.testing.assert_allclose(cell_areas(shapely.Polygon(BASIN), grid), expected, rtol=1e-4, atol=0.05)


@settings(deadline=None, max_examples=30)
@given(st.floats(-89, 85), st.floats(0.5, 170), st.floats(-180, 300), st.floats(0.5, 300))
def test_areas_add_up_to_that_of_the_polygon(south: float, height: float, west: float, width: float) -> None:
    north, east = min(south + height, 90), min(west + width, 360)
    grid = Grid(90, -180, np.ones((45, 90), bool), 4.0)
    found = cell_areas(shapely.box(west, south, east, north), grid).sum()
    assert found == pytest.approx(_sphere_area([(west, south), (east, south), (east, north), (west, north)]), rel=1e-9)


def test_a_polygon_of_many_corners_is_cut_in_blocks_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid(90, -180, np.ones((45, 90), bool), 4.0)
    angle, radius = np.linspace(0, 2 * np.pi, 2001)[:-1], np.random.default_rng(5).uniform(30, 40, 2000)
    star = shapely.Polygon(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1))
    along_edges = shapely.MultiPolygon(
        [shapely.box(60, 0, 64, 44), shapely.box(64.5, 10, 70, 12).union(shapely.box(68, 12, 76, 40))]
    )
    shape = star.difference(shapely.box(-8, -8, 6, 10)).union(along_edges)
    whole = cell_areas(shape, grid)
    monkeypatch.setattr(polygon, "_AT_ONCE", 0)
    np.testing.assert_allclose(cell_areas(shape, grid), whole, rtol=1e-9, atol=1e-6)


def _turned_by_two(corners: int) -> dict[str, object]:
    """Return a star whose lines go around its middle twice."""
    angles = 4 * np.pi * np.arange(corners + 1) / corners
    return _polygon(*np.stack([10 * np.cos(angles), 10 * np.sin(angles)], axis=1).tolist())


def test_what_an_outline_goes_around_twice_is_inside(tmp_path: Path) -> None:
    pentagram = read_polygon(_written(tmp_path / "star.geojson", _turned_by_two(5)))
    inner = 10 * np.cos(np.radians(72)) / np.cos(np.radians(36))
    assert pentagram.is_valid
    assert pentagram.area == pytest.approx(5 * 10 * inner * np.sin(np.radians(36)))


def test_a_tangle_of_lines_is_refused_at_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 40, (3000, 2)).round(3).tolist()
    tangle = _polygon(*corners, corners[0])
    several = {"type": "MultiPolygon", "coordinates": [tangle["coordinates"]]}
    needles = [_polygon(a, b, (b[0] + 0.01, b[1] + 0.01), a) for a, b in itertools.pairwise(corners)]
    teeth = [(x / 40, y) for x in range(0, 1600, 2) for y in ((0, 40) if x % 4 else (40, 0))]
    across = [(y, x) for x, y in teeth]
    combs = [_polygon(*teeth, (40, -1), (-1, -1), teeth[0]), _polygon(*across, (-1, 40), (-1, -1), across[0])]
    assert all(shapely.geometry.shape(each).is_valid for each in combs)
    for number, document in enumerate([tangle, several, {"geometries": needles}, {"geometries": combs}]):
        with pytest.raises(UsageError, match="lines of its polygons cross each other again and again; is it an area"):
            read_polygon(_written(tmp_path / f"{number}.geojson", document))
    few = [*corners[:30], corners[0]]
    assert read_polygon(_written(tmp_path / "few.geojson", _polygon(*few))).is_valid


def test_polygons_side_by_side_are_united(tmp_path: Path) -> None:
    """Their borders have as many near lines as a tangle of fewer lines."""
    rng = np.random.default_rng(3)
    heights = np.linspace(0, 10, 5000)
    borders = [np.column_stack([x + rng.uniform(0, 0.2, 5000), heights]) for x in range(21)]
    polygons = [np.concatenate([left, right[::-1], left[:1]]).tolist() for left, right in itertools.pairwise(borders)]
    document = {"type": "MultiPolygon", "coordinates": [[each] for each in polygons]}
    around = np.concatenate([borders[0], borders[-1][::-1]])
    assert read_polygon(_written(tmp_path / "basins.geojson", document)).area == pytest.approx(
        shapely.Polygon(around).area, rel=1e-9
    )


def test_polygons_that_overlap_often_are_united(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    circles = shapely.buffer(shapely.points(rng.uniform(0, 3, (500, 2))), 1.0)
    document = {"type": "GeometryCollection", "geometries": [shapely.geometry.mapping(each) for each in circles]}
    found = read_polygon(_written(tmp_path / "circles.geojson", document))
    assert found.symmetric_difference(shapely.union_all(circles)).area < 1e-9


def test_the_cells_of_an_ease_grid_are_equally_large() -> None:
    areas = cell_areas(shapely.box(10, 20, 12, 70), Grid.ease2(36))
    whole = areas[areas > 0.999 * areas.max()]
    assert whole.size > 500
    assert whole == pytest.approx(36.03222**2, rel=1e-3)


def test_errors_of_a_mean() -> None:
    rng = np.random.default_rng(3)
    lat, lon = rng.uniform(40, 45, 300), rng.uniform(-3, 3, 300)
    parts = rng.uniform(0, 1, (4, 300)) / 300
    together = mean_error(parts, lat, lon, 1e9)
    np.testing.assert_allclose(together, parts.sum(1), rtol=1e-5)
    np.testing.assert_allclose(mean_error(parts, lat, lon, 0), np.sqrt((parts**2).sum(1)))
    usual = mean_error(parts, lat, lon)
    assert ((usual > mean_error(parts, lat, lon, 100)) & (usual < together)).all()
    a, b = np.radians([lat[0], lat[1]])
    angle = np.arccos(np.sin(a) * np.sin(b) + np.cos(a) * np.cos(b) * np.cos(np.radians(lon[0] - lon[1])))
    p, q = parts[0, :2]
    expected = np.sqrt(p**2 + q**2 + 2 * p * q * np.exp(-6371 * angle / CORRELATION_KM))
    assert mean_error(parts[0, :2], lat[:2], lon[:2]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"type": "Point", "coordinates": [1, 2]}, "has a Point; wanted polygons only"),
        ({"type": "FeatureCollection", "features": []}, "has no polygon with an area"),
        ({"name": "x"}, "is not GeoJSON with polygons"),
        ([1], "is not GeoJSON with polygons"),
        (_polygon((4e5, 4e6), (5e5, 4e6), (5e5, 5e6), (4e5, 4e6)), "which are no degrees; ogr2ogr"),
        ({**_polygon(*BASIN), "crs": {"properties": {"name": "urn:ogc:def:crs:EPSG::32631"}}}, "is in urn:ogc:def:crs"),
    ],
)
def test_files_that_are_refused(document: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        read_polygon(_written(tmp_path / "basin.geojson", document))
    assert message in str(error.value)


def test_parts_of_a_file_count_once(tmp_path: Path) -> None:
    bow_tie = _polygon((0, 0), (2, 2), (2, 0), (0, 2), (0, 0))
    parts = [{"type": "Feature", "geometry": geometry} for geometry in (None, bow_tie, bow_tie)]
    read = read_polygon(_written(tmp_path / "two.geojson", {"type": "FeatureCollection", "features": parts}))
    assert read.area == pytest.approx(2)


def test_both_sides_of_the_date_line() -> None:
    grid = Grid(70, -180, np.ones((40, 360), bool), 1.0)
    across = cell_areas(shapely.box(175, 40, 190, 50), grid)
    halves = shapely.MultiPolygon([shapely.box(175, 40, 180, 50), shapely.box(-180, 40, -170, 50)])
    np.testing.assert_allclose(across, cell_areas(halves, grid), rtol=1e-9)


def test_the_mean_of_each_day(filled_site: Site, basin: Path) -> None:
    archive = seamless.open_archive(filled_site.archive)
    found = archive.seamless.area_mean(basin).load()
    grid = Grid.of_axes(archive.lat.values, archive.lon.values)
    area = cell_areas(shapely.Polygon(BASIN), grid)
    values, sigma = archive.soil_moisture.values, archive.soil_moisture_uncertainty.values
    weights = np.where(np.isfinite(values), area, 0)
    weights /= weights.sum((1, 2), keepdims=True)
    np.testing.assert_allclose(found.soil_moisture, np.nansum(values * weights, (1, 2)), rtol=1e-6)
    assert float((found.observed_share + found.filled_share).max()) <= 1 + 1e-9
    observed = (area * archive.soil_moisture_observed.notnull().values).sum((1, 2))
    land = (area * (grid.with_land().land | np.isfinite(values))).sum((1, 2))
    np.testing.assert_allclose(found.observed_share, observed / land)
    most = (np.nan_to_num(sigma) * weights).sum((1, 2))
    error = found.soil_moisture_uncertainty
    assert most.max() > 0.01
    assert ((error > 0.2 * most) & (error < most))[most > 0].all()
    assert (error[most == 0] == 0).all()
    assert (archive.seamless.area_mean(basin, 20).soil_moisture_uncertainty < error)[most > 0].all()
    assert (archive.seamless.area_mean(basin, observed_error=0.05).soil_moisture_uncertainty > error).all()


def test_the_command_writes_csv_and_netcdf(filled_site: Site, runtime: Runtime, basin: Path, tmp_path: Path) -> None:
    asked = ("series", "--polygon", basin, "--config", filled_site.file)
    found = seamless.open_archive(filled_site.archive).seamless.area_mean(basin).load()
    rows = list(csv.DictReader(runtime(*asked).stdout.splitlines()))
    assert [row["date"] for row in rows] == [str(day)[:10] for day in found.time.values]
    np.testing.assert_allclose([float(row["soil_moisture (m3 m-3)"]) for row in rows], found.soil_moisture, atol=6e-5)
    np.testing.assert_allclose([float(row["observed_share"]) for row in rows], found.observed_share, atol=1e-5)
    out = tmp_path / "basin.nc"
    said = runtime(*asked, "--error-correlation", "50", "--out", out)
    assert said.stdout == f"wrote {out}: mean over {basin}, 2020-04-01 to 2020-04-14, 14 days\n", said.stderr
    with xarray.open_dataset(out) as written:
        np.testing.assert_allclose(written.soil_moisture, found.soil_moisture, rtol=1e-6)
        assert written.soil_moisture_uncertainty.sum() < found.soil_moisture_uncertainty.sum()
        assert "50 km" in written.soil_moisture_uncertainty.attrs["comment"]
    checker = Path(sys.executable).with_name("compliance-checker")
    report = subprocess.run([checker, "-t", "cf:1.11", out], capture_output=True, text=True)
    assert "All tests passed!" in report.stdout, report.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give one of: --lat and --lon, --stations FILE, --polygon FILE"),
        (("--lat", "45"), "give one of"),
        (("--lat", "45", "--lon", "5", "--polygon", "x"), "give one of"),
        (
            ("--lat", "45", "--lon", "5", "--error-correlation", "9"),
            "--error-correlation and --observed-error need --polygon",
        ),
        (("--polygon", "no.geojson"), "no.geojson: cannot be read (No such file or directory)"),
        (("--stations", "no.csv"), "no.csv: cannot be read (No such file or directory)"),
    ],
)
def test_mistakes(arguments: tuple[str, ...], message: str, filled_site: Site, runtime: Runtime) -> None:
    said = runtime("series", *arguments, "--config", filled_site.file)
    assert (said.exit_code, said.stderr.count("\n")) == (2, 1), said.stderr
    assert message in said.stderr


def test_polygons_elsewhere(filled_site: Site) -> None:
    archive = seamless.open_archive(filled_site.archive)
    for box, where in (((-9, 46, -7, 48), "in the sea"), ((20, 20, 30, 30), "outside the archive")):
        with pytest.raises(UsageError, match=where):
            archive.seamless.area_mean(shapely.box(*box))
    with logged() as lines:
        archive.seamless.area_mean(shapely.box(0, 45, 3, 55))
    assert any("of the polygon is outside the archive" in line for line in lines)


@pytest.mark.slow
def test_a_year_equals_the_weighted_mean_of_xarray(tmp_path: Path, grid: Grid) -> None:
    """A year of a made-up world: of a box whole cells count with the cosine of latitude, of a triangle cut ones."""
    for day in World(grid, seed=7).days(START, 366):
        filled = Filled(day.truth, day.observed, np.zeros(grid.shape, np.int8), np.zeros(grid.shape, np.int16))
        path = tmp_path / cf.CfLayout().relative_path(day.date)
        path.parent.mkdir(exist_ok=True)
        record = day_record(day.date, tier=Tier.CONSOLIDATED, model="m")
        cf.CfLayout().write(path, published_day(record, grid, filled))
    archive = seamless.open_archive(tmp_path)
    assert archive.sizes["time"] == 366
    values = archive.soil_moisture.load()
    box = values.sel(lat=slice(48, 42), lon=slice(-1, 5))
    expected = box.weighted(np.cos(np.radians(box.lat))).mean(("lat", "lon"))
    found = archive.seamless.area_mean(shapely.box(-1, 42, 5, 48)).soil_moisture
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    area = xarray.DataArray(_areas_without_shapely(BASIN[:3], grid), {"lat": values.lat, "lon": values.lon})
    expected = values.weighted(area).mean(("lat", "lon"))
    found = archive.seamless.area_mean(shapely.Polygon(BASIN)).soil_moisture
    np.testing.assert_allclose(found, expected, rtol=1e-6)
