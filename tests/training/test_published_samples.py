"""Samples as published, against plain loops over cells written from the text of the papers.

SGD-SM 1.0: doi:10.5194/essd-13-1385-2021; SGD-SM 2.0: doi:10.5194/essd-14-4473-2022.
"""

import datetime as dt
import shutil
from pathlib import Path

import numpy as np
import pytest

from runtime.common.grid import Grid
from training.recipe import load_recipe
from training.samples import Choices, Geometry, Samples, SampleSource, TrainingArchive
from training.samples.packed import SOIL_MOISTURE, write_days

PATCH, CONTEXT, STRIDE = 8, 3, 2
WINDOW = Geometry(PATCH, CONTEXT, days=5, label=2)
SEQUENCE = Geometry(PATCH, 0, days=3, label=None)
Place = tuple[int, int, int]


@pytest.fixture(scope="module")
def island(tmp_path_factory: pytest.TempPathFactory) -> TrainingArchive:
    """Nine days of land between two seas; gaps on land, some of them lasting; values rise to the south and east."""
    rng = np.random.default_rng(5)
    land = np.ones((34, 46), bool)
    land[:, :9] = land[26:, 30:] = False
    days = []
    for _ in range(9):
        values = 0.1 + 0.002 * np.arange(34)[:, None] + 0.003 * np.arange(46)[None]
        for _ in range(4):
            row, col, tall, wide = (int(rng.integers(*limits)) for limits in ((0, 30), (5, 42), (2, 11), (2, 9)))
            values[row : row + tall, col : col + wide] = np.nan
        days.append((np.where(land, values, np.nan).astype(np.float32),))
    folder = tmp_path_factory.mktemp("island") / "a"
    grid = Grid(50.0, 0.0, land, 0.25)
    write_days(
        folder, grid, days, [SOIL_MOISTURE], first=dt.date(2020, 4, 1), count=9, source="an island", progress=None
    )
    return TrainingArchive.open(folder)


def _patches(archive: TrainingArchive, geometry: Geometry, stride: int) -> list[tuple[int, int]]:
    """Every row and column at which a patch with its context fits on the grid."""
    size = geometry.patch + 2 * geometry.context
    rows, cols = archive.grid.land.shape
    return [(row, col) for row in range(0, rows - size + 1, stride) for col in range(0, cols - size + 1, stride)]


def _count(archive: TrainingArchive, geometry: Geometry, day: int, row: int, col: int) -> tuple[int, int]:
    """The land cells of a patch, and those of them without a value on a day, counted one by one."""
    values, land = archive.soil_moisture(day, 1)[0], archive.grid.land
    cells, gaps = 0, 0
    for i in range(row + geometry.context, row + geometry.context + geometry.patch):
        for j in range(col + geometry.context, col + geometry.context + geometry.patch):
            if land[i, j]:
                cells += 1
                if np.isnan(values[i, j]):
                    gaps += 1
    return cells, gaps


def _is_undamaged(archive: TrainingArchive, geometry: Geometry, day: int, row: int, col: int) -> bool:
    cells, gaps = _count(archive, geometry, day, row, col)
    return cells >= PATCH * PATCH / 2 and gaps == 0


def _places(archive: TrainingArchive, geometry: Geometry, choices: Choices) -> set[Place]:
    (found,) = Samples([SampleSource(archive)], geometry, choices, seed=0)._places
    places = [(int(day), int(row), int(col)) for day, row, col in found]
    assert len(places) == len(set(places))
    return set(places)


@pytest.mark.parametrize("geometry", [WINDOW, Geometry(PATCH, 0, days=5, label=2)])
def test_the_land_of_a_patch_of_sgdsm1_is_undamaged_on_the_day_to_fill(
    geometry: Geometry, island: TrainingArchive
) -> None:
    expected = {
        (day - 2, row, col)
        for day in range(9)
        for row, col in _patches(island, geometry, STRIDE)
        if _is_undamaged(island, geometry, day, row, col)
    }
    found = _places(island, geometry, Choices(complete_days="middle", min_observed=0.5))
    assert found == expected
    coasts = [place for place in found if _count(island, geometry, place[0] + 2, *place[1:])[0] < PATCH * PATCH]
    assert 0 < len(coasts) < len(found)


