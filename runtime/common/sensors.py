"""The products that a feed can provide, each a declaration: file names, variables, units, quality rules, grid, era.

The shipped declarations are ``runtime/data/products.toml``; a user's own are ``[products.NAME]`` in the configuration,
with the same keys. Periods of the sensors of LPRM as in SGD-SM 2.0 (doi:10.5194/essd-14-4473-2022, section 2.1).
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from runtime.common.patterns import compile_pattern
from runtime.common.section import TomlSection
from runtime.common.vocabulary import ImergRun, InputVariable

ORBITS = {"descending": ("D", "NT"), "ascending": ("A", "DY")}
"""How file names write each orbit: most by D and A, WindSat by NT (night) and DY (day)."""

IMERG_RUN_LETTERS: dict[str | None, ImergRun] = {"E": ImergRun.EARLY, "L": ImergRun.LATE, None: ImergRun.FINAL}
"""The IMERG run, by its letter in the file name; Final has no letter."""

_NAME = re.compile(r"[^\s/.][^\s/]{0,79}")
"""Name of a product: fetched files lie in a folder of that name."""

NAME_GROUPS = ("date", "orbit", "run", "version", "interim")
"""What the pattern of a file name may tell, as its named groups."""

Names = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value), Field(min_length=1)
]
"""One name, or several to try in this order. ``{band}``, and the words of `Product.orbit_words`, are filled in."""


CdsWord = Annotated[str, Field(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]*)?$")]
"""A value of a keyword of the Climate Data Store; names of fetched files are made with some of them."""

CDS_DAYS = frozenset({"year", "month", "day"})
"""Keywords that are set for each request."""


def check_pattern(pattern: str, known: tuple[str, ...] = NAME_GROUPS) -> str:
    """Return a pattern of file names that has a group ``date`` and no unknown group.

    Parameters
    ----------
    pattern : str
        The regular expression.
    known : tuple of str
        Groups that it may have.

    Raises
    ------
    ValueError
        It has not, or is no regular expression.
    """
    groups = compile_pattern(pattern).groupindex
    if "date" not in groups:
        raise ValueError(f"pattern {pattern!r} has no group (?P<date>\\d{{8}})")
    if unknown := set(groups) - set(known):
        raise ValueError(f"pattern {pattern!r} has a group {min(unknown)}; it may have {', '.join(known)}")
    return pattern


class QualityRule(TomlSection):
    """``[[products.NAME.quality]]``: values that are left out, by another variable of the same cells."""

    variable: Names
    """Variable to look at; ``{variable}`` is the name of the one that is read."""
    clear_bits: tuple[Annotated[int, Field(ge=0, le=63)], ...] = ()
    """Bits that must be 0; the lowest is 0."""
    refused: tuple[str, ...] = ()
    """Meanings that are refused, as the variable's ``flag_meanings`` writes them. Their values are those of the file's
    own ``flag_values`` or ``flag_masks``; a value without a meaning is refused, too."""
    least: float | None = None
    """Smallest value that is accepted."""
    most: float | None = None
    """Largest value that is accepted."""

    @model_validator(mode="after")
    def _says_something(self) -> QualityRule:
        if not (self.clear_bits or self.refused) and self.least is None and self.most is None:
            raise ValueError("a quality rule needs clear_bits, refused, least or most")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError(f"least = {self.least} is larger than most = {self.most}, so no value is accepted")
        return self


class MarkRule(QualityRule):
    """``[[products.NAME.marks]]``: cells that get a bit of ``quality_flag``; their values are kept.

    A cell is marked if the rule refuses it. A file that does not have the variable, or none of the meanings, is read,
    too: the bit is then not judged.
    """

    bit: Literal["sensor_flag", "frozen", "dense_vegetation"]


class TimeRule(TomlSection):
    """``[[products.NAME.time]]``: a variable that tells the day; the first one that the file has is used."""

    variable: Names
    """One time, or a time of each cell, whose median is taken. Times up to 0 count as missing."""
    unit: str | None = None
    """As CF writes it, ``seconds since 1993-01-01``, or ``minutes of the day``; unset: the variable's own."""
    text: bool = False
    """Times are texts that begin with YYYY-MM-DD; those that do not are left out."""
    optional: bool = False
    """Read a file that does not have it."""


