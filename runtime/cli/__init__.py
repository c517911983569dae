"""``runtime ...``: parse, call, print. Heavy imports happen inside the commands that need them."""

from __future__ import annotations

from runtime.cli import look, start, work
from runtime.cli.common import app


def main() -> None:
    """Run the command line."""
    app()


__all__ = ["app", "look", "main", "start", "work"]
