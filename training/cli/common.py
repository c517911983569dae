"""What the commands share: the application, options, and the handling of errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

from runtime.common.commands import make_app, register_command
from runtime.errors import SeamlessError

if TYPE_CHECKING:
    from training.data import DataSection

P = ParamSpec("P")

app = make_app(
    "training", "Prepare days to train on, train a network, evaluate bundles, or write a network with random weights."
)

DataOption = Annotated[Path | None, typer.Option(help="Folder of LPRM files.")]
JudgedArchiveOption = Annotated[
    Path | None,
    typer.Option(help="Folder of an archive, instead of --data; its own observed cells are hidden and filled."),
]
PUBLISHED = ["sgdsm1-amsr2-x", "sgdsm2-amsr2-x"]
"""The shipped bundles of the published networks."""
BundlesOption = Annotated[list[str], typer.Option(help="Name of a shipped bundle, or a bundle's folder; repeatable.")]
IsmnOption = Annotated[list[Path] | None, typer.Option(help="ISMN zip, folder or file, repeatable.")]
DepthOption = Annotated[
    float,
    typer.Option(
        help="Lower end of the layer that a station's sensor may measure, m: 0.05 as in SGD-SM 2.0, 0.1 as in 1.0. "
        "Cosmic-ray probes are used whatever their depth."
    ),
]
RecordDaysOption = Annotated[
    int, typer.Option(help="Days from the first to the last good reading that a station needs.")
]
RainOption = Annotated[Path | None, typer.Option(help="Folder of IMERG files.  [default: --data]")]
OutOption = Annotated[Path, typer.Option(help="Folder to write the report to.")]
EngineOption = Annotated[str, typer.Option(help="auto, cpu, openvino, cuda or tensorrt.")]
ProductOption = Annotated[str, typer.Option(help="lprm-amsr2, lprm-amsre or lprm-windsat.")]
OrbitOption = Annotated[str, typer.Option(help="descending or ascending.")]
BandOption = Annotated[str, typer.Option(help="c, c1, c2 or x.")]


def training_command(name: str, epilog: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Register a function as a command; see `register_command`."""
    return register_command(app, name, epilog, (SeamlessError, ValueError))


def source_of(
    data: Path | None, archive: Path | None, rain: Path | None, product: str, orbit: str, band: str
) -> DataSection:
    """Return where days to evaluate come from.

    Parameters
    ----------
    data : Path, optional
        Folder of LPRM files.
    archive : Path, optional
        Folder of an archive, instead of `data`.
    rain : Path, optional
        Folder of IMERG files; that of `data` if not given.
    product, orbit, band : str
        Which soil-moisture files and which variable of them to read.

    Returns
    -------
    DataSection
        The source.

    Raises
    ------
    ValueError
        Not just one of `data` and `archive` is given, or rain beside an archive.
    """
    from training.data import DataSection

    if (data is None) == (archive is None):
        raise ValueError("give either --data, a folder of LPRM files, or --archive")
    if archive is None:
        return DataSection(granules=data, rain=rain or data, product=product, orbit=orbit, band=band)  # type: ignore[arg-type]
    if rain is not None:
        raise ValueError("an archive has its own rain; leave out --rain")
    return DataSection(archive=archive)
