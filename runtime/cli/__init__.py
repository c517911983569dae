"""``runtime ...``: the command line, one module a command. Heavy imports happen inside the commands that need them."""

from __future__ import annotations

from runtime.cli import (
    backfill,
    changes,
    check,
    demo,
    doctor,
    export,
    fetch,
    fill,
    inbox,
    init,
    inspect,
    mirror,
    plan,
    products,
    reprocess,
    retrieve,
    series,
    show,
    status,
)
from runtime.cli.common import app

_ORDER = (
    *(init.init, plan.plan, fill.fill, fetch.fetch, reprocess.reprocess, backfill.backfill),
    *(status.status, show.show, series.series, export.export, changes.changes, inbox.inbox, check.check),
    mirror.mirror,
    *(retrieve.retrieve, products.products, inspect.inspect, doctor.doctor, demo.demo),
)
app.registered_commands.sort(key=lambda command: [each.__name__ for each in _ORDER].index(str(command.name)))

__all__ = ["app"]
