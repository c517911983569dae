"""``python -m training evaluate``: evaluate exported bundles and write a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.cli.common import (
    BandOption,
    DataOption,
    DepthOption,
    EngineOption,
    IsmnOption,
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
    "evaluate",
    epilog="Examples: python -m training evaluate --suite --data lprm_april2015_x --out report · python -m training "
    "evaluate --bundle seamless-2 --data lprm_april2015_x --consolidated 2015-04-13:2015-04-16 "
    "--provisional 2015-04-17:2015-04-20 --ismn ismn.zip --out report · python -m training evaluate --suite --archive "
    "archive --out report · python -m training evaluate --archive archive --ismn ismn.zip --out stations",
)
def evaluate(
    out: OutOption,
    data: DataOption = None,
    archive: Annotated[
        Path | None,
        typer.Option(
            help="Folder of an archive, instead of --data: its own observed cells are hidden and filled; --product, "
            "--orbit and --band do not matter. With --ismn its published values are compared with stations; without "
            "--suite or days, nothing else is done."
        ),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            help="With --archive and --ismn: folder of another archive, or of the files of SGD-SM 1.0 or 2.0 by year. "
            "All are compared on the days and with the stations that all of them have; repeatable."
        ),
    ] = None,
    bundle: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of a shipped bundle, or a bundle's folder; repeatable.  [default: all shipped ones; with "
            "--archive the one that filled it]"
        ),
    ] = None,
    suite: Annotated[
        bool,
        typer.Option(
            "--suite",
            help="Take the standard days: the last four of the files on the provisional tier, the four before them on "
            "the consolidated one; trees are fitted to the days before those.",
        ),
    ] = False,
    consolidated: Annotated[
        str, typer.Option(help="Days to evaluate with the days after them as input, FIRST:LAST.")
    ] = "",
    provisional: Annotated[
        str, typer.Option(help="Days to evaluate without the days after them as input, FIRST:LAST.")
    ] = "",
    rain: RainOption = None,
    product: ProductOption = "lprm-amsr2",
    orbit: OrbitOption = "descending",
    band: BandOption = "x",
    ismn: IsmnOption = None,
    depth: DepthOption = DEEPEST,
    record_days: RecordDaysOption = FEWEST_DAYS,
    series: Annotated[str, typer.Option(help="Days of the time series and stations, FIRST:LAST.")] = "",
    dct_pls: Annotated[
        bool, typer.Option(help="Also evaluate DCT-PLS on real gaps; takes most of a minute for each day and tier.")
    ] = True,
    trees: Annotated[
        bool, typer.Option(help="Also evaluate trees, fitted to the days before; takes most of a minute for each tier.")
    ] = True,
    engine: EngineOption = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Processes that fill hidden cells, a day each.")] = 1,
) -> None:
    """Evaluate exported bundles on hidden observations, time series, in-situ stations and seams; write a report."""
    from rich.console import Console

    from runtime.bundle import shipped_bundles
    from training.days import parse_days
    from training.evaluate.insitu import StationRules
    from training.evaluate.writing import MARKDOWN

    source = source_of(data, archive, rain, product, orbit, band)
    rules = StationRules(depth, record_days)
    if archive is not None and ismn and not (suite or consolidated or provisional or bundle):
        from training.evaluate.station_report import station_means_table, write_station_report
        from training.evaluate.stations import compare_archives

        stations = compare_archives([archive, *(against or ())], ismn, rules, parse_days(series))
        write_station_report(out, stations)
        Console().print(station_means_table(stations))
        print(f"wrote {out / MARKDOWN}")
        return
    if against:
        raise ValueError("--against needs --archive and --ismn, without days and bundles: it compares published values")
    from runtime.common.vocabulary import Tier
    from training.evaluate.run import Settings, bundle_of_archive, evaluate_bundles
    from training.evaluate.summary import summary_table

    settings = Settings(
        bundles=tuple(bundle or (shipped_bundles() if archive is None else [bundle_of_archive(archive)])),
        source=source,
        tiers={Tier.CONSOLIDATED: parse_days(consolidated), Tier.PROVISIONAL: parse_days(provisional)},
        series=parse_days(series),
        ismn=tuple(ismn or ()),
        rules=rules,
        dct_pls=dct_pls,
        trees=trees,
        engine=engine,  # type: ignore[arg-type]
        suite=suite,
        workers=workers,
    )
    found = evaluate_bundles(settings, out)
    Console().print(summary_table(found))
    print(f"wrote {out / MARKDOWN}")
