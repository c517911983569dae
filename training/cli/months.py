"""``python -m training months``: average days over months, and compare bundles side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from training.cli.common import (
    PUBLISHED,
    BandOption,
    BundlesOption,
    DataOption,
    DepthOption,
    EngineOption,
    IsmnOption,
    JudgedArchiveOption,
    OrbitOption,
    OutOption,
    ProductOption,
    RainOption,
    RecordDaysOption,
    source_of,
    training_command,
)
from training.evaluate.kinds import DEEPEST, FEWEST_DAYS


@training_command(
    "months",
    epilog="Examples: python -m training months --data lprm --rain imerg --ismn ismn.zip --out months · python -m "
    "training months --archive archive --days 2015-04-01:2015-06-30 --bundle seamless-2 --bundle sgdsm2-amsr2-x "
    "--out months",
)
def months(
    out: OutOption,
    data: DataOption = None,
    archive: JudgedArchiveOption = None,
    bundle: BundlesOption = PUBLISHED,
    days: Annotated[
        str, typer.Option(help="Days to average, FIRST:LAST.  [default: all days with a soil-moisture file]")
    ] = "",
    fewest_days: Annotated[
        int, typer.Option(min=1, help="Days of a month that a cell or a station needs for its average.")
    ] = 3,
    ismn: IsmnOption = None,
    depth: DepthOption = DEEPEST,
    record_days: RecordDaysOption = FEWEST_DAYS,
    rain: RainOption = None,
    product: ProductOption = "lprm-amsr2",
    orbit: OrbitOption = "descending",
    band: BandOption = "x",
    engine: EngineOption = "auto",
) -> None:
    """Compare averages of months, bundles side by side, on hidden cells and with stations; write tables and figures.

    As Table 3 and figure 11 of SGD-SM 2.0. Days are filled one after the other; of a month only sums are kept.
    """
    from rich.console import Console

    from runtime.common.grid import Grid
    from runtime.engines.select import EngineSettings
    from training.cli.progress import days_bar
    from training.days import parse_days
    from training.evaluate.insitu import StationRules
    from training.evaluate.month_report import months_table, write_month_report
    from training.evaluate.months import MonthSettings, compare_months
    from training.evaluate.run import named_bundles
    from training.evaluate.writing import MARKDOWN

    settings = MonthSettings(
        source=source_of(data, archive, rain, product, orbit, band),
        bundles=named_bundles(bundle),
        days=parse_days(days),
        fewest=fewest_days,
        ismn=tuple(ismn or ()),
        rules=StationRules(depth, record_days),
        engine=EngineSettings(engine),  # type: ignore[arg-type]
    )
    with days_bar() as progress:
        found = compare_months(settings, out / "record", Grid.globe(), progress)
    write_month_report(out, settings, found)
    Console().print(months_table(found))
    print(f"wrote {out / MARKDOWN}")
