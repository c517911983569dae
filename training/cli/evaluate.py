"""``python -m training evaluate``: evaluate exported bundles and write a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.cli.common import BandOption, OrbitOption, ProductOption, training_command


@training_command(
    "evaluate",
    epilog="Example: python -m training evaluate --bundle seamless-amsr2-x --data lprm_april2015_x/ "
    "--consolidated 2015-04-13:2015-04-16 --provisional 2015-04-17:2015-04-20 --ismn ismn.zip --out report",
)
def evaluate(
    bundle: Annotated[list[str], typer.Option(help="Name of a shipped bundle, or a bundle's folder; repeatable.")],
    data: Annotated[Path, typer.Option(help="Folder of LPRM files.")],
    out: Annotated[Path, typer.Option(help="Folder to write the report to.")],
    consolidated: Annotated[
        str, typer.Option(help="Days to evaluate with the days after them as input, FIRST:LAST.")
    ] = "",
    provisional: Annotated[
        str, typer.Option(help="Days to evaluate without the days after them as input, FIRST:LAST.")
    ] = "",
    rain: Annotated[Path | None, typer.Option(help="Folder of IMERG files.  [default: --data]")] = None,
    product: ProductOption = "lprm-amsr2",
    orbit: OrbitOption = "descending",
    band: BandOption = "x",
    ismn: Annotated[list[Path] | None, typer.Option(help="ISMN zip, folder or file, repeatable.")] = None,
    series: Annotated[str, typer.Option(help="Days of the time series and stations, FIRST:LAST.")] = "",
    dct_pls: Annotated[
        bool, typer.Option(help="Also evaluate DCT-PLS, plain and robust; takes minutes for each day and tier.")
    ] = True,
    engine: Annotated[str, typer.Option(help="auto, cpu, openvino, cuda or tensorrt.")] = "auto",
) -> None:
    """Evaluate exported bundles on hidden observations, time series, in-situ stations and seams; write a report."""
    from runtime.common.vocabulary import Tier
    from training.days import parse_days
    from training.evaluate.run import Settings, evaluate_bundles

    settings = Settings(
        bundles=tuple(bundle),
        granules=data,
        rain=rain or data,
        product=product,
        orbit=orbit,
        band=band,
        tiers={Tier.CONSOLIDATED: parse_days(consolidated), Tier.PROVISIONAL: parse_days(provisional)},
        series=parse_days(series),
        ismn=tuple(ismn or ()),
        dct_pls=dct_pls,
        engine=engine,  # type: ignore[arg-type]
    )
    evaluate_bundles(settings, out)
    print(f"wrote {out / 'report.md'}")
