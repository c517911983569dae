"""What is wrong with the archive's newest day and with the runs: the same for readiness, metrics and alerts."""

from __future__ import annotations

import datetime as dt

from runtime.config import Config
from service.runner import Runner

_GRACE = dt.timedelta(minutes=15)
"""What a run may need after its limit: it ends its day, the cube, and its fetched files."""


def lag_fault(config: Config, runner: Runner, newest: dt.date | None, today: dt.date) -> str | None:
    """Return why the newest day is too old.

    Parameters
    ----------
    config : Config
        ``policy.max_lag_days`` is how far behind is normal. If every soil-moisture feed has a ``to``, the archive ends
        there, and later days are not missing.
    runner : Runner
        Runs the fills; before its first run has ended an archive may be empty.
    newest : date or None
        The newest published day; None if there is none.
    today : date
        The current day, UTC.

    Returns
    -------
    str or None
        The reason; None if the newest day is new enough.
    """
    if newest is None:
        last = runner.last
        return f"no day has been published yet; the last run ended with exit code {last.exit_code}" if last else None
    limit = config.policy.max_lag_days
    expected = config.last_due(today)
    if (expected - newest).days <= limit:
        return None
    what = "today" if expected == today else f"{expected}, the last day of the feeds"
    return f"the newest day is {newest}, {(expected - newest).days} days before {what}; {limit} are normal"


def failed_run_fault(runner: Runner) -> str | None:
    """Return why the last run counts as failed; None if it did what it could, or no run has ended."""
    last = runner.last
    return f"the last run ended with exit code {last.exit_code}; its log says why" if last and last.failed else None


def stuck_run_fault(config: Config, runner: Runner, moment: dt.datetime) -> str | None:
    """Return why the run in progress counts as stuck.

    Parameters
    ----------
    config : Config
        ``policy.max_run_minutes`` is how long a run may take, and ``policy.max_mirror_minutes`` its mirror after that.
    runner : Runner
        Runs the fills.
    moment : datetime
        The current time, UTC.

    Returns
    -------
    str or None
        The reason; None if no run is in progress, or not for too long.
    """
    since, limit = runner.running_since, config.policy.max_run_minutes
    if config.archive.mirror:
        limit += config.policy.max_mirror_minutes
    if since is None or moment - since <= dt.timedelta(minutes=limit) + _GRACE:
        return None
    return (
        f"the run in progress began at {since:%Y-%m-%d %H:%M} UTC, more than {limit:g} minutes ago; "
        "if it does not end, restart the service"
    )
