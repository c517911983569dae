"""The files that training archives are made from, listed by day."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from runtime.common.sensors import PRODUCTS
from runtime.common.vocabulary import ImergRun
from runtime.inputs.feeds.base import GranuleFilter, Listing
from runtime.inputs.feeds.folder import FolderFeed

Within = tuple[dt.date, dt.date] | None
"""First and last day, both included; None for all days."""


def soil_moisture_files(granules: Path, product: str, orbit: str, within: Within = None) -> Listing:
    """Return the soil-moisture files of each day below a folder.

    Parameters
    ----------
    granules : Path
        The folder, searched with its subfolders.
    product, orbit : str
        Which files.
    within : (date, date), optional
        First and last day; all days if not given.

    Returns
    -------
    dict
        The files by day.

    Raises
    ------
    ValueError
        There is none.
    """
    found = FolderFeed(str(granules), GranuleFilter(PRODUCTS[product], orbit)).granules(*within or ())
    if not found:
        days = f" from {within[0]} to {within[1]}" if within else ""
        raise ValueError(f"{granules} holds no {product} file of the {orbit} orbit{days}; check the folder and product")
    return found


def rain_files(folder: Path, within: Within = None) -> Listing:
    """Return the IMERG files of each day below a folder, the best run first.

    Parameters
    ----------
    folder : Path
        The folder, searched with its subfolders.
    within : (date, date), optional
        First and last day; all days if not given.

    Returns
    -------
    dict
        The files by day; empty if there are none.
    """
    found = FolderFeed(str(folder), GranuleFilter(PRODUCTS["imerg"])).granules(*within or ())
    best_first = list(reversed(ImergRun))
    for runs in found.values():
        runs.sort(key=lambda granule: best_first.index(ImergRun(granule.run or "")))
    return found
