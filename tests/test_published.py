"""The page of what is as published names code and tests that exist."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPARED = ("as printed", "read so, because ", "otherwise, because ")
OPEN = ("not built", "not compared")


@dataclass(frozen=True)
class Row:
    """An item of a paper."""

    paper: str
    item: str
    how: str
    code: tuple[str, ...]
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.paper}, {self.item}"


def _rows() -> list[Row]:
    rows, paper = [], ""
    for line in (ROOT / "docs" / "published.md").read_text().splitlines():
        if line.startswith("## "):
            paper = line.removeprefix("## ")
        if paper and line.startswith("| ") and not line.startswith(("| item", "| ---")):
            item, how, code, tests = (cell.strip() for cell in line.strip("|").split("|"))
            rows.append(Row(paper, item, how, *(tuple(re.findall(r"`([^`]+)`", cell)) for cell in (code, tests))))
    return rows


ROWS = _rows()


def _found(place: str) -> ast.AST | None:
    """Return the class, function or value that ``path::Class.method`` names."""
    path, _, name = place.partition("::")
    if not name or not (ROOT / path).is_file():
        return None
    node: ast.AST = ast.parse((ROOT / path).read_text())
    for part in name.split("."):
        for child in ast.iter_child_nodes(node):
            targets = child.targets if isinstance(child, ast.Assign) else [getattr(child, "target", None)]
            names = {getattr(child, "name", None), *(getattr(target, "id", None) for target in targets)}
            if part in names:
                node = child
                break
        else:
            return None
    return node


def test_the_page_has_rows_of_both_papers() -> None:
    assert {row.paper for row in ROWS} == {"SGD-SM 1.0", "SGD-SM 2.0"}
    assert len({str(row) for row in ROWS}) == len(ROWS) >= 40
    for paper, equations in (("SGD-SM 1.0", range(1, 7)), ("SGD-SM 2.0", (4, 7, 9, 10, 11, 12))):
        items = [row.item for row in ROWS if row.paper == paper]
        for number in equations:
            assert any(re.match(rf"equation {number}\b", item) for item in items), f"{paper}: equation {number}"


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_says_how_the_item_is_done_and_names_code_and_tests_that_exist(row: Row) -> None:
    assert row.how.startswith((*COMPARED, *OPEN)), row.how
    if row.how.startswith(OPEN):
        assert row.code == row.tests == (), "what is not built or not compared names no code"
        return
    assert row.code, "which code?"
    assert row.tests, "which test?"
    for place in (*row.code, *row.tests):
        assert _found(place), f"{place} does not exist"
    for place in row.tests:
        test = _found(place)
        assert isinstance(test, ast.FunctionDef), f"{place} is not a test"
        assert test.name.startswith("test_"), f"{place} is not a test"
        marks = " ".join(ast.unparse(mark) for mark in test.decorator_list)
        assert not re.search(r"\b(skip|skipif|xfail)\b", marks), f"{place} does not run"


@pytest.mark.parametrize(
    "place",
    [
        "training/losses.py",
        "training/losses.py::no_such_loss",
        "training/none.py::Objective",
        "training/losses.py::Objective.no_such_method",
    ],
)
def test_a_name_that_does_not_exist_is_found_out(place: str) -> None:
    assert _found(place) is None
