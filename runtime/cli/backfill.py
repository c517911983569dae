"""``runtime backfill``: fill years at once, on all cores of this machine or on a cluster."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from runtime.cli.common import (
    ConfigFile,
    From,
    Json,
    LogFormatOption,
    Offline,
    Overrides,
    To,
    command,
    parse_range,
    read_config,
)
from runtime.cli.fill import end_run
from runtime.common import clock
from runtime.common.logs import LogFormat
from runtime.common.text import counted
from runtime.errors import UsageError

if TYPE_CHECKING:
    from runtime.backfill.cost import Cost


@command(
    epilog="Examples: `runtime backfill --from 2002-06-19 --to 2022-02-05`; `runtime backfill --from 2012-07-03 "
    "--workers 8`; `runtime backfill --from 2012-07-03 --scheduler tcp://10.0.0.1:8786`; "
    "`runtime backfill --from 2012-07-03 --cluster slurm --workers 64`"
)
def backfill(
    first: From = None,
    last: To = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Number of workers.  [default: one for each core]")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Use a Dask cluster that runs already, at tcp://HOST:PORT.")
    ] = None,
    cluster: Annotated[
        Literal["slurm", "pbs"] | None, typer.Option(help="Let this batch system start the workers.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Threads of a worker.  [default: this machine's cores, shared]")
    ] = None,
    block: Annotated[int, typer.Option(min=1, max=366, help="Days in a row that are computed at a time.")] = 8,
    config: ConfigFile = None,
    overrides: Overrides = None,
    offline: Offline = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would cost, from three measured days; change nothing.")
    ] = False,
    as_json: Json = False,
    log_format: LogFormatOption = LogFormat.AUTO,
) -> None:
    """Fill the stale days of a range as `fill` does, computed by many workers and published in date order.

    The bytes are those that `fill` gives. A killed run goes on where it was. If the network carries a memory from day
    to day, each worker computes a share of the tiles through all days.
    """
    if first is None:
        raise UsageError("backfill needs --from, and perhaps --to")
    if scheduler and (workers or cluster):
        raise UsageError("--scheduler is a cluster that has its workers already; leave out --workers and --cluster")
    wanted = parse_range(None, first, last)
    assert wanted
    settings = read_config(config, overrides)
    from runtime.backfill.cluster import ClusterChoice
    from runtime.backfill.cost import estimate_cost
    from runtime.backfill.run import backfill_archive
    from runtime.cli.progress import run_events

    choice, today = ClusterChoice(workers, scheduler, cluster, threads), clock.today()
    with run_events() as events:
        if dry_run:
            cost = estimate_cost(settings, wanted, today, events, block, offline=offline)
        else:
            outcome = backfill_archive(settings, wanted, today, events, choice, block=block, offline=offline)
    if dry_run:
        _print_cost(cost, block, as_json)
    else:
        end_run(outcome, as_json)


def _print_cost(cost: Cost, block: int, as_json: bool) -> None:
    """Print what a backfill would take."""
    if as_json:
        print(json.dumps(asdict(cost), indent=1))
        return
    print(f"{counted(cost.days, 'day')} to fill, in {counted(cost.tasks, 'task')} of up to {counted(block, 'day')}")
    print(f"{cost.bytes_read / 1e9:.2f} GB are read here; {counted(cost.to_fetch, 'file')} still to be fetched")
    if cost.seconds_per_day is not None:
        print(
            f"a day takes {cost.seconds_per_day:.2f} s on this machine alone: "
            f"{cost.days * cost.seconds_per_day / 3600:.2f} hours in all, shared by the workers"
        )
