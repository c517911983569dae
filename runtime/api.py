"""For notebooks and programs: fill a day, open an archive. What `import runtime` offers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from runtime.archive.dataset import open_archive
from runtime.errors import InputRefused, InputsMissing, ResultRefused, SeamlessError

if TYPE_CHECKING:
    import xarray


def fill_day(
    date: dt.date | str, config: Path | str | None = None, *, overrides: Sequence[str] = (), offline: bool = False
) -> xarray.Dataset:
    """Fill one day, publish it in the archive, and return it; a day that is current is not made again.

    Parameters
    ----------
    date : the day, or ``YYYY-MM-DD``
    config : the configuration file; default ``seamless-sm.toml`` in the working directory, or else the defaults
    overrides : ``section.key=value``, as ``--set`` takes them
    offline : use only inputs that were fetched before

    Returns
    -------
    xarray.Dataset
        One time step of `open_archive`, in memory.

    Raises
    ------
    InputsMissing
        The day's soil moisture is not there yet.
    InputRefused
        It is damaged or implausible.
    ResultRefused
        The filled day did not pass its gate.
    SeamlessError
        Anything else that can go wrong; see `runtime.errors`.

    Examples
    --------
    >>> day = runtime.fill_day("2015-04-12", "seamless-sm.toml")  # doctest: +SKIP
    """
    from runtime.config import load_config
    from runtime.pipeline.run import DateRange, RunEvents, fill_archive

    day = dt.date.fromisoformat(date) if isinstance(date, str) else date
    settings = load_config(None if config is None else Path(config), overrides)
    today = dt.datetime.now(dt.UTC).date()
    outcome = fill_archive(settings, DateRange(day, day), today, RunEvents(), offline=offline)
    if outcome.exit_code:
        known = {kind.exit_code: kind for kind in (InputsMissing, InputRefused, ResultRefused)}
        raise known.get(outcome.exit_code, SeamlessError)(outcome.message)
    return open_archive(settings.archive.path).sel(time=[np.datetime64(day, "ns")]).load()
