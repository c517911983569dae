"""The container image: built from the Dockerfile without a Docker engine, and run with few rights.

Podman runs it with a read-only root file system, without capabilities and without a network. What this cannot show:
other container engines, limits of memory (cgroups), and the security modules of a host (AppArmor, SELinux).
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runtime.archive import cf
from scripts.build_image import build, storage_options
from tests.conftest import BOX, START, tool

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

LARGEST = 600e6
"""Bytes that the image may have, its base included."""
RIGHTS = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--tmpfs=/tmp", "--network=none")
LIMITS = ("--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096")
"""Podman's own are higher than root may set where root has no right to raise limits."""
FOLDERS = ("archive", "state", "inbox")
SETTINGS = f"""
[archive]
start = {START}
[grid]
box = {list(BOX)}
[[feeds.soil_moisture]]
band = "x"
[feeds.precipitation]
kind = "folder"
"""


class Podman:
    """The image `cpu` in a storage of its own."""

    def __init__(self, storage: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("IMAGE NOT TESTED: building one without a Docker engine needs root")
        for program in ("buildah", "debootstrap", "podman", "runc"):
            tool(program)
        self.storage = storage
        self.image = build(storage=storage)

    def done(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = ["podman", "--runtime=runc", *storage_options(self.storage), *arguments]
        # Without systemd, nothing but `podman healthcheck run` calls the health check.
        environment = {**os.environ, "DISABLE_HC_SYSTEMD": "true"}
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    def __call__(self, *arguments: str | Path, code: int = 0) -> str:
        done = self.done(*arguments)
        assert done.returncode == code, f"{done.args}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def run(self, *command: str, code: int = 0) -> str:
        return self("run", "--rm", *RIGHTS, *LIMITS, self.image, *command, code=code)


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    podman = Podman(Path(tempfile.mkdtemp()))  # Podman takes short paths only
    yield podman
    podman("rmi", "--all", "--force")
    shutil.rmtree(podman.storage)


@pytest.fixture(scope="module")
def mounts(tmp_path_factory: pytest.TempPathFactory, fortnight: Path) -> list[str]:
    """Options that mount the configuration, made-up feeds, and folders that user 10001 can write."""
    folder = tmp_path_factory.mktemp("mounted")
    (folder / "config").mkdir()
    (folder / "config" / "seamless-sm.toml").write_text(SETTINGS)
    (folder / "config" / "incoming").mkdir()
    for name in FOLDERS:
        (folder / name).mkdir()
        os.chown(folder / name, 10001, 10001)
    fortnight.chmod(0o755)  # pytest's folders are for their owner alone
    read_only = [f"--volume={folder}/config:/config:ro", f"--volume={fortnight}:/config/incoming:ro"]
    return [*read_only, *(f"--volume={folder / name}:/{name}" for name in FOLDERS)]


def _published(mounts: list[str]) -> list[Path]:
    archive = mounts[2].removeprefix("--volume=").partition(":")[0]
    return sorted(Path(archive).glob("2020/*.nc"))


def test_the_image_is_small(podman: Podman, capsys: pytest.CaptureFixture[str]) -> None:
    (description,) = json.loads(podman("image", "inspect", podman.image))
    with capsys.disabled():
        print(f"\nsize of the image for CPUs: {description['Size'] / 1e6:.0f} MB")
    assert description["Size"] < LARGEST


def test_the_image_has_no_compilers_tests_caches_or_settings_of_the_machine_that_built_it(podman: Podman) -> None:
    assert podman.run("find", "/opt/venv", "-name", "tests", "-o", "-name", "pip") == ""
    podman.run("sh", "-c", "command -v gcc || command -v cc || command -v strip", code=127)
    assert podman.run("sh", "-c", "cat /etc/pip.conf /root/.config/pip/pip.conf 2>/dev/null || true") == ""
    assert podman.run("sh", "-c", "ls -A /root/.cache /home/seamless/.cache 2>/dev/null || true") == ""


def test_it_runs_without_root_without_capabilities_and_cannot_change_itself(podman: Podman) -> None:
    status = dict(line.split(":", 1) for line in podman.run("cat", "/proc/self/status").splitlines())
    assert status["Uid"].split() == ["10001"] * 4
    assert {status[f"Cap{kind}"].strip() for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert status["NoNewPrivs"].strip() == "1"
    podman.run("touch", "/opt/venv/new", code=1)
    podman.run("touch", "/config/new", code=1)


def test_onnxruntime_prepares_no_reports_to_its_maker(podman: Podman) -> None:
    done = podman.done("run", "--rm", *RIGHTS, *LIMITS, podman.image, "python", "-c", "import onnxruntime")
    assert done.returncode == 0
    assert "telemetry" not in done.stderr  # on a read-only file system it says that it cannot keep its identifier


def test_the_demo_runs_in_it(podman: Podman) -> None:
    assert "seamless-2" in podman.run("runtime", "demo", "--days", "9", "--folder", "/tmp/demo")


def test_doctor_finds_a_fast_engine_and_no_gpu(podman: Podman, mounts: list[str]) -> None:
    said = podman("run", "--rm", *RIGHTS, *LIMITS, *mounts, podman.image, "runtime", "doctor")
    assert "no NVIDIA driver" in said
    assert "available" in next(line for line in said.splitlines() if "engine openvino" in line)


def test_it_fills_days_of_mounted_feeds(podman: Podman, mounts: list[str]) -> None:
    fill = ("runtime", "fill", "--from", "2020-04-05", "--to", "2020-04-07")
    podman("run", "--rm", *RIGHTS, *LIMITS, *mounts, podman.image, *fill)
    files = _published(mounts)
    assert [file.name for file in files] == [f"seamless_sm_2020040{day}.nc" for day in (5, 6, 7)]
    for file in files:
        observed, filled = (np.isfinite(cf.values(file, f"soil_moisture{part}")) for part in ("_observed", ""))
        assert filled.sum() > observed.sum()
        assert file.stat().st_uid == 10001


def test_the_service_is_healthy_and_stops_when_it_is_asked_to(podman: Podman, mounts: list[str]) -> None:
    name = podman("run", "--detach", *RIGHTS, *LIMITS, *mounts, podman.image).strip()
    try:
        deadline = time.monotonic() + 120
        while podman.done("healthcheck", "run", name).returncode:  # 0: /healthz answers
            assert time.monotonic() < deadline, podman.done("logs", name)
            time.sleep(1)
        podman("stop", "--time", "90", name)
        assert podman("wait", name).strip() == "0"  # 137 if it had to be killed
    finally:
        podman("rm", "--force", name)
