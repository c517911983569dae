"""Recipes and presets: their values, and the errors of wrong ones."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from runtime.errors import ConfigError
from training.loop import learning_rate
from training.recipe import load_recipe, recipe_names
from training.samples import Batch, TrainingArchive


@pytest.mark.parametrize("name", ["stpcnn-paper", "lstmcnn-paper", *recipe_names()])
def test_every_packaged_recipe_and_preset_reads(name: str) -> None:
    chosen = load_recipe(name)
    assert chosen.geometry().patch >= 40
    assert bool(chosen.data) == (name in recipe_names())


def test_samples_to_validate_on_are_real(recipe_file: Path, archive: TrainingArchive) -> None:
    days = ["data.0.validate=[2020-04-08,2020-04-12]"]
    batches = []
    for simulated in ([], ["samples.simulated_first=2000", "samples.simulated=0.5"]):
        samples = load_recipe(str(recipe_file), [*days, *simulated]).validation_samples([archive])
        assert samples is not None
        batches.append(samples.batch(0, 4))
    for field in fields(Batch):
        np.testing.assert_array_equal(*(getattr(batch, field.name) for batch in batches))


def test_every_folder_of_a_recipe_is_below_the_data_root(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('preset = "seamless"\n[[data]]\narchive = "mine"\n[[data]]\nrecord = "packed"\n')
    chosen = load_recipe(str(file), [], Path("/data"))
    assert (chosen.data[0].archive, chosen.data[1].record) == (Path("/data/mine"), Path("/data/packed"))


def test_the_published_schedules() -> None:
    window, recurrent = load_recipe("stpcnn-paper").schedule, load_recipe("lstmcnn-paper").schedule
    assert (window.batch, window.epochs, window.learning_rate, window.halve_every) == (128, 300, 1e-3, 30)
    assert (recurrent.batch, recurrent.epochs, recurrent.learning_rate, recurrent.halve_every) == (128, 500, 5e-3, 100)
    assert (window.weight_decay, window.eta) == (0, 0.1)
    epoch = 10
    assert [learning_rate(window, step, 3000, epoch) for step in (0, 299, 300, 600)] == [1e-3, 1e-3, 5e-4, 2.5e-4]


def test_without_halving_the_rate_warms_up_and_falls() -> None:
    schedule = load_recipe("seamless").schedule
    rates = [learning_rate(schedule, step, 1000, 10) for step in range(1000)]
    assert rates[0] < rates[20] < rates[49] == max(rates) == pytest.approx(schedule.learning_rate)
    assert rates[-1] < 0.02 * schedule.learning_rate


def test_a_recipe_wins_over_its_preset_and_the_command_line_over_both(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('preset = "seamless"\n[schedule]\nsteps = 7\n[[data]]\ngranules = "lprm"\n')
    chosen = load_recipe(str(file), ["schedule.batch=2", "data.0.targets=[2015-04-01,2015-04-03]"], Path("/data"))
    assert (chosen.schedule.steps, chosen.schedule.batch) == (7, 2)
    assert chosen.model["maps"] == [48, 64, 64]
    assert chosen.data[0].granules == Path("/data/lprm")
    assert str(chosen.data[0].targets[1]) == "2015-04-03"  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[schedule]\nstep = 3", "unknown key schedule.step; valid in schedule: steps, epochs"),
        ("[schedule]\nsteps = 3\nepochs = 3", "give steps or epochs"),
        ('[[data]]\nworld = 1\ngranules = "x"', "give one of granules, archive, record and world"),
        ('[[data]]\ngranules = "x"\nband = "q"', "no product lprm-amsr2 with band q; there are"),
        ("[model]\nlayers = 3", "unexpected keyword argument 'layers'"),
        ("[schedule", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'preset = "seamless"\n{text}\n')
    with pytest.raises(ConfigError, match="mine.toml") as refusal:
        load_recipe(str(file))
    assert message in str(refusal.value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"seamless-2.*stpcnn-paper"):
        load_recipe("nothing")


def test_a_source_of_weight_0_is_left_out() -> None:
    chosen = load_recipe("seamless-2", ["data.1.weight=0"])
    assert [source.band for source in chosen.data if source.granules] == ["x"]


def test_data_may_come_from_the_command_line() -> None:
    chosen = load_recipe("seamless", ['data=[{record="records/mine"}]'])
    assert [source.record for source in chosen.data] == [Path("records/mine")]
