"""``python -m training record``: make a training archive from granules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.cli.common import BandOption, OrbitOption, ProductOption, training_command


@training_command(
    "record", epilog="Example: python -m training record --granules lprm/ --rain imerg/ --band x --out records/amsr2-x"
)
def record(
    granules: Annotated[Path, typer.Option(help="Folder of LPRM files, searched with its subfolders.")],
    out: Annotated[Path, typer.Option(help="Folder to write the training archive to.")],
    rain: Annotated[Path | None, typer.Option(help="Folder of IMERG files.  [default: --granules]")] = None,
    product: ProductOption = "lprm-amsr2",
    orbit: OrbitOption = "descending",
    band: BandOption = "x",
    box: Annotated[str | None, typer.Option(help="west,south,east,north in degrees.  [default: the globe]")] = None,
) -> None:
    """Pack years of granules into a training archive: memory-mapped arrays that training reads patches from."""
    from runtime.common.grid import Grid
    from training.cli.progress import days_bar
    from training.samples import TrainingArchive

    grid = Grid.globe()
    if box:
        west, south, east, north = (float(edge) for edge in box.split(","))
        grid = grid.box(west, south, east, north)
    with days_bar() as progress:
        archive = TrainingArchive.of_granules(
            out, granules, grid, rain=rain, product=product, orbit=orbit, band=band, progress=progress
        )
    print(f"wrote {out}: {archive.source}{', with rain' if archive.has_rain else ''}")
