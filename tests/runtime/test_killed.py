"""The whole run, killed with SIGKILL in the middle: the archive is whole in between, and the next run heals."""

import os
import signal
import subprocess
import sys
import time

import pytest

from runtime import check
from tests.conftest import DAYS, MakeSite


@pytest.mark.parametrize(("published", "wait"), [(1, 0.0), (3, 0.02), (6, 0.05), (9, 0.03)])
def test_a_killed_run_is_healed_by_the_next(published: int, wait: float, make_site: MakeSite) -> None:
    straight = make_site("sgdsm2-amsr2-x", "straight")
    straight.fill()
    site = make_site("sgdsm2-amsr2-x", "killed")
    last = f"{site.date(DAYS - 1)}"
    command = [sys.executable, "-m", "runtime", "fill", "--from", f"{site.date(0)}", "--to", last, "--config"]
    process = subprocess.Popen([*command, str(site.file)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(site.published()) < published and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(wait)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() in (-signal.SIGKILL, 0)
    assert published <= len(site.published())
    assert check.faults(site.config(), lambda items, _: items) == []
    site.fill()
    assert site.published() == straight.published()
    assert site.snapshots() == straight.snapshots()
    assert check.faults(site.config(), lambda items, _: items) == []
