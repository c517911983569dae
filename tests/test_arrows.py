"""Which package may import which: `runtime` and `service` never need torch, and no folder imports one above it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Site

ROOT = Path(__file__).parents[1]

BLOCK = """
import sys, importlib, importlib.abc, pathlib
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {'torch', 'onnx', 'training', 'export', 'scipy'}:
            raise ImportError(f'{name} is blocked')
sys.meta_path.insert(0, Block())
"""

IMPORT_ALL = """
count = 0
for package in ('runtime', 'service'):
    for file in sorted(pathlib.Path(package).rglob('*.py')):
        name = '.'.join(file.with_suffix('').parts).removesuffix('.__init__')
        if not name.endswith('__main__'):
            importlib.import_module(name)
            count += 1
print(count, 'modules')
"""


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)


def test_every_module_imports_without_torch() -> None:
    done = _run(BLOCK + IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 25


@pytest.mark.slow
def test_a_day_fills_without_torch(recurrent_site: Site) -> None:
    command = f"""
from runtime.cli import app
app(['fill', '--date', '2020-04-02', '--config', {str(recurrent_site.file)!r}])
"""
    done = _run(BLOCK + command)
    assert done.returncode == 0, done.stderr
    assert "2020-04-02 published" in done.stderr
    assert recurrent_site.day_file(1).exists()


FLOORS = (
    {"errors"},
    {"common"},
    {"manifest"},
    {"bundle"},
    {"config"},
    {"engines"},
    {"fill"},
    {"merge"},
    {"archive"},
    {"inputs"},
    {"mirror"},
    {"pipeline"},
    {"output", "retrieval", "backfill"},
    {"api", "doctor", "demo"},
    {"cli"},
)
"""The folders and modules of `runtime`, lowest first; each may import from those below it, and from itself."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def _imported_rooms(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the folder or module of `runtime` of each import in a file, also of those in functions."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: write the whole name of the module"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "runtime" and rest and not rest.startswith("__"):
                yield node.lineno, rest.split(".")[0]


def test_no_arrow_runs_up_between_folders_of_the_runtime() -> None:
    wrong, seen = [], set()
    for file in sorted((ROOT / "runtime").rglob("*.py")):
        path = file.relative_to(ROOT)
        room = path.parts[1].removesuffix(".py")
        if room in ("__init__", "__main__"):  # they exist to import `api` and `cli`
            continue
        seen.add(room)
        for line, imported in _imported_rooms(file):
            if imported != room and FLOOR[imported] >= FLOOR[room]:
                wrong.append(f"{path}:{line} imports runtime.{imported}")
    assert seen == FLOOR.keys()
    assert wrong == []
