"""A line of a crontab: no environment to speak of, no terminal, another working directory."""

import datetime as dt
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.common.grid import Grid
from runtime.demo.files import write_imerg, write_lprm
from runtime.demo.world import World
from tests.conftest import BOX, messages

LINE = "{runtime} fill --date today --config {config} >> {log} 2>&1"


@pytest.mark.slow
def test_a_crontab_line(tmp_path: Path, grid: Grid) -> None:
    first = dt.datetime.now(dt.UTC).date() - dt.timedelta(4)
    for day in World(grid, 7).days(first, 4):
        write_lprm(tmp_path / "incoming" / "lprm", day, grid)
        write_imerg(tmp_path / "incoming" / "imerg", day.date, day.rain, grid)
    config, log = tmp_path / "my archive.toml", tmp_path / "fill.log"
    feeds = '[[feeds.soil_moisture]]\nto = 2199-12-31\n[feeds.precipitation]\nkind = "folder"\n'
    config.write_text(f"[grid]\nbox = {list(BOX)}\n{feeds}")
    runtime = Path(sys.executable).with_name("runtime")
    line = LINE.format(runtime=runtime, config=shlex.quote(str(config)), log=log)
    for _ in range(2):
        done = subprocess.run(["env", "-i", "/bin/sh", "-c", line], cwd="/", capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), log.read_text()
    *logged, last = log.read_text().splitlines(keepends=True)
    lines = messages("".join(logged))
    assert len(lines) == 5
    assert lines[0].startswith("engine ")
    assert lines[1].startswith(f"{first} published, provisional: land observed ")
    assert last == "already current\n"
    assert log.read_text().isascii()
    assert "\x1b" not in log.read_text()
