"""The measurement of a machine: its sections end in time and survive each other, and the page says what is missing."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.gpu.budget import Section, SectionResult, run_sections, write_json
from benchmarks.gpu.page import page
from benchmarks.gpu.rows import NOT_RUN, WHY, merged, not_run
from tests.support.gpu_sections import ROW, measure

ROOT = Path(__file__).parents[2]


def run(tmp_path: Path, seconds: float, *sections: tuple[str, float, float]) -> list[SectionResult]:
    """Run sections: name, weight and least seconds."""
    made = [Section(name, f"Title of {name}", weight, least) for name, weight, least in sections]
    return run_sections(made, measure, seconds, tmp_path, lambda results: None)


@pytest.mark.slow
def test_section_that_crashes_is_reported_with_its_rows_and_the_rest_is_run(tmp_path: Path) -> None:
    broken, raising, good = run(tmp_path, 60, ("crash", 1, 0), ("raise", 1, 0), ("good", 1, 0))
    assert (broken.status, broken.why) == ("failed", "ended by SIGABRT: CUDA error: an illegal address")
    assert broken.rows == [ROW]
    assert (raising.status, raising.why) == ("failed", "ended with code 1: ValueError: no such thing")
    assert good.status == "done"


@pytest.mark.slow
def test_section_that_does_not_end_is_stopped_with_what_it_has_started(tmp_path: Path) -> None:
    run(tmp_path, 60, ("good", 1, 0))  # starts the server
    started = time.monotonic()
    stopped, after = run(tmp_path, 6, ("hang", 1, 0), ("after", 1, 0))
    assert time.monotonic() - started < 30
    assert (stopped.status, stopped.rows[0]) == ("stopped", ROW)
    assert after.status == "done"
    child = Path(f"/proc/{(tmp_path / '0.pid').read_text()}/stat")
    assert not child.exists() or child.read_text().split()[2] == "Z"


def test_section_for_which_no_time_is_left_is_skipped_by_name(tmp_path: Path) -> None:
    first, second = run(tmp_path, 20, ("first", 1, 0), ("second", 1, 30))
    assert first.status == "done"
    assert (second.status, second.rows) == ("skipped", [])
    assert "30 s" in second.why


def test_time_that_a_section_leaves_goes_to_those_after_it(tmp_path: Path) -> None:
    first, second = run(tmp_path, 60, ("first", 1, 0), ("second", 1, 0))
    assert first.limit == pytest.approx(30, abs=0.2)
    assert second.limit > 35


def test_half_a_row_of_a_killed_section_is_left_out(tmp_path: Path) -> None:
    (result,) = run(tmp_path, 60, ("half", 1, 0))
    assert result.rows == [ROW]
    assert result.why == "ended by SIGKILL"


def test_rows_of_one_program_are_joined() -> None:
    rows = [{"program": "a", "agrees": "yes"}, {"program": "b"}, {"program": "a", "s a day": 1.0}]
    assert merged(rows) == [{"program": "a", "agrees": "yes", "s a day": 1.0}, {"program": "b"}]


def test_page_has_a_table_for_each_section_and_names_what_was_not_run(tmp_path: Path) -> None:
    rows = [{"program": "a|b", "s a day": 1234.5, "J a day": None}, not_run("energy", ImportError("no pynvml"))]
    results = [
        SectionResult("one", "First", "done", rows=rows, seconds=3, limit=5),
        SectionResult("two", "Second", "failed", "ended by SIGSEGV"),
    ]
    text = page({"device": "cpu"}, results)
    assert "| a/b | 1234 |  |" in text
    assert "| one | energy | ImportError: no pynvml |" in text
    assert "| two | Second | failed: ended by SIGSEGV |" in text
    write_json(tmp_path / "gpu.json", {"device": "cpu"}, results)
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert [each["status"] for each in written["sections"]] == ["done", "failed"]


def test_why_has_one_line() -> None:
    assert not_run("x", RuntimeError("first\nsecond")) == {NOT_RUN: "x", WHY: "RuntimeError: first"}


@pytest.mark.slow
def test_whole_measurement_of_a_region_on_the_cpu(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--small", "--minutes", "12"]
    only = ["machine", "days", "sgdsm2-amsr2-x", "fusion-made-up", "year", "training-cpu", "training"]
    environment = {name: value for name, value in os.environ.items() if name != "SEAMLESS_SM_DATA"}
    subprocess.run([*command, "--out", tmp_path, "--only", *only], check=True, cwd=ROOT, env=environment)
    sections = {each["name"]: each for each in json.loads((tmp_path / "gpu.json").read_text())["sections"]}
    assert {name: each["status"] for name, each in sections.items()} == dict.fromkeys(only, "done")
    for name in ("sgdsm2-amsr2-x", "fusion-made-up"):
        judged = {row["program"]: row["agrees"] for row in sections[name]["rows"] if "agrees" in row}
        assert judged["runtime cpu, fp32"] == "yes", name
        assert not [program for program, agrees in judged.items() if agrees.startswith("NO")], name
    assert all(row["a year, minutes"] > 0 for row in sections["year"]["rows"])
    trained = [row for row in sections["training"]["rows"] if "as on the CPU" in row]
    assert len(trained) >= 3
    assert {row["as on the CPU"] for row in trained} == {"yes"}
    assert "## What was not run" in (tmp_path / "gpu.md").read_text()


@pytest.mark.slow
def test_listed_packages_are_all_that_it_imports() -> None:
    code = """
