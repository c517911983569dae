"""How a published day becomes a file: the layouts, and which of them a file has."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.archive.cf import CfLayout
from runtime.archive.record import PublishedDay
from runtime.archive.sgdsm import PREFIXES, SgdSmLayout
from runtime.common.vocabulary import LayoutName


class Layout(Protocol):
    """How a day becomes a file, and how the file is read."""

    def relative_path(self, date: dt.date) -> Path:
        """Return the day's file, relative to the archive's folder."""

    def write(self, path: Path, day: PublishedDay) -> None:
        """Write the day's file; its bytes depend on the day alone."""

    def read(self, path: Path, names: Collection[str] = ...) -> dict[str, NDArray[Any]]:
        """Return variables of a day's file, (rows, cols), packed as `runtime.archive.variables` has them."""

    def axes(self, path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the latitudes and longitudes of the cells' centres, degrees."""


LAYOUTS: dict[LayoutName, Layout] = {LayoutName.CF: CfLayout(), LayoutName.SGD_SM: SgdSmLayout()}


def layout_of(path: Path) -> Layout:
    """Return the layout of a published file, by its name; an archive may hold both while its layout is changed."""
    return LAYOUTS[LayoutName.SGD_SM if path.name.startswith(PREFIXES) else LayoutName.CF]
