"""The arrows of the house: `runtime` and `service` never need torch, and nothing but what they declare."""

import subprocess
import sys
from pathlib import Path

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


def test_a_day_fills_without_torch(recurrent_site: Site) -> None:
    command = f"""
from runtime.cli import app
app(['fill', '--date', '2020-04-02', '--config', {str(recurrent_site.file)!r}])
"""
    done = _run(BLOCK + command)
    assert done.returncode == 0, done.stderr
    assert "2020-04-02 published" in done.stderr
    assert recurrent_site.day_file(1).exists()