class ProductGrid(TomlSection):
    """``[products.NAME.grid]``: where the cells of a file are."""

    kind: Literal["coordinates", "regular", "ease2"] = "coordinates"
    """``coordinates``: the file's own, one-dimensional. ``regular``: computed from the step. ``ease2``: EASE-Grid 2.0
    global, computed; coordinates in the file only say whether the first row is the northernmost."""
    lat: str | None = None
    """Variable with the latitudes; unset: the one that has the dimension's name."""
    lon: str | None = None
    """Variable with the longitudes; unset: the one that has the dimension's name."""
    step: float | None = Field(default=None, gt=0, le=10)
    """Cell size of a ``regular`` grid, degrees. It covers the globe, row 0 northernmost, column 0 westernmost."""
    cell_km: Literal[9, 25, 36] | None = None
    """Cell size of an ``ease2`` grid."""
    partial: bool = False
    """Whether the cells cover a part of the globe only; what they do not cover has no value."""

    @model_validator(mode="after")
    def _has_its_keys(self) -> ProductGrid:
        if (self.kind == "regular") != (self.step is not None):
            raise ValueError('step belongs to kind = "regular", which needs it')
        if (self.kind == "ease2") != (self.cell_km is not None):
            raise ValueError('cell_km (9, 25 or 36) belongs to kind = "ease2", which needs it')
        return self

    def __str__(self) -> str:
        return {"regular": f"{self.step} degree", "ease2": f"EASE-Grid 2.0 {self.cell_km} km"}.get(
            self.kind, "coordinates"
        )


