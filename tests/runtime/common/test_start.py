"""Ctrl-C before a command line is loaded ends the program as it does later."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_INTERRUPT = (
    "import os, signal\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job ignores it
    "os.kill(os.getpid(), signal.SIGINT)\n"
)


@pytest.mark.parametrize("module", [_INTERRUPT, f"def app():\n    exec({_INTERRUPT!r})\n"], ids=["loaded", "called"])
def test_ctrl_c_before_the_first_command_leaves_no_traceback(module: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(module)
    code = "from runtime.common.start import start\nstart('program')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_program_without_a_standard_stream_works_and_none_of_its_files_takes_the_number(
    closed: str, tmp_path: Path
) -> None:
    """Else what a library prints would be in the catalog."""
    (tmp_path / "program.py").write_text(
        "import os, subprocess, sys\n"
        "def app():\n"
        "    with open('result', 'w') as file:\n"
        "        sys.stdin.read(), sys.stdout.write('x'), sys.stderr.isatty()\n"
        "        os.write(1, b'x'), os.write(2, b'x'), subprocess.run('echo x >&2', shell=True, check=True)\n"
        "        file.write('done')\n"
    )
    program = f'"$0" -c \'from runtime.common.start import start; start("program")\' {closed}'
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = ["/bin/sh", "-c", program, sys.executable]
    subprocess.run(command, env=environment, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert (tmp_path / "result").read_text() == "done"
