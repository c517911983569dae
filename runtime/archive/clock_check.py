"""Does the clock agree with the archive? A clock that has jumped gives days a wrong age."""

from __future__ import annotations

import datetime as dt

from runtime.archive.catalog import Catalog
from runtime.config import Config

_TOLERANCE = dt.timedelta(minutes=10)
"""How far back a clock may be set without a word, as time services do."""

_FAR = dt.timedelta(30)
"""How much older than usual the newest day is at least where the clock may be wrong."""

_CURE = "set the clock (see `timedatectl`); the next run then plans with the right age of each day"


def clock_fault(catalog: Catalog, moment: dt.datetime, today: dt.date, config: Config) -> str | None:
    """Return why the clock, or the clock of an earlier run, must be wrong; None if nothing speaks against it.

    Parameters
    ----------
    catalog : Catalog
        The archive's catalog.
    moment : datetime
        The current time, UTC.
    today : date
        The current day, UTC.
    config : Config
        How old the newest day of an archive that is kept current may be, and when its feeds end.
    """
    span, last = catalog.first_and_newest(), catalog.last_revision()
    if span is None:
        return None
    newest = span[1]
    if newest > today:
        return (
            f"the newest day is {newest}, and this machine's date is {today} (UTC); {_CURE}. If it is right, it was "
            f"wrong when {newest} was published: delete it, then `runtime check --rebuild-catalog --rebuild-views`"
        )
    if last is None:
        return None
    made = dt.datetime.fromisoformat(last.made_at)
    if made > moment + _TOLERANCE:
        return f"the last day was published at {last.made_at}, and it is {moment:%Y-%m-%dT%H:%M}Z; {_CURE}"
    usual = max(_FAR, dt.timedelta(config.policy.max_lag_days + config.policy.max_outage_days))
    if config.last_due(today) - newest > usual >= made.date() - newest:
        return (
            f"this machine's date is {today} (UTC), {(today - newest).days} days after the newest day, which was "
            f"published after {(made.date() - newest).days}: the date is wrong or the feeds have stopped; {_CURE}"
        )
    return None