@pytest.mark.parametrize("geometry", [SEQUENCE, Geometry(PATCH, 0, days=3, label=1)])
def test_the_land_of_a_patch_of_sgdsm2_is_undamaged_on_every_day(geometry: Geometry, island: TrainingArchive) -> None:
    expected = {
        (first, row, col)
        for first in range(9 - 3 + 1)
        for row, col in _patches(island, geometry, STRIDE)
        if all(_is_undamaged(island, geometry, first + k, row, col) for k in range(3))
    }
    found = _places(island, geometry, Choices(complete_days="all", min_observed=0.5))
    assert found == expected
    assert 0 < len(found) < len(_places(island, geometry, Choices(complete_days="middle", min_observed=0.5)))


def test_without_a_patch_undamaged_on_every_day_the_error_counts_those_of_the_middle_day(
    island: TrainingArchive,
) -> None:
    whole = Geometry(PATCH, 0, days=9, label=None)
    middle = _places(island, whole, Choices(complete_days="middle", min_observed=1.0))
    with pytest.raises(ValueError, match=rf"0 of {len(middle)} places .*samples\.complete_days to 'middle'"):
        _places(island, whole, Choices(complete_days="all", min_observed=1.0))
    with pytest.raises(ValueError, match="100% observed land and has no gap"):
        _places(island, Geometry(30, 0, days=3, label=None), Choices(complete_days="all", min_observed=1.0))


def _masks(archive: TrainingArchive, geometry: Geometry) -> dict[Place, bytes]:
    """Every mask there is: patches without sea of which 30-70 % are gaps, and the gaps of patch and context."""
    masks = {}
    size = geometry.patch + 2 * geometry.context
    for day in range(len(archive)):
        values = archive.soil_moisture(day, 1)[0]
        for row, col in _patches(archive, geometry, 1):
            cells, gaps = _count(archive, geometry, day, row, col)
            if cells == PATCH * PATCH and 0.3 <= gaps / (PATCH * PATCH) <= 0.7:
                mask = np.zeros((size, size), bool)
                for i in range(size):
                    for j in range(size):
                        mask[i, j] = archive.grid.land[row + i, col + j] and np.isnan(values[row + i, col + j])
                masks[day, row, col] = mask.tobytes()
    return masks


@pytest.mark.parametrize("geometry", [WINDOW, SEQUENCE])
def test_the_pool_holds_real_masks_of_any_place_and_day(geometry: Geometry, island: TrainingArchive) -> None:
    expected = _masks(island, geometry)
    (every,) = Samples([SampleSource(island)], geometry, Choices(mask_pool=len(expected)), seed=0).pools
    assert {
        (int(day), int(row), int(col)): every.mask(n).tobytes() for n, (day, row, col) in enumerate(every.places)
    } == (expected)
    (some,) = Samples([SampleSource(island)], geometry, Choices(mask_pool=40), seed=0).pools
    drawn = [tuple(int(value) for value in place) for place in some.places]
    assert len(set(drawn)) == 40
    assert set(drawn) < set(expected)
    assert len({place[0] for place in drawn}) > 5, "of many days"
    shares = [_count(island, geometry, *place)[1] / PATCH**2 for place in drawn]  # type: ignore[arg-type]
    np.testing.assert_allclose(some.shares(), shares)
    with pytest.raises(
        ValueError, match=rf"only {len(expected)} of {len(expected) + 1} masks.*lower samples\.mask_pool"
    ):
        Samples([SampleSource(island)], geometry, Choices(mask_pool=len(expected) + 1), seed=0)


def test_the_masks_come_from_the_days_of_the_source(island: TrainingArchive) -> None:
    source = SampleSource(island, dt.date(2020, 4, 3), dt.date(2020, 4, 5))
    (pool,) = Samples([source], SEQUENCE, Choices(mask_pool=30), seed=0).pools
    assert set(pool.places[:, 0]) <= {2, 3, 4}


def test_the_pool_depends_on_the_seed_alone(island: TrainingArchive, tmp_path: Path) -> None:
    choices = Choices(real_masks=1.0, mask_pool=40)
    first = Samples([SampleSource(island)], WINDOW, choices, seed=1)
    kept = Samples([SampleSource(island)], WINDOW, choices, seed=1)
    shutil.copytree(island.folder, tmp_path / "b", ignore=shutil.ignore_patterns("masks-*", "places-*"))
    again = Samples([SampleSource(TrainingArchive.open(tmp_path / "b"))], WINDOW, choices, seed=1)
    for samples in (kept, again):
        for one, other in zip(first.sample(7), samples.sample(7), strict=True):
            np.testing.assert_array_equal(one, other)
    (pool,), (other_pool,) = first.pools, Samples([SampleSource(island)], WINDOW, choices, seed=2).pools
    assert not np.array_equal(pool.places, other_pool.places)


