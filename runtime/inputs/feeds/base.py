"""What every feed can do: list its granules and fetch one."""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

from runtime.common.clock import FIRST_DAY, LAST_DAY
from runtime.common.patterns import compile_pattern
from runtime.common.sensors import IMERG_RUN_LETTERS, ORBITS, Product
from runtime.common.vocabulary import ImergRun, InputVariable

_MAX_NAME = 200
"""Longest name of a file, bytes: file systems allow 255, and files kept with it have an ending more."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Granule:
    """One file of a feed."""

    date: dt.date
    product: str
    """Name of the product."""
    name: str
    """The file's name."""
    location: str
    """The file's path or URL."""
    version: str
    """A text that changes when the content may have changed: size and time of change, a checksum, or a revision."""
    run: ImergRun | None = None
    """The run of the precipitation; None for soil moisture."""
    edition: int = 0
    """Number of the file among those of its day, if its name has one; the highest counts."""
    is_interim: bool = False
    """Whether another file will replace it, which then counts."""


class FileName(NamedTuple):
    """What the name of a file tells."""

    date: dt.date
    run: ImergRun | None = None
    """The run of the precipitation; None for soil moisture."""
    edition: int = 0
    is_interim: bool = False
    """Both as in `Granule`."""


Listing = dict[dt.date, list[Granule]]
"""Granules by day, those of each day in the order of `by_day`."""


class Feed(Protocol):
    """A source of granules."""

    in_place: bool
    """Whether granules are local files that can be read without fetching them."""
    incomplete: str | None
    """Why a part of the feed could not be listed; None if all of it was."""

    def granules(self, first: dt.date | None = None, last: dt.date | None = None) -> Listing:
        """Return the granules that the feed has now.

        Parameters
        ----------
        first : dt.date, optional
            First day; without it, from the feed's first day.
        last : dt.date, optional
            Last day, included; without it, to the feed's last day.

        Returns
        -------
        dict of dt.date to list of Granule
            The granules of each day, the one that counts first.

        Raises
        ------
        FeedUnreachable
            The feed does not answer.
        """

    def oldest(self) -> dt.date | None:
        """Return the first day that the feed has a granule for, None if it has none."""

    def fetch(self, granule: Granule, target: Path) -> None:
        """Copy or download a granule.

        Parameters
        ----------
        granule : Granule
            A granule of this feed.
        target : Path
            The file to write.

        Raises
        ------
        FeedUnreachable
            The feed does not answer, or does not send the granule.
        LoginRefused
            The feed does not accept the credentials.
        """

    def announce(self, granules: Sequence[Granule]) -> None:
        """Take note of the granules that are fetched next; one request may then bring several of them."""
        return None

    def check_login(self, listing: Listing) -> str | None:
        """Try the log-in, without fetching a file.

        Parameters
        ----------
        listing : dict of dt.date to list of Granule
            What the feed has listed.

        Returns
        -------
        str or None
            What came of it, in a few words; None if the feed has no log-in, or if listing it was already the proof.

        Raises
        ------
        FeedUnreachable
            The feed does not answer.
        LoginRefused
            There are no credentials, or the feed does not accept them.
        """
        return None


@dataclass(frozen=True)
class GranuleFilter:
    """Which files of a product belong to a feed."""

    product: Product
    orbit: str | None = None
    """``ascending`` or ``descending``; None for both."""
    first: dt.date | None = None
    """First day that the feed is used for; None for the first day of the sensor."""
    last: dt.date | None = None
    """Last day that the feed is used for; None for the last day of the sensor."""
    pattern: str | None = None
    """Regular expression of the file names, with a group ``date`` (YYYYMMDD); None for the product's own."""

    @cached_property
    def _name_pattern(self) -> re.Pattern[str]:
        return compile_pattern(self.pattern or self.product.pattern.pattern)

    @property
    def chosen(self) -> list[tuple[str, str]]:
        """Short name and version of each Earthdata collection that has the files."""
        table = self.product.collections
        return [table[self.orbit]] if self.orbit in table else list(table.values())

    def covers(self, first: dt.date, last: dt.date | None = None) -> bool:
        """Return whether the feed is used for the day `first`, or for any day from `first` to `last`.

        It is used for no day before 1978 or after 2199: a date like that in a file's name is a mistake.
        """
        begin = max(self.first or self.product.start or FIRST_DAY, FIRST_DAY)
        end = min(self.last or self.product.end or LAST_DAY, LAST_DAY)
        return (last or first) >= begin and first <= end

    def recognise(self, name: str) -> FileName | None:
        """Read the day, the run and the edition from a file name.

        Parameters
        ----------
        name : str
            The file's name, without its folder.

        Returns
        -------
        FileName or None
            What the name tells. None if the file does not belong to the feed, or if no file here could have its name.
        """
        match = self._name_pattern.match(name.encode(errors="replace").decode())  # RE2 reads UTF-8 only
        if not match:
            return None
        if len(name.encode(errors="replace")) > _MAX_NAME or not name.isprintable():
            logger.warning(
                f"the file {ascii(name)[1:81]}... of the {self.product.name} feed is skipped: its name has more than "
                f"{_MAX_NAME} bytes, or a letter that cannot be printed"
            )
            return None
        groups = match.groupdict()
        try:
            stamp = groups["date"] or ""
            date = dt.date(int(stamp[:4]), int(stamp[4:6]), int(stamp[6:]))
        except ValueError:
            return None
        if self.orbit and "orbit" in groups and groups["orbit"] not in ORBITS[self.orbit]:
            return None
        if not self.covers(date):
            return None
        run = None
        if self.product.what is InputVariable.PRECIPITATION:
            run = IMERG_RUN_LETTERS.get(groups["run"], self.product.run) if "run" in groups else self.product.run
        version = re.sub(r"\D", "", groups.get("version") or "")[-9:]
        return FileName(date, run, int(version or 0), bool(groups.get("interim")))


def by_day(granules: Iterable[Granule]) -> Listing:
    """Return the granules of each day, the one that counts first.

    Interim files come last; of the others, the highest edition comes first, of one edition the newest name, and of one
    name the first location in alphabetical order.
    """
    listing: Listing = {}
    by_location = sorted(granules, key=lambda granule: granule.location)
    for granule in sorted(by_location, key=lambda each: (not each.is_interim, each.edition, each.name), reverse=True):
        listing.setdefault(granule.date, []).append(granule)
    return listing
