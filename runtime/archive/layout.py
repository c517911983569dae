"""What is published: layouts, the catalog, and the journalled way a day gets there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.archive import cf, sgdsm
from runtime.archive.record import PublishedDay


class Layout(Protocol):
    """How a day becomes a file."""

    def relative_path(self, date: dt.date) -> Path:
        """Return the day's file below the archive's folder."""

    def write(self, path: Path, day: PublishedDay) -> None:
        """Write the day's file; its bytes depend on the day alone."""

    def read(self, path: Path, names: Collection[str] = ...) -> dict[str, NDArray[Any]]:
        """Return variables of a day's file, (rows, cols), packed as `runtime.archive.variables` has them."""

    def axes(self, path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the latitudes and longitudes of the cells' centres, degrees."""


LAYOUTS: dict[str, Layout] = {"cf": cf, "sgd-sm": sgdsm}


def layout_of(path: Path) -> Layout:
    """Return the layout a published file has, by its name; an archive whose layout was changed has both for a while."""
    return LAYOUTS["sgd-sm" if path.name.startswith("SGD-SM") else "cf"]
