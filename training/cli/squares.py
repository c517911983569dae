"""``python -m training squares``: hide squares of a day in each year, and evaluate what fills them."""

from __future__ import annotations

from typing import Annotated

import typer

from training.cli.common import (
    PUBLISHED,
    BandOption,
    BundlesOption,
    DataOption,
    EngineOption,
    JudgedArchiveOption,
    OrbitOption,
    OutOption,
    ProductOption,
    RainOption,
    source_of,
    training_command,
)


@training_command(
    "squares",
    epilog="Examples: python -m training squares --data lprm --rain imerg --out squares · python -m training squares "
    "--data lprm_april2015_x --day 04-16 --out squares · python -m training squares --archive archive --places "
    "'10.1,12.4 -3.6,20.1' --side 20 --bundle seamless-2 --out squares",
)
def squares(
    out: OutOption,
    data: DataOption = None,
    archive: JudgedArchiveOption = None,
    bundle: BundlesOption = PUBLISHED,
    places: Annotated[
        str,
        typer.Option(help="sgdsm1 or sgdsm2, the places of that paper; or yours as 'NORTH,EAST NORTH,EAST', degrees."),
    ] = "sgdsm1",
    side: Annotated[int, typer.Option(min=1, help="Cells along each side of a square.")] = 40,
    day: Annotated[
        str, typer.Option(help="The day in each year, MM-DD; without a file, the nearest day of the year is taken.")
    ] = "07-25",
    rain: RainOption = None,
    product: ProductOption = "lprm-amsr2",
    orbit: OrbitOption = "descending",
    band: BandOption = "x",
    engine: EngineOption = "auto",
) -> None:
    """Hide squares on one day of each year, fill them, and write a report with a row for each year, maps and scatter.

    As Table 2 and figures 9 to 12 of SGD-SM 1.0. All squares of a day are hidden at once. Only the days around it are
    read; they are kept in the report's folder for the next call.
    """
    from rich.console import Console

    from runtime.common.grid import Grid
    from runtime.engines.select import EngineSettings
    from training.cli.progress import days_bar
    from training.days import parse_month_and_day
    from training.evaluate.run import named_bundles
    from training.evaluate.series import parse_places
    from training.evaluate.square_report import squares_table, write_square_report
    from training.evaluate.squares import SquareSettings, fill_squares
    from training.evaluate.writing import MARKDOWN

    month, day_of_month = parse_month_and_day(day)
    settings = SquareSettings(
        source=source_of(data, archive, rain, product, orbit, band),
        bundles=named_bundles(bundle),
        places=parse_places(places),
        side=side,
        month=month,
        day=day_of_month,
        engine=EngineSettings(engine),  # type: ignore[arg-type]
    )
    with days_bar() as progress:
        found = list(fill_squares(settings, out / "record", Grid.globe(), progress))
    write_square_report(out, settings, found)
    Console().print(squares_table(found))
    print(f"wrote {out / MARKDOWN}")
