"""A folder as a feed: a local one, or any other that fsspec can open (s3://, sftp://, ...)."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from runtime.errors import ConfigError, FeedUnreachable, SeamlessError
from runtime.inputs.feeds.base import Granule, GranuleFilter, Listing, by_day

_Entry = tuple[str, str, dict[str, object] | None]
"""Location and name of a file, and for remote files the details that fsspec gives."""

_YEAR = re.compile(r"/((?:19|20)\d\d)(?:/|$)")


class FolderFeed:
    """The granules of one product in a folder and its sub-folders, recognised by their names.

    A sub-folder whose name is a year (``2015``) must contain that year only: a daily run does not list the other years.
    Folders are listed only once, so make a new feed for every run.

    Parameters
    ----------
    url : str
        The folder, a path or URL that fsspec can open.
    wanted : GranuleFilter
        Which files belong to the feed.

    Raises
    ------
    ConfigError
        The path is no address of a file system that fsspec can open here.
    """

    def __init__(self, url: str, wanted: GranuleFilter) -> None:
        self._url, self._wanted = url, wanted
        with self._failures():
            self._fs, self._root = fsspec.core.url_to_fs(url)
        self.in_place = isinstance(self._fs, LocalFileSystem)
        self._names: dict[str, list[str]] = {}

    def granules(self, first: dt.date | None = None, last: dt.date | None = None) -> Listing:
        """List the folder; see `Feed.granules`.

        Raises
        ------
        ConfigError
            The folder does not exist.
        FeedUnreachable
            The file system does not answer.
        """
        with self._failures():
            return by_day(self._list(first or dt.date.min, last or dt.date.max))

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn any failure of the file system into one that says which feed it is.

        Each file system has exceptions of its own; several fail with TypeError and the like if the address is wrong.
        """
        try:
            yield
        except SeamlessError:
            raise
        except OSError as error:
            raise FeedUnreachable(
                f"the feed {self._url} cannot be listed ({error}); check the network and its address"
            ) from error
        except Exception as error:
            raise ConfigError(f"the feed's path {self._url} cannot be used ({error}); set the feed's path") from error

    def _list(self, first: dt.date, last: dt.date) -> Iterator[Granule]:
        """Yield the granules of a range; size and time of a local file are read only if its name is recognised."""
        for location, name, info in self._entries(first, last):
            recognised = self._wanted.recognise(name)
            if recognised and first <= recognised[0] <= last:
                date, run = recognised
                yield Granule(
                    date=date,
                    product=self._wanted.product,
                    name=name,
                    location=location,
                    version=_local_version(location) if info is None else _remote_version(info),
                    run=run,
                )

    def _entries(self, first: dt.date, last: dt.date) -> list[_Entry]:
        """Return the files that may be of a range, by year of the folder and month in the name.

        A daily run then parses the names of two months only, of a folder that may have twenty years.
        """
        if not self._fs.isdir(self._root):
            raise ConfigError(f"the feed's folder {self._url} does not exist; create it or set the feed's path")
        entries = self._local(first.year, last.year) if self.in_place else self._remote
        if (last - first).days > 360:
            return entries
        months = {f"{first + dt.timedelta(n):%Y%m}" for n in range(0, (last - first).days + 28, 27)}
        return [entry for month in months for entry in entries if month in entry[1]]

    @cached_property
    def _remote(self) -> list[_Entry]:
        """All files of a remote folder."""
        files = self._fs.find(self._root, detail=True).items()
        return [(location, location.rsplit("/", 1)[-1], info) for location, info in files]

    def _local(self, first: int, last: int) -> list[_Entry]:
        """Return all local files, except those in folders named after a year before `first` or after `last`."""
        folders, entries = [self._root], list[_Entry]()
        for folder in folders:
            year = _YEAR.search(folder, len(self._root))
            if year and not first <= int(year[1]) <= last:
                continue
            if folder not in self._names:
                self._names[folder] = os.listdir(folder)  # noqa: PTH208 - a Path for each of 10 000 files is slow
            names = self._names[folder]
            entries += [(f"{folder}/{name}", name, None) for name in names]
            others = (f"{folder}/{name}" for name in names if not name.endswith((".nc", ".nc4")))
            folders += [path for path in others if os.path.isdir(path)]  # noqa: PTH112
        return entries

    def oldest(self) -> dt.date | None:
        """Return the first day that the folder has a file for, None if it has none."""
        with self._failures():
            recognised = [self._wanted.recognise(name) for _, name, _ in self._entries(dt.date.min, dt.date.max)]
        return min((day_and_run[0] for day_and_run in recognised if day_and_run), default=None)

    def fetch(self, granule: Granule, target: Path) -> None:
        """Copy a file to `target`.

        Raises
        ------
        FeedUnreachable
            The file system does not answer.
        """
        try:
            self._fs.get_file(granule.location, str(target))
        except OSError as error:
            raise FeedUnreachable(
                f"{granule.location} cannot be copied ({error}); check the network, then run again"
            ) from error


def _local_version(location: str) -> str:
    try:
        stat = os.stat(location)  # noqa: PTH116 - a Path for each of 10 000 files is slow
    except FileNotFoundError:  # a broken link, or deleted after the listing; reading it reports the error
        return "missing"
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _remote_version(info: dict[str, object]) -> str:
    changed = next((info[key] for key in ("mtime", "ETag", "LastModified", "last_modified") if key in info), "")
    return f"{info.get('size')} {changed}"