class Product(TomlSection):
    """``[products.NAME]``: one product of satellite data, and how its files are read."""

    name: str = Field(default="", exclude=True)
    """The name of the table."""
    extends: str | None = Field(default=None, exclude=True)
    """A shipped product whose keys this one has, except for those that it sets itself."""
    title: str = ""
    """The product's name in full."""
    what: InputVariable
    sensor: str
    pattern: re.Pattern[str]
    """Pattern of the file names, with a group ``date`` (YYYYMMDD) and, where the name tells them, ``orbit``, ``run``,
    ``version`` and ``interim``: of the files of a day, the one with the highest version counts. A group ``interim``
    that matched says that another file will replace this one; a file without it counts before all that have it."""
    variable: Names
    """The variable, with its groups: ``group/variable``."""
    unit: Literal["percent", "m3 m-3", "mm/day"]
    """Unit of the values if the file does not tell. A file in percent is taken only if it stands here."""
    bands: tuple[str, ...] = ()
    """What ``{band}`` may be."""
    orbit_words: dict[str, dict[str, str]] = Field(default={})
    """For files with both orbits: what is filled into the names of variables for each of them."""
    dimensions: tuple[str, ...] = ()
    """Names of the variable's dimensions, among them lat and lon; unset: the file's own. Others must have length 1."""
    scale: float | str = "scale_factor"
    """What stored values are multiplied by: a number, or the attribute that has it."""
    offset: float | str = "add_offset"
    """What is added after that: a number, or the attribute that has it."""
    fill: tuple[float, ...] = ()
    """Stored values that stand for no value, besides the file's ``_FillValue`` and ``missing_value``."""
    valid: tuple[float, float] | None = None
    """Smallest and largest value, in the file's unit; unset: the file's ``valid_range`` or ``valid_min``."""
    quality: tuple[QualityRule, ...] = ()
    marks: tuple[MarkRule, ...] = ()
    time: tuple[TimeRule, ...] = ()
    grid: ProductGrid = ProductGrid()
    run: ImergRun = ImergRun.LATE
    """Precipitation whose file names do not tell a run: which run of IMERG it counts as."""
    start: dt.date | None = None
    """First day of the sensor; a feed is used from then on unless its ``from`` says otherwise."""
    end: dt.date | None = None
    """Last day of the sensor; a feed is used until then unless its ``to`` says otherwise."""
    outages: tuple[tuple[dt.date, dt.date], ...] = ()
    """First and last day of known times without data."""
    latency_days: float | None = Field(default=None, ge=0)
    """Days after which a file is usually published."""
    max_mib: int = Field(default=256, ge=1, le=100_000)
    """Size that no file of the product has, not even an uncompressed one; a larger file is not taken."""
    max_cells: int = Field(default=3600 * 1800, ge=1, le=100_000_000)
    """Number of cells that no file of the product has."""
    collections: dict[str, tuple[str, str]] = Field(default={})
    """Short name and version of the Earthdata collections, by orbit or run."""
    cds: dict[str, CdsWord] = Field(default={})
    """Keywords of a request at the Climate Data Store, for feeds of kind ``cds``: ``type_of_sensor`` at least."""
    licence: str = ""
    citation: str = ""

    @field_validator("pattern", mode="before")
    @classmethod
    def _pattern_tells_the_day(cls, pattern: Any) -> Any:
        return check_pattern(pattern) if isinstance(pattern, str) else pattern

    @model_validator(mode="after")
    def _fits_together(self) -> Product:
        is_rain = self.what is InputVariable.PRECIPITATION
        if is_rain != (self.unit == "mm/day"):
            raise ValueError(f"{self.what} cannot be in {self.unit}")
        if self.valid and self.valid[0] >= self.valid[1]:
            raise ValueError(f"valid = [{self.valid[0]}, {self.valid[1]}] wants the smallest value first")
        for first, last in ((self.start, self.end), *self.outages):
            if first and last and first > last:
                raise ValueError(f"{first} to {last} ends before it begins (start and end, or outages)")
        if days := CDS_DAYS & set(self.cds):
            raise ValueError(f"cds: {min(days)} is set for each request; leave it out")
        if unknown := set(self.orbit_words) - set(ORBITS):
            raise ValueError(f"orbit_words has {min(unknown)}; wanted {' and '.join(ORBITS)}")
        if self.dimensions and not {"lat", "lon"} <= set(self.dimensions):
            raise ValueError(f"dimensions {', '.join(self.dimensions)} must have lat and lon among them")
        for words in self.orbit_words.values() or [{}]:
            if reserved := {"band", "variable"} & set(words):
                raise ValueError(f"orbit_words sets {min(reserved)}, which has a meaning of its own; rename it")
            rules = [rule.variable for rule in (*self.quality, *self.marks)] + [rule.variable for rule in self.time]
            for names in (self.variable, *rules):
                for name in names:
                    try:
                        name.format(**words, band="", variable="")
                    except (KeyError, IndexError, ValueError, AttributeError) as error:
                        raise ValueError(f"{name!r} has a word that nothing fills in ({error})") from None
        return self

    def __str__(self) -> str:
        return self.name

    @property
    def max_bytes(self) -> int:
        """Size that no file of the product has, bytes."""
        return self.max_mib << 20

    def words(self, band: str | None = None, orbit: str | None = None) -> dict[str, str]:
        """Return what is filled into the names of variables, for a band and an orbit; the first of each by default."""
        default = next(iter(self.orbit_words.values()), dict[str, str]())
        return {"band": band or next(iter(self.bands), ""), **self.orbit_words.get(orbit or "", default)}


def declare(tables: Mapping[str, Any], known: Mapping[str, Product]) -> dict[str, Any]:
    """Return tables of products with their names, and with what they take from the product that they extend.

    Parameters
    ----------
    tables : mapping
        The declarations by name, as TOML gives them.
    known : mapping
        The products that ``extends`` may name.

    Returns
    -------
    dict
        The tables to make each `Product` of.

    Raises
    ------
    ValueError
        A name cannot be that of a folder, or a table extends a product that does not exist.
    """
    complete: dict[str, Any] = {}
    for name, table in tables.items():
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name[:90]!r} is no name of a product: a folder gets it; wanted at most 80 characters without spaces "
                'and "/", the first one not "."'
            )
        if isinstance(table, dict):
            base = table.get("extends")
            if base is not None and base not in known:
                raise ValueError(f"{name} extends {base!r}, which is no product; there are {', '.join(known)}")
            table = (known[base].model_dump(exclude_unset=True) if base else {}) | table | {"name": name}
        complete[name] = table
    return complete


def _shipped() -> dict[str, Product]:
    text = (resources.files("runtime") / "data" / "products.toml").read_text(encoding="utf-8")
    products: dict[str, Product] = {}
    for name, table in tomllib.loads(text)["products"].items():
        products[name] = Product.model_validate(declare({name: table}, products)[name])
    return products


PRODUCTS = _shipped()
"""Every product that the runtime ships a declaration of, by name."""
