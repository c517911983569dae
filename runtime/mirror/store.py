"""The store of a mirror: objects put whole and verified, within deadlines, through fsspec."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from runtime.common.atomic import PART
from runtime.common.deadline import TimeLimits
from runtime.common.urls import without_secrets
from runtime.errors import ConfigError, MirrorFailed, SeamlessError
from runtime.inputs.feeds.remote import open_file_system, shown_cause

Result = TypeVar("Result")

_PUTS_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})
"""Kinds of stores in which an object is replaced as a whole; elsewhere a file is written beside it and renamed."""

_PARALLEL = 8
"""Objects that are sent at a time to such a store."""

_BLOCK = 1 << 20


@dataclass(frozen=True)
class FileDigests:
    """The size and the digests of a file or an object."""

    size: int
    sha256: str
    md5: str

    @classmethod
    def of(cls, file: Any) -> FileDigests:
        """Return those of an open file."""
        sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        while block := file.read(_BLOCK):
            sha256.update(block)
            md5.update(block)
            size += len(block)
        return cls(size, sha256.hexdigest(), md5.hexdigest())

    @classmethod
    def of_path(cls, path: Path) -> FileDigests:
        """Return those of a local file."""
        with path.open("rb") as file:
            return cls.of(file)


@dataclass(frozen=True)
class StoredObject:
    """What a store says of an object."""

    size: int
    version: str
    """A text that changes when the object is replaced: its ETag, or else its time of change."""
    md5: frozenset[str]
    """What may be the MD5 of its content. The ETag of S3 is, unless the object was sent in parts or is encrypted."""

    @classmethod
    def of(cls, info: dict[str, Any]) -> StoredObject:
        """Read what fsspec says."""
        keys = ("ETag", "etag", "mtime", "LastModified", "last_modified", "created")
        found = next((info[key] for key in keys if info.get(key)), "")
        version = str(found.timestamp() if isinstance(found, dt.datetime) else found)
        md5 = {str(info.get("ETag", "")).strip('"').lower()}
        if isinstance(info.get("md5Hash"), str):
            md5.add(base64.b64decode(info["md5Hash"]).hex())
        return cls(int(info["size"]), version, frozenset(md5 - {""}))

    def surely_has(self, content: FileDigests) -> bool:
        """Return whether the store's own checksum proves the content."""
        return self.size == content.size and content.md5 in self.md5


class MirrorStore:
    """The folder of a mirror, and what may be done there; names of objects are relative to it.

    Parameters
    ----------
    url : str
        Any address that fsspec can open.
    limits : TimeLimits
        How long an update may take in all, and one object or listing.
    """

    def __init__(self, url: str, limits: TimeLimits) -> None:
        self._url, self._limits = url, limits
        self.shown = without_secrets(url)
        """The address, as it may be shown."""

    @cached_property
    def _opened(self) -> tuple[fsspec.AbstractFileSystem, str]:
        return open_file_system(self._url, "the mirror", "archive.mirror")

    @property
    def parallel(self) -> int:
        """How many objects may be sent at a time."""
        return _PARALLEL if self._puts_whole else 1

    @property
    def _puts_whole(self) -> bool:
        return self._url.split("://", 1)[0] in _PUTS_WHOLE

    def require_outside(self, archive: Path) -> None:
        """Refuse a mirror that lies in the archive, or around it.

        Raises
        ------
        ConfigError
            It does.
        """
        file_system, root = self._ask("it cannot be opened", lambda: self._opened)
        if "file" in file_system.protocol:
            here, there = archive.resolve(), Path(root).resolve()
            if here.is_relative_to(there) or there.is_relative_to(here):
                raise ConfigError(f"archive.mirror {self.shown} and the archive {archive} overlap; set another one")

    def listing(self) -> dict[str, StoredObject]:
        """Return every object, by name.

        Raises
        ------
        MirrorFailed
            The store does not answer in time, or refuses.
        ConfigError
            fsspec does not know this kind of address, or needs a package for it.
        """

        def find() -> dict[str, StoredObject]:
            file_system, root = self._opened
            file_system.invalidate_cache()
            found = file_system.find(root, detail=True)
            begin = len(root.rstrip("/")) + 1
            return {name[begin:]: StoredObject.of(info) for name, info in found.items() if info["type"] == "file"}

        return self._ask("it cannot be listed", find)

    def read(self, name: str) -> bytes:
        """Return an object's bytes."""

        def cat() -> bytes:
            file_system, root = self._opened
            content: bytes = file_system.cat_file(f"{root}/{name}")
            return content

        return self._ask(f"{name} cannot be read", cat)

    def put(self, source: Path, name: str, content: FileDigests) -> StoredObject:
        """Send a file, and verify what has arrived.

        Parameters
        ----------
        source : Path
            The file.
        name : str
            Name of the object.
        content : FileDigests
            Of the file.

        Raises
        ------
        MirrorFailed
            It did not arrive in time, or not whole. An older object of this name is then still there, or the new one.
        """

        def send() -> StoredObject:
            file_system, root = self._opened
            final = f"{root}/{name}"
            if self._puts_whole:
                file_system.put_file(str(source), final)
            else:
                file_system.makedirs(final.rsplit("/", 1)[0], exist_ok=True)
                file_system.put_file(str(source), final + PART)
                file_system.mv(final + PART, final)
            file_system.invalidate_cache()
            return StoredObject.of(file_system.info(final))

        stored = self._ask(f"{name} cannot be sent", send)
        if not self.has(name, stored, content.sha256, content):
            raise MirrorFailed(f"the mirror {self.shown}: {name} arrived with another content; it is sent again")
        return stored

    def has(self, name: str, stored: StoredObject, sha256: str, content: FileDigests | None = None) -> bool:
        """Return whether an object has a content: by the store's checksum, or else by reading it.

        Parameters
        ----------
        name : str
            Name of the object.
        stored : StoredObject
            What the store says of it.
        sha256 : str
            Digest of the content.
        content : FileDigests, optional
            Size and other digests of the content.
        """
        if content and content.sha256 == sha256 and stored.surely_has(content):
            return True

        def read() -> FileDigests:
            file_system, root = self._opened
            with file_system.open(f"{root}/{name}", "rb") as file:
                return FileDigests.of(file)

        return self._ask(f"{name} cannot be read", read).sha256 == sha256

    def remove(self, name: str) -> None:
        """Remove an object; it may be gone already."""

        def delete() -> None:
            file_system, root = self._opened
            with contextlib.suppress(FileNotFoundError):
                file_system.rm_file(f"{root}/{name}")

        self._ask(f"{name} cannot be removed", delete)

    def _ask(self, failure: str, function: Callable[[], Result]) -> Result:
        """Return what a function that asks the store returns, within the time limits."""
        try:
            return self._limits.for_file().call(function)
        except SeamlessError:
            raise
        except Exception as error:  # every library behind fsspec has errors of its own
            raise MirrorFailed(
                f"the mirror {self.shown}: {failure} ({shown_cause(error, self._url)}); the archive is not affected, "
                "and the next run goes on"
            ) from error
