"""``runtime demo``: the whole job on a made-up world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runtime.cli.common import command


@command(epilog="Examples: `runtime demo --folder /tmp/demo`; `runtime demo --fusion`")
def demo(
    folder: Annotated[Path, typer.Option(help="Where to work; must be empty or absent.")] = Path("demo"),
    days: Annotated[int, typer.Option(min=9, max=3660, help="Days to make.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the made-up world.")] = 1,
    fusion: Annotated[
        bool, typer.Option("--fusion", help="Show `runtime retrieve` instead, on made-up images of some places.")
    ] = False,
) -> None:
    """Make a world, hide some of it, fill it, and compare with simple fillers. No account, no data, no GPU."""
    if fusion:
        from runtime.demo.fusion import run_fusion_demo

        run_fusion_demo(folder, seed)
        return
    from runtime.cli.progress import run_events
    from runtime.demo.run import run_demo

    run_demo(folder, days, seed, events=run_events)
