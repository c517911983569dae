"""The products a feed can bring: how their files are named, which sensor made them, and when it flew.

Sensor eras as in SGD-SM 2.0 (doi:10.5194/essd-14-4473-2022, table 1).
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

ORBITS = {"descending": ("D", "NT"), "ascending": ("A", "DY")}
"""Orbit, and how product names write it: AMSR by A/D, WindSat by day and night."""

IMERG_RUN_LETTERS = {"E": "early", "L": "late", None: "final"}
"""IMERG run, by its letter in the file name."""


@dataclass(frozen=True)
class Product:
    """One product: the pattern's groups are ``date`` and, where the name says it, ``orbit`` or ``run``."""

    name: str
    sensor: str
    pattern: re.Pattern[str]
    bands: tuple[str, ...] = ()
    start: dt.date | None = None
    """First and last day of the sensor's era: what a feed is used for unless its from/to say otherwise."""
    end: dt.date | None = None
    collections: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Short name and version at GES DISC, by orbit or run."""


_LPRM = r"^LPRM[-_]{sensor}_L3_(?P<orbit>A|D|DY|NT)_SOILM3_V\d{{3}}_(?P<date>\d{{8}})\d*\.nc4?$"

PRODUCTS = {
    product.name: product
    for product in (
        Product(
            "lprm-amsre",
            "AMSR-E",
            re.compile(_LPRM.format(sensor="AMSR_?E")),
            ("c", "x"),
            dt.date(2002, 6, 19),
            dt.date(2011, 10, 4),
            {"descending": ("LPRM_AMSRE_D_SOILM3", "002"), "ascending": ("LPRM_AMSRE_A_SOILM3", "002")},
        ),
        Product(  # GES DISC's file names for WindSat have not been seen; the pattern follows its sisters
            "lprm-windsat",
            "WindSat",
            re.compile(_LPRM.format(sensor="WINDSAT")),
            ("c", "x"),
            dt.date(2011, 10, 5),
            dt.date(2012, 7, 2),
            {"descending": ("LPRM_WINDSAT_NT_SOILM3", "001"), "ascending": ("LPRM_WINDSAT_DY_SOILM3", "001")},
        ),
        Product(
            "lprm-amsr2",
            "AMSR2",
            re.compile(_LPRM.format(sensor="AMSR2")),
            ("c1", "c2", "x"),
            dt.date(2012, 7, 3),
            None,
            {"descending": ("LPRM_AMSR2_D_SOILM3", "001"), "ascending": ("LPRM_AMSR2_A_SOILM3", "001")},
        ),
        Product(
            "imerg",
            "IMERG",
            re.compile(
                r"^3B-DAY(?:-(?P<run>[EL]))?\.MS\.MRG\.3IMERG\.(?P<date>\d{8})-S\d{6}-E\d{6}\.V\d\d[A-Z]?\.nc4?$"
            ),
            collections={
                "early": ("GPM_3IMERGDE", "07"),
                "late": ("GPM_3IMERGDL", "07"),
                "final": ("GPM_3IMERGDF", "07"),
            },
        ),
    )
}