import sys
from importlib import metadata
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from benchmarks.gpu.packages import CARRIED, OPTIONAL, WITH_PYTORCH

listed = {*WITH_PYTORCH, *CARRIED, *OPTIONAL, "seamless-sm"}
absent = {module for module, owners in metadata.packages_distributions().items() if not listed.intersection(owners)}

class OnlyTheListed(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in absent else super().find_spec(name, path, target)

assert "uvicorn" in absent
sys.meta_path[:] = [BuiltinImporter, FrozenImporter, OnlyTheListed]
import benchmarks.gpu.machine, benchmarks.gpu.network, benchmarks.gpu.retrieval, benchmarks.gpu.training
import benchmarks.gpu.year, export.quantise, runtime.inputs.feeds.folder
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.slow
def test_pytorch_computes_what_a_shipped_bundle_computes() -> None:
    from benchmarks.gpu.programs import shipped
    from benchmarks.gpu.torch_engine import TorchEngine, Way
    from runtime.engines.ort import OrtEngine
    from runtime.engines.tensorrt.accept import acceptance_cases

    network = shipped("sgdsm2-amsr2-x")
    assert network.model is not None
    engine = TorchEngine.of(network.model, "cpu", Way("eager"))
    inputs = next(acceptance_cases(network.bundle.manifest))
    computed = engine.run(inputs)
    for name, expected in OrtEngine(network.bundle.graph).run(inputs).items():
        assert abs(computed[name] - expected).max() < 1e-5, name


def test_network_whose_code_is_gone_has_no_pytorch_programs(tmp_path: Path) -> None:
    from benchmarks.gpu.programs import programs, shipped

    names = [program.name for program in programs(shipped("seamless-amsr2-x"), "cpu", tmp_path)]
    assert "runtime cpu, fp32" in names
    assert not [name for name in names if "PyTorch" in name]


def test_constants_are_made_once_for_a_recorded_graph() -> None:
    import torch

    from benchmarks.gpu.torch_engine import _KeptConstants

    with _KeptConstants() as kept:
        first, other = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0])
    with kept:
        assert torch.tensor([1.0, 2.0]) is first
    assert other.tolist() == [1.0, 3.0]


def test_parity_names_a_program_that_fills_other_cells() -> None:
    import numpy as np

    from benchmarks.gpu.network import _parity
    from benchmarks.gpu.programs import Program

    program = Program("p", "fp32", lambda: lambda grid, frames: frames)
    exact = np.array([[0.1, 0.2, 0.3, np.nan]], np.float32)
    gaps = np.array([[True, True, True, True]])
    assert _parity(program, exact.copy(), exact, gaps)["agrees"] == "yes"
    assert _parity(program, exact * 1.01, exact, gaps)["agrees"] == "NO: limit 1e-04"
    assert _parity(program, np.full_like(exact, 0.2), exact, gaps)["agrees"] == "NO: fills other cells"
    assert _parity(program, None, exact, gaps)["agrees"] == "tile edges visible"
