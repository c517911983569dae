"""A folder as a feed: a local one, or any other that fsspec can open (s3://, sftp://, ...)."""

from __future__ import annotations

import datetime as dt
import logging
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fsspec.core import split_protocol
from fsspec.implementations.local import LocalFileSystem

from runtime.common.deadline import TimeLimits
from runtime.common.urls import without_secrets
from runtime.errors import ConfigError, FeedUnreachable, SeamlessError
from runtime.inputs.feeds.base import Feed, Granule, GranuleFilter, Listing, by_day
from runtime.inputs.feeds.remote import RemoteFolder

logger = logging.getLogger(__name__)

_Entry = tuple[str, str, str | None]
"""Location and name of a file, and of a remote file its version."""

_Contents = tuple[list[str], list[str]]
"""Names of the files and of the sub-folders of a folder, in alphabetical order."""

_YEAR = re.compile(r"/((?:19|20)\d\d)(?:/|$)")


class FolderFeed(Feed):
    """The granules of one product in a folder and its sub-folders, recognised by their names.

    A sub-folder whose name is a year (``2015``) must contain that year only: a daily run does not list the other years.
    Hidden files and folders are left out: programs that copy files (rsync) keep incomplete ones there. A folder that is
    reached by two ways is listed once. Of two files of one name, the one whose path comes first in alphabetical order
    counts.
    Folders are listed only once, so make a new feed for every run.

    Parameters
    ----------
    url : str
        The folder, a path or URL that fsspec can open.
    wanted : GranuleFilter
        Which files belong to the feed.
    limits : TimeLimits, optional
        How long the run, a listing and a file of a remote folder may take.

    Raises
    ------
    ConfigError
        The path is no address of a file system that fsspec can open here.
    """

    def __init__(self, url: str, wanted: GranuleFilter, limits: TimeLimits | None = None) -> None:
        self._url, self._wanted = url, wanted
        self.incomplete: str | None = None
        with self._failures():
            self.in_place = split_protocol(url)[0] in (None, *LocalFileSystem.protocol)
            self._root = str(LocalFileSystem._strip_protocol(url)) if self.in_place else url
        self._remote = None if self.in_place else RemoteFolder(url, limits or TimeLimits.start())
        self._contents: dict[str, _Contents] = {}
        self._seen: set[tuple[int, int]] = set()
        """Device and inode of every folder that was listed."""

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
            cure = "its permissions" if self.in_place else "the network and its address"
            shown = without_secrets(self._url)
            raise FeedUnreachable(f"the feed {shown} cannot be listed ({error}); check {cure}") from error
        except Exception as error:
            shown = without_secrets(self._url)
            raise ConfigError(f"the feed's path {shown} cannot be used ({error}); set the feed's path") from error

    def _list(self, first: dt.date, last: dt.date) -> Iterator[Granule]:
        """Yield the granules of a range; size and time of a local file are read only if its name is recognised."""
        for location, name, version in self._entries(first, last):
            recognised = self._wanted.recognise(name)
            if recognised and first <= recognised.date <= last:
                yield Granule(
                    date=recognised.date,
                    product=self._wanted.product.name,
                    name=name,
                    location=location,
                    version=version or _local_version(location),
                    run=recognised.run,
                    edition=recognised.edition,
                    is_interim=recognised.is_interim,
                )

    def _entries(self, first: dt.date, last: dt.date) -> Sequence[_Entry]:
        """Return the files that may be of a range, by year of the folder and month in the name.

        A daily run then parses the names of two months only, of a folder that may have twenty years.
        """
        entries: Sequence[_Entry] = self._remote.files if self._remote else self._local(first.year, last.year)
        if (last - first).days > 360:
            return entries
        months = {f"{first + dt.timedelta(n):%Y%m}" for n in range(0, (last - first).days + 28, 27)}
        return [entry for month in months for entry in entries if month in entry[1]]

    def _local(self, first: int, last: int) -> list[_Entry]:
        """Return all local files, except those in folders named after a year before `first` or after `last`."""
        if not os.path.isdir(self._root):  # noqa: PTH112
            raise ConfigError(f"the feed's folder {self._url} does not exist; create it or set the feed's path")
        folders, entries = [self._root], list[_Entry]()
        for folder in folders:
            year = _YEAR.search(folder, len(self._root))
            if year and not first <= int(year[1]) <= last:
                continue
            if folder not in self._contents:
                self._contents[folder] = self._look_into(folder)
            files, subfolders = self._contents[folder]
            entries += [(f"{folder}/{name}", name, None) for name in files]
            folders += [f"{folder}/{name}" for name in subfolders]
        return entries

    def _look_into(self, folder: str) -> _Contents:
        """Return what a local folder contains; nothing if it was listed under another path, or cannot be read."""
        try:
            status = os.stat(folder)  # noqa: PTH116 - as below
            if (status.st_dev, status.st_ino) in self._seen:
                return [], []
            self._seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as found:  # a Path for each of 10 000 files is slow
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            if folder == self._root:
                raise
            self.incomplete = f"{folder}: cannot be listed ({error.strerror}); check its permissions"
            return [], []
        files, subfolders = list[str](), list[str]()
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "lost+found":
                continue
            if not _is_text(entry.name):
                logger.warning(f"{folder}: {os.fsencode(entry.name)!r} is left out, its name is not UTF-8; rename it")
                continue
            (subfolders if _is_folder(entry) else files).append(entry.name)
        return files, subfolders

    def oldest(self) -> dt.date | None:
        """Return the first day that the folder has a file for, None if it has none."""
        with self._failures():
            recognised = [self._wanted.recognise(name) for _, name, _ in self._entries(dt.date.min, dt.date.max)]
        return min((found.date for found in recognised if found), default=None)

    def fetch(self, granule: Granule, target: Path) -> None:
        """Copy a file to `target`.

        Raises
        ------
        FeedUnreachable
            The file system does not answer.
        """
        if self._remote:
            self._remote.fetch(granule.location, target, self._wanted.product.max_bytes)
        else:
            shutil.copyfile(granule.location, target)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_text(name: str) -> bool:
    """Return whether the bytes of a name are UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _local_version(location: str) -> str:
    try:
        stat = os.stat(location)  # noqa: PTH116 - a Path for each of 10 000 files is slow
    except OSError:  # a broken link, or deleted after the listing; reading it reports the error
        return "missing"
    return f"{stat.st_size} {stat.st_mtime_ns}"
