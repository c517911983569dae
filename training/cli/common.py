"""What the commands share: the application, options, and the handling of errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ParamSpec

import typer

from runtime.common.commands import make_app, register_command
from runtime.errors import SeamlessError

P = ParamSpec("P")

app = make_app(
    "training", "Prepare days to train on, train a network, evaluate bundles, or write a network with random weights."
)

ProductOption = Annotated[str, typer.Option(help="lprm-amsr2, lprm-amsre or lprm-windsat.")]
OrbitOption = Annotated[str, typer.Option(help="descending or ascending.")]
BandOption = Annotated[str, typer.Option(help="c, c1, c2 or x.")]


def training_command(name: str, epilog: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Register a function as a command; see `register_command`."""
    return register_command(app, name, epilog, (SeamlessError, ValueError))
