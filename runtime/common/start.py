"""Starting a command line: the name of its module walks in, and the program runs until it ends."""

from __future__ import annotations

import os
import sys
from importlib import import_module

INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended, as shells have it."""


def _open_missing_streams() -> None:
    """Give a program that was started without a standard stream an empty one: else a file of its gets that number."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, open(number, mode))  # noqa: PTH123, SIM115 - a number has no path, and it stays open


def start(module: str) -> None:
    """Load a command line and run it; Ctrl-C ends it without a traceback, also while it is being loaded.

    Parameters
    ----------
    module : str
        The module that holds it as ``app``.
    """
    _open_missing_streams()
    try:
        import_module(module).app()
    except KeyboardInterrupt:  # while a command runs, typer does this
        sys.exit(INTERRUPTED)