@pytest.mark.parametrize("geometry", [WINDOW, SEQUENCE])
def test_every_sample_hides_a_mask_of_the_pool(geometry: Geometry, island: TrainingArchive) -> None:
    choices = Choices(complete_days="middle", min_observed=1.0, real_masks=1.0, mask_pool=60, flipped=0)
    samples = Samples([SampleSource(island)], geometry, choices, seed=3)
    (pool,) = samples.pools
    core = slice(CONTEXT, -CONTEXT) if geometry.context else slice(None)
    masks = {pool.mask(number)[core, core].tobytes() for number in range(60)}
    seen = set()
    middle = 0 if geometry.label is not None else geometry.days // 2
    batch = samples.batch(0, 80)
    for hidden, labelled in zip(batch.hidden[:, middle], batch.labelled[:, middle], strict=True):
        assert (labelled == 1).all()
        assert (hidden == 1).tobytes() in masks
        seen.add(hidden.tobytes())
    assert len(seen) > 20


def test_a_mask_goes_on_in_the_context(island: TrainingArchive) -> None:
    choices = Choices(complete_days="middle", min_observed=1.0, real_masks=1.0, mask_pool=60, flipped=0)
    samples = Samples([SampleSource(island)], WINDOW, choices, seed=3)
    (pool,) = samples.pools
    plain = Samples([SampleSource(island)], WINDOW, choices.model_copy(update={"real_masks": 0}), seed=3)
    size = WINDOW.size
    observed = {
        place: island.observed(place[0] + 2, *place[1:], size)
        for place in ((int(day), int(row), int(col)) for day, row, col in plain._places[0])
    }
    shown = samples.batch(0, 20).mask[:, WINDOW.label] == 1
    masks = [pool.mask(number) for number in range(60)]
    for sample in shown:
        assert any(np.array_equal(sample, day & ~mask) for day in observed.values() for mask in masks)


def test_flips_can_be_switched_off(island: TrainingArchive) -> None:
    for flipped, alone in ((0.0, True), (0.5, False)):
        choices = Choices(complete_days="middle", min_observed=1.0, flipped=flipped)
        truth = Samples([SampleSource(island)], WINDOW, choices, seed=0).batch(0, 30).truth[:, 0]
        for axis in (1, 2):
            assert (np.diff(truth, axis=axis) > 0).all() == alone


@pytest.mark.parametrize(
    ("name", "days", "masks"), [("stpcnn-paper", "middle", 10_000), ("lstmcnn-paper", "all", 30_000)]
)
def test_the_published_presets_add_nothing_of_ours(name: str, days: str, masks: int) -> None:
    recipe = load_recipe(name)
    samples, schedule = recipe.samples, recipe.schedule
    assert recipe.geometry().patch == 40
    assert (samples.complete_days, samples.mask_pool, samples.real_masks) == (days, masks, 1)
    published = {"patch", "context", "sequence", "min_observed", "complete_days", "real_masks", "mask_pool"}
    assert not any(samples.model_dump(exclude=published).values())
    assert not any((schedule.clip, schedule.weight_decay, schedule.average, schedule.truncate, schedule.patience))


def test_a_pool_and_near_days_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="give mask_pool or mask_days"):
        Choices(mask_pool=10, mask_days=3)


@pytest.mark.slow
def test_the_places_of_twenty_real_days(data: Path, globe: Grid, tmp_path: Path) -> None:
    """Of land only there are 885 of SGD-SM 1.0, with coasts 1,149; no place is undamaged on seven days in a row."""
    april = TrainingArchive.of_granules(tmp_path / "april", data / "lprm_april2015_x", globe)
    window, sequence = Geometry(40, 0, 9, 4), Geometry(40, 0, 7, None)
    counts = [
        len(_places(april, geometry, Choices(complete_days="middle", min_observed=share)))
        for geometry, share in ((window, 1.0), (window, 0.5), (sequence, 1.0))
    ]
    assert counts == [885, 1149, 631]
    with pytest.raises(ValueError, match="0 of 631 places"):
        _places(april, sequence, Choices(complete_days="all", min_observed=1.0))
    for geometry, number in ((window, 10_000), (sequence, 30_000)):
        choices = Choices(complete_days="middle", min_observed=0.5, mask_pool=number, real_masks=1.0)
        (pool,) = Samples([SampleSource(april)], geometry, choices, seed=0).pools
        shares = pool.shares()
        assert len(shares) == number
        assert (shares.min(), shares.max()) == (0.3, 0.7)
