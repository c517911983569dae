"""What others need to cite, install and publish the software follows its schemas, and says what pyproject.toml says."""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("runtime", "service", "training", "export")
PAPERS = {"10.5194/essd-13-1385-2021", "10.5194/essd-14-4473-2022"}
_CONDA = {"dask": "dask-core", "matplotlib": "matplotlib-base", "isal": "python-isal"}
"""Names that differ between PyPI and conda-forge in more than letters' case."""


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("citation-file-format", "CITATION.cff"),
        ("readthedocs", ".readthedocs.yaml"),
        ("github-workflows", ".github/workflows/ci.yml"),
        ("github-workflows", ".github/workflows/release.yml"),
    ],
)
def test_files_follow_their_schemas(schema: str, file: str) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", file]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_who_cites_the_software_cites_the_papers() -> None:
    citation, zenodo = yaml.safe_load((ROOT / "CITATION.cff").read_text()), (ROOT / ".zenodo.json").read_text()
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert {each["doi"] for each in citation["references"]} == PAPERS
    assert {each["identifier"] for each in json.loads(zenodo)["related_identifiers"]} == PAPERS


def test_the_paper_says_what_the_readme_says_and_has_its_sources() -> None:
    paper, bibliography = ((ROOT / "paper" / name).read_text() for name in ("paper.md", "paper.bib"))
    cited, known = set(re.findall(r"\[@(\w+)\]", paper)), set(re.findall(r"^@\w+\{(\w+),", bibliography, re.M))
    assert cited == known
    assert set(re.findall(r"doi = \{(\S+)\}", bibliography)) >= PAPERS
    readme = (ROOT / "README.md").read_text()
    figures = re.findall(r"\b\d+\.\d+\b", paper.split("# How well it works")[1].replace("0.25 degrees", ""))
    assert len(figures) >= 10
    assert [figure for figure in figures if not re.search(rf"\b{re.escape(figure)}\b", readme)] == []


def test_binder_installs_what_the_notebook_needs() -> None:
    wanted = [
        Requirement(f"seamless-sm{line.removeprefix('.')}")
        for line in (ROOT / ".binder" / "requirements.txt").read_text().split()
    ]
    assert [each.extras for each in wanted] == [{"cpu"}]
    assert {"cpu"} <= PROJECT["optional-dependencies"].keys()
    assert (
        ROOT / ".binder" / "runtime.txt"
    ).read_text().strip() == f"python-{PROJECT['requires-python'].removeprefix('>=')}"


def test_the_conda_recipe_wants_what_the_project_wants() -> None:
    text = jinja2.Template((ROOT / "recipe" / "meta.yaml").read_text()).render(PYTHON="python")
    recipe = yaml.safe_load(text)
    wanted = [Requirement(each) for each in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["cpu"])]
    names = {_CONDA.get(each.name, each.name.lower()): {*str(each.specifier).split(",")} for each in wanted}
    found = {name: {*limits.split(",")} for name, limits in (each.split(" ") for each in recipe["requirements"]["run"])}
    assert found == names | {"python": {PROJECT["requires-python"]}}
    assert recipe["package"]["version"] == PROJECT["version"]
    commands = {
        name.strip(): target.strip() for name, target in (e.split("=") for e in recipe["build"]["entry_points"])
    }
    assert commands == PROJECT["scripts"]


@pytest.mark.slow
def test_wheel_and_sdist_hold_every_file_of_the_packages(tmp_path: Path) -> None:
    source = tmp_path / "source"  # a build leaves files beside the sources
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]):
        shutil.copy(ROOT / name, source)
    wanted = {str(p.relative_to(source)) for package in PACKAGES for p in (source / package).rglob("*") if p.is_file()}
    subprocess.run([sys.executable, "-m", "build", "--no-isolation", "-q", "--outdir", tmp_path, source], check=True)
    [wheel], [sdist] = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    assert wanted - {*zipfile.ZipFile(wheel).namelist()} == set()
    with tarfile.open(sdist) as archive:
        assert wanted - {name.partition("/")[2] for name in archive.getnames()} == set()
