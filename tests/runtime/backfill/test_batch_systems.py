"""A backfill whose workers a batch system starts gives the bytes of a fill."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dask
import dask_jobqueue
import psutil
import pytest
from distributed.utils import open_port

from runtime.backfill.cluster import ClusterChoice
from runtime.backfill.run import backfill_archive
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from tests.conftest import DAYS, MakeSite, Site, tool
from tests.runtime.backfill.conftest import is_whole

pytestmark = pytest.mark.slow

assert dask_jobqueue, "its defaults must be there before a test sets others for a while"

SLURM = """
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthInfo=socket={folder}/munge/socket
SlurmUser=root
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/node
StateSaveLocation={folder}/controller
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={megabytes}
PartitionName=all Nodes={host} Default=YES State=UP
"""


def _backfill_with_two_jobs(site: Site, serial: Site, logs: Path) -> None:
    wanted = DateRange(serial.date(0), serial.date(DAYS - 1))
    with dask.config.set({"jobqueue.slurm.memory": "2GB", "jobqueue.slurm.log-directory": str(logs)}):
        choice = ClusterChoice(workers=2, batch="slurm")
        outcome = backfill_archive(site.config(), wanted, site.today, RunEvents(), choice)
    assert outcome.exit_code == 0
    assert is_whole(site, serial)


@pytest.fixture(autouse=True)
def _workers_find_the_modules_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Slurm on this machine, with one node; gives its folder, with the logs."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED WITH SLURM: its daemons start jobs for other users, which needs root")
    munged, controller, node = tool("munged"), tool("slurmctld"), tool("slurmd")
    folder = Path(tempfile.mkdtemp())  # a socket's path is short
    for name in ("munge", "controller", "node"):
        (folder / name).mkdir()
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    numbers = {"controller_port": open_port(), "node_port": open_port(), "cores": psutil.cpu_count()}
    memory = psutil.virtual_memory().total // 2**20 // 2
    host = socket.gethostname().partition(".")[0]
    settings = SLURM.format(folder=folder, host=host, megabytes=memory, **numbers)
    (folder / "slurm.conf").write_text(settings)
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    munge = [munged, "--foreground", "--force", f"--key-file={key}"]
    munge += [f"--{name}={folder / 'munge' / name}" for name in ("socket", "pid-file", "log-file", "seed-file")]
    with ExitStack() as running:
        running.callback(shutil.rmtree, folder)
        running.enter_context(_daemon(folder / "munge.log", *munge))
        _wait_until((folder / "munge" / "socket").exists, folder)
        running.enter_context(_daemon(folder / "controller.log", controller, "-D"))
        running.enter_context(_daemon(folder / "node.log", node, "-D", "-N", host))
        _wait_until(lambda: "idle" in _told("sinfo", "-h"), folder)
        yield folder


@contextmanager
def _daemon(log: Path, *command: str) -> Iterator[None]:
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as process:
        try:
            yield
        finally:
            process.terminate()


def _told(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


def _wait_until(ready: Callable[[], bool], folder: Path) -> None:
    end = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < end, "".join(path.read_text() for path in sorted(folder.glob("*.log")))
        time.sleep(0.1)


def test_workers_that_slurm_starts(make_site: MakeSite, serial: Site, slurm: Path) -> None:
    _backfill_with_two_jobs(make_site(), serial, slurm)
    assert len({*slurm.glob("dask-worker-*.out")}) == 2, sorted(path.name for path in slurm.iterdir())
    _wait_until(lambda: _told("squeue", "-h") == "", slurm)


def test_workers_that_a_stand_in_for_slurm_starts(
    make_site: MakeSite, serial: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sbatch` runs the script that it is handed, `scancel` ends it."""
    script, log = tmp_path / "job-$$.sh", tmp_path / "job.log"
    programs = {
        "sbatch": f'cp "${{@: -1}}" {script}\nsetsid bash {script} >> {log} 2>&1 &\necho "Submitted batch job $!"\n',
        "scancel": "kill -TERM -- -$1\n",
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    _backfill_with_two_jobs(make_site(), serial, tmp_path)
