"""Sections of a measurement that crash, hang or end; it imports little, as each of them is a new process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.gpu.budget import Section

ROW = {"program": "a", "s a day": 2.0}


def measure(section: Section, rows: Path, ends: float) -> None:
    """Write a row, and then do what the name of the section says."""
    with rows.open("a") as file:
        file.write(json.dumps(ROW) + "\n")
        if section.name == "half":
            file.write('{"program": "b')
    if section.name == "crash":
        print("CUDA error: an illegal address", file=sys.stderr, flush=True)
        os.abort()
    if section.name == "raise":
        raise ValueError("no such thing")
    if section.name == "half":
        os.kill(os.getpid(), signal.SIGKILL)
    if section.name == "hang":
        child = subprocess.Popen(["sleep", "600"])
        rows.with_suffix(".pid").write_text(str(child.pid))
        time.sleep(600)
