"""A folder as a feed: any path fsspec knows (a local folder, s3://, sftp://, ...)."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from runtime.errors import ConfigError, FeedUnreachable
from runtime.inputs.feeds.base import Granule, GranuleFilter, Listing, by_day

_Entry = tuple[str, str, dict[str, object] | None]


_YEAR = re.compile(r"/((?:19|20)\d\d)(?:/|$)")


class FolderFeed:
    """The granules of one product in a folder and its sub-folders, recognised by their names.

    A sub-folder named like a year (``2015``) is taken to hold that year; a daily run does not look into others. The
    folder is listed once: a feed serves one run.

    Parameters
    ----------
    url : str
        The folder, as fsspec writes it.
    wanted : Wanted
        Which files.
    """

    def __init__(self, url: str, wanted: GranuleFilter) -> None:
        self._url, self._wanted = url, wanted
        self._fs, self._root = fsspec.core.url_to_fs(url)
        self.in_place = isinstance(self._fs, LocalFileSystem)
        self._names: dict[str, list[str]] = {}

    def granules(self, first: dt.date | None = None, last: dt.date | None = None) -> Listing:
        """List the folder.

        Raises
        ------
        ConfigError
            The folder is not there.
        FeedUnreachable
            A remote file system does not answer.
        """
        try:
            return by_day(self._list(first or dt.date.min, last or dt.date.max))
        except OSError as error:
            raise FeedUnreachable(
                f"the feed {self._url} cannot be listed ({error}); check the network and its address"
            ) from error

    def _list(self, first: dt.date, last: dt.date) -> Iterator[Granule]:
        """Yield what is there; a local file is looked at closely only where its name is wanted."""
        for location, name, info in self._dated(first, last):
            recognised = self._wanted.recognise(name)
            if recognised and first <= recognised[0] <= last:
                yield Granule(
                    recognised[0],
                    self._wanted.product,
                    name,
                    location,
                    _version(location) if info is None else _remote_version(info),
                    recognised[1],
                )

    def _dated(self, first: dt.date, last: dt.date) -> list[_Entry]:
        """Return the entries that can be of a range: a daily run looks at two months of what may be twenty years."""
        if not self._fs.isdir(self._root):
            raise ConfigError(f"the feed's folder {self._url} does not exist; create it or set the feed's path")
        entries = self._local(first.year, last.year) if self.in_place else self._remote
        if (last - first).days > 360:
            return entries
        months = {f"{first + dt.timedelta(n):%Y%m}" for n in range(0, (last - first).days + 28, 27)}
        return [entry for month in months for entry in entries if month in entry[1]]

    @cached_property
    def _remote(self) -> list[_Entry]:
        """Location, name and details of every remote file."""
        found = self._fs.find(self._root, detail=True).items()
        return [(location, location.rsplit("/", 1)[-1], info) for location, info in found]

    def _local(self, first: int, last: int) -> list[_Entry]:
        """Return location and name of every local file but those in folders named after another year."""
        folders, entries = [self._root], list[_Entry]()
        for folder in folders:
            year = _YEAR.search(folder, len(self._root))
            if year and not first <= int(year[1]) <= last:
                continue
            if folder not in self._names:
                self._names[folder] = os.listdir(folder)  # noqa: PTH208 - ten thousands of files: no Path for each
            names = self._names[folder]
            entries += [(f"{folder}/{name}", name, None) for name in names]
            others = (f"{folder}/{name}" for name in names if not name.endswith((".nc", ".nc4")))
            folders += [path for path in others if os.path.isdir(path)]  # noqa: PTH112
        return entries

    def oldest(self) -> dt.date | None:
        """Return the first day there is a file for."""
        recognised = (self._wanted.recognise(name) for _, name, _ in self._dated(dt.date.min, dt.date.max))
        return min((found[0] for found in recognised if found), default=None)

    def fetch(self, granule: Granule, target: Path) -> None:
        """Copy a file to `target`.

        Raises
        ------
        FeedUnreachable
            A remote file system does not answer.
        """
        try:
            self._fs.get_file(granule.location, str(target))
        except OSError as error:
            raise FeedUnreachable(
                f"{granule.location} cannot be copied ({error}); check the network, then run again"
            ) from error


def _version(location: str) -> str:
    try:
        stat = os.stat(location)  # noqa: PTH116 - ten thousands of files: no Path for each
    except FileNotFoundError:  # a link to nowhere, or gone since it was listed: reading it says so
        return "missing"
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _remote_version(info: dict[str, object]) -> str:
    changed = next((info[key] for key in ("mtime", "ETag", "LastModified", "last_modified") if key in info), "")
    return f"{info.get('size')} {changed}"
