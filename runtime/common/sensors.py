"""The products that a feed can provide: how their files are named, which sensor made them, and when it measured.

Periods of the sensors as in SGD-SM 2.0 (doi:10.5194/essd-14-4473-2022, table 1).
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field

from runtime.common.vocabulary import ImergRun

ORBITS = {"descending": ("D", "NT"), "ascending": ("A", "DY")}
"""How file names write each orbit: AMSR by D and A, WindSat by NT (night) and DY (day)."""

IMERG_RUN_LETTERS: dict[str | None, ImergRun] = {"E": ImergRun.EARLY, "L": ImergRun.LATE, None: ImergRun.FINAL}
"""The IMERG run, by its letter in the file name; Final has no letter."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """One product of satellite data."""

    name: str
    sensor: str
    pattern: re.Pattern[str]
    """Pattern of the file names, with a group ``date`` and, where the name contains it, ``orbit`` or ``run``."""
    max_bytes: int
    """Size that no file of the product has, not even an uncompressed one; a larger file is not taken."""
    bands: tuple[str, ...] = ()
    start: dt.date | None = None
    """First day of the sensor; a feed is used from then on unless its ``from`` says otherwise."""
    end: dt.date | None = None
    """Last day of the sensor; a feed is used until then unless its ``to`` says otherwise."""
    collections: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Short name and version of the collections at GES DISC, by orbit or run."""


_MIB = 1 << 20
_LPRM = r"^LPRM[-_]{sensor}_L3_(?P<orbit>A|D|DY|NT)_SOILM3_V\d{{3}}_(?P<date>\d{{8}})\d*\.nc4?$"

PRODUCTS = {
    product.name: product
    for product in (
        Product(
            name="lprm-amsre",
            sensor="AMSR-E",
            pattern=re.compile(_LPRM.format(sensor="AMSR_?E")),
            max_bytes=128 * _MIB,
            bands=("c", "x"),
            start=dt.date(2002, 6, 19),
            end=dt.date(2011, 10, 4),
            collections={"descending": ("LPRM_AMSRE_D_SOILM3", "002"), "ascending": ("LPRM_AMSRE_A_SOILM3", "002")},
        ),
        Product(
            name="lprm-windsat",
            sensor="WindSat",
            # We have not seen file names of WindSat at GES DISC; the pattern follows those of AMSR-E and AMSR2.
            pattern=re.compile(_LPRM.format(sensor="WINDSAT")),
            max_bytes=128 * _MIB,
            bands=("c", "x"),
            start=dt.date(2011, 10, 5),
            end=dt.date(2012, 7, 2),
            collections={
                "descending": ("LPRM_WINDSAT_NT_SOILM3", "001"),
                "ascending": ("LPRM_WINDSAT_DY_SOILM3", "001"),
            },
        ),
        Product(
            name="lprm-amsr2",
            sensor="AMSR2",
            pattern=re.compile(_LPRM.format(sensor="AMSR2")),
            max_bytes=128 * _MIB,
            bands=("c1", "c2", "x"),
            start=dt.date(2012, 7, 3),
            collections={"descending": ("LPRM_AMSR2_D_SOILM3", "001"), "ascending": ("LPRM_AMSR2_A_SOILM3", "001")},
        ),
        Product(
            name="imerg",
            sensor="IMERG",
            pattern=re.compile(
                r"^3B-DAY(?:-(?P<run>[EL]))?\.MS\.MRG\.3IMERG\.(?P<date>\d{8})-S\d{6}-E\d{6}\.V\d\d[A-Z]?\.nc4?$"
            ),
            max_bytes=256 * _MIB,
            collections={
                ImergRun.EARLY: ("GPM_3IMERGDE", "07"),
                ImergRun.LATE: ("GPM_3IMERGDL", "07"),
                ImergRun.FINAL: ("GPM_3IMERGDF", "07"),
            },
        ),
    )
}
"""Every product that the runtime can read, by name."""
