"""A disk that cannot be written: one line says so, and what is published stays."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from netCDF4 import Dataset

from tests.conftest import DAYS, Site, errors


@pytest.mark.slow
def test_an_unwritable_archive(window_site: Site) -> None:
    """As somebody who may not write there: root may write anywhere."""
    window_site.fill(0, 0)
    before = window_site.published()
    command = [sys.executable, "-m", "runtime", "fill", "--date", "2020-04-02", "--config", str(window_site.file)]
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root without setpriv cannot become somebody else")
        for folder in [window_site.folder, *window_site.folder.parents]:
            if folder.stat().st_uid == 0 and folder.stat().st_mode & 0o777 == 0o700:
                folder.chmod(0o755)
        command = ["setpriv", "--reuid=65534", "--clear-groups", *command]
    else:
        for folder in window_site.archive.rglob("*"):
            folder.chmod(0o555 if folder.is_dir() else 0o444)
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert done.returncode == 1, done.stderr
    assert "cannot be written (Permission denied); check permissions and free disk space" in done.stderr
    assert done.stderr.count("\n") == 1
    assert window_site.published() == before


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk(window_site: Site) -> None:
    window_site.archive.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=320k", "tmpfs", str(window_site.archive)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        command = [sys.executable, "-m", "runtime", "fill", "--config", str(window_site.file)]
        done = subprocess.run([*command, "--from", "2020-04-01", "--to", "2020-04-14"], capture_output=True, text=True)
        assert done.returncode == 1, done.stderr
        assert "cannot be written" in done.stderr
        assert "check permissions and free disk space" in done.stderr
        assert len(errors(done.stderr)) == 1
        assert not list(window_site.archive.glob("*/*.part"))
        days = window_site.published()
        assert 0 < len(days) < DAYS
        checked = subprocess.run(
            [sys.executable, "-m", "runtime", "check", "--config", str(window_site.file)],
            capture_output=True,
            text=True,
        )
        assert checked.stdout == "the archive is whole\n"
        for name in days:
            with Dataset(window_site.archive / "2020" / name) as file:
                assert np.isfinite(file["soil_moisture"][0].mean())
    finally:
        subprocess.run(["umount", str(window_site.archive)], check=True)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_for_the_memory(recurrent_site: Site) -> None:
    state = recurrent_site.folder / "state"
    state.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(state)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    days = ["--from", "2020-04-01", "--to", "2020-04-14", "--config", str(recurrent_site.file)]
    command = [sys.executable, "-m", "runtime", "fill", *days, "--set", f"paths.state={state}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 1, done.stderr
        assert f"{state}/2020/" in done.stderr
        assert "cannot be written (No space left on device); check permissions and free disk space" in done.stderr
        assert len(errors(done.stderr)) == 1
        assert 0 < len(recurrent_site.published()) < DAYS
    finally:
        subprocess.run(["umount", str(state)], check=True)
    healed = subprocess.run(command, capture_output=True, text=True)
    assert healed.returncode == 0, healed.stderr
    assert "replaying" in healed.stderr
    assert len(recurrent_site.published()) == DAYS
