"""``runtime ...``: parse, call, print. Heavy imports happen inside the commands that need them."""

from __future__ import annotations

import gc

from runtime.cli import look, start, work
from runtime.cli.common import app

_ORDER = (
    *("init", "plan", "fill", "fetch", "reprocess"),
    *("status", "show", "series", "export", "changes", "inbox", "check", "doctor", "demo"),
)
app.registered_commands.sort(key=lambda command: _ORDER.index(getattr(command.callback, "__name__", "")))


def main() -> None:
    """Run the command line."""
    # A plan of twenty years makes a million small objects that stay; looking for garbage among them is a fifth of it.
    gc.set_threshold(100_000)
    app()


__all__ = ["app", "look", "main", "start", "work"]
