"""For notebooks and programs: fill a day, open an archive. What `import runtime` offers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from runtime.archive.dataset import open_archive
from runtime.archive.timeseries import SeamlessTs
from runtime.common import clock
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.output import accessor as accessor  # registers `archive.seamless`

if TYPE_CHECKING:
    import xarray

__all__ = ["SeamlessTs", "fill_day", "open_archive"]


def fill_day(
    date: dt.date | str, config: Path | str | None = None, *, overrides: Sequence[str] = (), offline: bool = False
) -> xarray.Dataset:
    """Fill one day, publish it in the archive, and return it; a day that is current is not made again.

    Parameters
    ----------
    date : date or str
        The day, or ``YYYY-MM-DD``.
    config : Path or str, optional
        The configuration file; default ``seamless-sm.toml`` in the working directory, or else the defaults.
    overrides : sequence of str
        ``section.key=value``, as ``--set`` takes them.
    offline : bool
        Use only inputs that were fetched before.

    Returns
    -------
    xarray.Dataset
        One time step of `open_archive`, in memory.

    Raises
    ------
    InputsMissing
        The day's soil moisture is not there yet.
    InputRefused
        The soil-moisture file is damaged or implausible.
    ResultRefused
        The filled day did not pass its gate.
    SeamlessError
        Anything else that can go wrong; see `runtime.errors`.

    Examples
    --------
    >>> day = runtime.fill_day("2015-04-12", "seamless-sm.toml")  # doctest: +SKIP
    """
    from runtime.config import load_config
    from runtime.pipeline.run import fill_archive

    day = dt.date.fromisoformat(date) if isinstance(date, str) else date
    settings = load_config(None if config is None else Path(config), overrides)
    outcome = fill_archive(settings, DateRange(day, day), clock.today(), RunEvents(), offline=offline)
    if outcome.error:
        raise outcome.error
    return open_archive(settings.archive.path).sel(time=[np.datetime64(day, "ns")]).load()
