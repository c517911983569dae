"""What the commands share: the application and the handling of errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec

from runtime.common.commands import make_app, register_command
from runtime.errors import SeamlessError

P = ParamSpec("P")

app = make_app("export", "Turn a checkpoint into a model bundle.")


def export_command(name: str, epilog: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Register a function as a command; see `register_command`."""
    return register_command(app, name, epilog, (SeamlessError, ValueError))
