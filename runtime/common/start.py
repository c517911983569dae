"""Starting a command line: the name of its module walks in, and the program runs until it ends."""

from __future__ import annotations

import sys
from importlib import import_module

INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended, as shells have it."""


def start(module: str) -> None:
    """Load a command line and run it; Ctrl-C ends it without a traceback, also while it is being loaded.

    Parameters
    ----------
    module : str
        The module that holds it as ``app``.
    """
    try:
        import_module(module).app()
    except KeyboardInterrupt:  # while a command runs, typer does this
        sys.exit(INTERRUPTED)
