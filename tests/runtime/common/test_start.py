"""Ctrl-C before a command line is loaded ends the program as it does later."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_INTERRUPT = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"


@pytest.mark.parametrize("module", [_INTERRUPT, f"def app():\n    exec({_INTERRUPT!r})\n"], ids=["loaded", "called"])
def test_ctrl_c_before_the_first_command_leaves_no_traceback(module: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(module)
    code = "from runtime.common.start import start\nstart('program')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
