"""A folder on another machine, through fsspec: within deadlines, and whatever its library raises."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import fsspec
from fsspec.callbacks import Callback

from runtime.common.atomic import write_guard
from runtime.common.deadline import Deadline, TimeLimits
from runtime.common.urls import without_secrets
from runtime.errors import ConfigError, FeedUnreachable, SeamlessError

_EXTRAS = {"sftp": "sftp", "ssh": "sftp", "s3": "s3", "s3a": "s3", "http": "https", "https": "https"}
"""Extra of this package that a kind of URL needs."""


class RemoteFolder:
    """A folder and its sub-folders on another machine, listed once.

    Parameters
    ----------
    url : str
        A URL that fsspec can open.
    limits : TimeLimits
        How long the run, a listing and a file may take.
    """

    def __init__(self, url: str, limits: TimeLimits) -> None:
        self._url, self._limits = url, limits
        self._addresses: dict[str, str] = {}
        """Address of each file by its location, which has no password and no signature."""
        self._sizes: dict[str, int] = {}

    @cached_property
    def files(self) -> list[tuple[str, str, str]]:
        """Location, name and version of every file.

        Raises
        ------
        ConfigError
            fsspec does not know this kind of URL, or needs a package for it that is not installed.
        FeedUnreachable
            The folder cannot be listed in time, or has no file.
        LoginRefused
            The server does not accept the log-in.
        """
        shown = without_secrets(self._url)
        try:
            found = self._limits.for_file().call(self._find)
        except SeamlessError:
            raise
        except (TypeError, AttributeError) as error:  # how several libraries fail if something is missing in an address
            raise ConfigError(
                f"the feed {shown} cannot be used ({shown_cause(error, self._url)}); set the feed's path"
            ) from error
        except Exception as error:  # every library behind fsspec has errors of its own
            cause = shown_cause(error, self._url)
            raise FeedUnreachable(
                f"the feed {shown} cannot be listed ({cause}); check the network and its address"
            ) from error
        if not found:
            raise FeedUnreachable(f"the feed {shown} has no file at all; check its address")
        return [self._entry(address, info) for address, info in sorted(found.items())]

    @cached_property
    def _file_system(self) -> tuple[fsspec.AbstractFileSystem, str]:
        """The file system, and the folder's path on it; some file systems connect when they are made."""
        return open_file_system(self._url, "the feed", "the feed's path")

    def _find(self) -> dict[str, dict[str, Any]]:
        """Return what fsspec says of every file, by its name; its own `find` leaves out what cannot be listed."""
        file_system, root = self._file_system
        folders, found = [root], dict[str, dict[str, Any]]()
        for folder in folders:
            for _, inside, files in file_system.walk(folder, maxdepth=1, detail=True, on_error="raise"):
                found |= {info["name"]: info for info in files.values() if not _is_hidden(info["name"])}
                below = (info["name"].rstrip("/") for info in inside.values())
                folders += [path for path in below if path not in folders and not _is_hidden(path)]
        return found

    def _entry(self, address: str, info: Mapping[str, Any]) -> tuple[str, str, str]:
        location = without_secrets(address) if "://" in address else address
        self._addresses[location] = address
        if isinstance(info.get("size"), int):
            self._sizes[location] = info["size"]
        changed = next((info[key] for key in ("mtime", "ETag", "LastModified", "last_modified") if key in info), "")
        return location, location.rsplit("/", 1)[-1], f"{info.get('size')} {changed}"

    def fetch(self, location: str, target: Path, max_bytes: int) -> None:
        """Copy a file to `target`.

        Parameters
        ----------
        location : str
            Its location in `files`.
        target : Path
            The file to write.
        max_bytes : int
            A larger file is not taken.

        Raises
        ------
        FeedUnreachable
            The file is too large, or does not come in time.
        ArchiveError
            `target` cannot be written.
        """
        deadline = self._limits.for_file()
        folder = target.with_name(target.name + ".d")  # a copy that was given up may still write into it
        with write_guard(folder):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        copy = folder / target.name
        try:
            deadline.call(self._copy, location, copy, max_bytes, deadline)
            copy.replace(target)
        except SeamlessError:
            raise
        except Exception as error:  # every library behind fsspec has errors of its own
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                with write_guard(target):
                    raise
            raise FeedUnreachable(
                f"{location} cannot be copied ({shown_cause(error, self._url)}); check the network, then run again"
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _copy(self, location: str, copy: Path, max_bytes: int, deadline: Deadline) -> None:
        def check(size: int | None, done: int) -> None:
            deadline.check()
            if max(size or 0, done) > max_bytes:
                raise FeedUnreachable(
                    f"{location} has more than {max_bytes / 2**20:g} MiB, it cannot be what it should be; look at it"
                )

        check(self._sizes.get(location), 0)
        address = self._addresses.get(location, location)
        self._file_system[0].get_file(address, str(copy), callback=Callback(hooks={"limits": check}))
        check(copy.stat().st_size, 0)


def open_file_system(url: str, what: str, key: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Open a folder on another machine.

    Parameters
    ----------
    url : str
        A URL that fsspec can open. Log-ins are found as the library of its kind finds them.
    what : str
        What the folder is, for messages.
    key : str
        What sets it, for messages.

    Returns
    -------
    file_system : fsspec.AbstractFileSystem
        Its file system.
    root : str
        The folder's path on it.

    Raises
    ------
    ConfigError
        fsspec does not know this kind of URL, or needs a package for it that is not installed.
    LoginRefused
        The server does not accept the log-in.
    """
    if url.endswith("://"):
        raise ConfigError(f"{what} {url} names no folder; set {key}")
    kind = url.split("://", 1)[0]
    try:
        if kind in ("sftp", "ssh"):
            from runtime.inputs.feeds.sftp import KnownHostSftp

            fresh = KnownHostSftp(**KnownHostSftp._get_kwargs_from_urls(url), skip_instance_cache=True)
            return fresh, KnownHostSftp._strip_protocol(url)
        # A cached instance would keep its listing, and a connection that has ended, as long as the program runs.
        file_system, root = fsspec.core.url_to_fs(url, skip_instance_cache=True)
    except (ImportError, ValueError) as error:
        package = f"pip install 'seamless-sm[{_EXTRAS[kind]}]'" if kind in _EXTRAS else "install the package"
        raise ConfigError(
            f"{what} {without_secrets(url)} cannot be opened ({shown_cause(error, url)}); set {key}, or {package}"
        ) from error
    return file_system, root


def shown_cause(error: BaseException, url: str) -> str:
    """Return an error about a URL in one line that may be shown."""
    text = str(error).replace(url, without_secrets(url))
    return without_secrets(text)[:200] or type(error).__name__


def _is_hidden(path: str) -> bool:
    """Whether a program that copies files (rsync) may keep what is not complete yet there."""
    return path.rsplit("/", 1)[-1].startswith(".")
