"""The command line ``python -m training``: one file for each command."""

from training.cli import (
    combine,
    evaluate,
    evaluate_fusion,
    examples,
    fit,
    fusion,
    months,
    random,
    record,
    squares,
    world,
)
from training.cli.common import app

_ORDER = (
    *("world", "random", "record", "fit", "evaluate", "squares", "months"),
    *("examples", "combine", "fusion", "evaluate-fusion"),
)
app.registered_commands.sort(key=lambda command: _ORDER.index(command.name or ""))

__all__ = [
    "app",
    "combine",
    "evaluate",
    "evaluate_fusion",
    "examples",
    "fit",
    "fusion",
    "months",
    "random",
    "record",
    "squares",
    "world",
]
