"""``python -m export precision``: offer a bundle in a lower precision."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from export.cli.common import export_command


@export_command(
    "precision",
    epilog="Example: python -m export precision --bundle seamless-2 --precision bf16 --data lprm_april2015_x "
    "--consolidated 2015-04-13:2015-04-16 --provisional 2015-04-17:2015-04-20 --out bundles/seamless-2",
)
def precision(
    bundle: Annotated[str, typer.Option(help="Name of a shipped bundle, or a bundle's folder.")],
    precision: Annotated[str, typer.Option(help="bf16, fp16 or int8.")],
    data: Annotated[Path, typer.Option(help="Folder of LPRM files.")],
    out: Annotated[Path, typer.Option(help="Bundle folder; it is written completely or not at all.")],
    consolidated: Annotated[
        str, typer.Option(help="Days to evaluate with the days after them as input, FIRST:LAST.")
    ] = "",
    provisional: Annotated[
        str, typer.Option(help="Days to evaluate without the days after them as input, FIRST:LAST.")
    ] = "",
    rain: Annotated[Path | None, typer.Option(help="Folder of IMERG files.  [default: --data]")] = None,
    product: Annotated[str, typer.Option(help="lprm-amsr2, lprm-amsre or lprm-windsat.")] = "lprm-amsr2",
    orbit: Annotated[str, typer.Option(help="descending or ascending.")] = "descending",
    band: Annotated[str, typer.Option(help="c, c1, c2 or x.")] = "x",
    overwrite: Annotated[bool, typer.Option(help="Replace an existing bundle.")] = False,
) -> None:
    """Offer a trained bundle in a lower precision, if it keeps its accuracy on real days."""
    from export.precision import offer
    from runtime.bundle import find_bundle, load_bundle
    from runtime.common.grid import Grid
    from runtime.common.vocabulary import Precision, Tier
    from runtime.errors import UsageError
    from training.data import DataSection
    from training.days import parse_days

    if precision not in ("bf16", "fp16", "int8"):
        raise UsageError(f"--precision {precision}: wanted bf16, fp16 or int8")
    lower: Precision = precision  # type: ignore[assignment]
    days = {Tier.CONSOLIDATED: parse_days(consolidated), Tier.PROVISIONAL: parse_days(provisional)}
    source = DataSection(granules=data, rain=rain or data, product=product, orbit=orbit, band=band)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as scratch:
        archive = source.open(Path(scratch), Grid.globe())
        offered, impact = offer(load_bundle(find_bundle(bundle)), lower, archive, days, out, overwrite=overwrite)
    print(
        f"wrote {out}: {offered.manifest.name} in {', '.join(('fp32', *offered.manifest.precisions))}; in {precision} "
        f"the filled field changes by {impact.rmse:.5f} m3 m-3, the held-out RMSE by "
        f"{100 * (impact.held_out - 1):+.2f} %"
    )
