"""What a mirror consists of, in the order in which it is sent: objects first, and indexes last.

The daily files, STAC documents and the catalog have the names that they have in the archive. The chunks of the cube do
not: their names change with each update, between those with slashes (``c/0/0/0``) and those with dots (``c.0.0.0``),
and the cube's ``zarr.json`` says which count. So the chunks that readers use are left alone while new ones are sent,
and one object makes all of them visible at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.archive.stac import COLLECTION, STAC, item_path
from runtime.errors import ArchiveError

SEPARATORS = ("/", ".")
"""Of the names of chunks, in turn."""

_ROOT = "zarr.json"


@dataclass(frozen=True)
class Piece:
    """An object of the mirror."""

    name: str
    """Relative to the mirror's folder."""
    source: Path
    sha256: str = ""
    """Digest that its content must have; empty if the file is right as it is."""


Chain = tuple[Piece, ...]
"""Objects that are sent one after the other; chains of one step are sent at the same time."""


@dataclass(frozen=True)
class CubeContent:
    """The cube of an archive as it is mirrored."""

    folder: Path
    """The cube."""
    scratch: Path
    """Where its metadata are written as they are mirrored."""

    def chunks(self, separator: str) -> list[Piece]:
        """Return the chunks, with names of one kind."""
        files = (path for path in sorted(self.folder.glob("*/c/**/*")) if path.is_file() and path.suffix != ".partial")
        return [Piece(self._name(path, separator), path) for path in files]

    def _name(self, chunk: Path, separator: str) -> str:
        array, *key = chunk.relative_to(self.folder).parts
        return f"{self.folder.name}/{array}/{separator.join(key)}"

    def metadata(self, separator: str) -> Chain:
        """Return the metadata that point to the chunks with names of one kind; what readers open first is the last."""
        encoding = {"name": "default", "configuration": {"separator": separator}}
        root = json.loads((self.folder / _ROOT).read_text())
        for array in root["consolidated_metadata"]["metadata"].values():
            array["chunk_key_encoding"] = encoding
        documents = [
            (path.relative_to(self.folder), json.loads(path.read_text()) | {"chunk_key_encoding": encoding})
            for path in sorted(self.folder.glob(f"*/{_ROOT}"))
        ]
        kept = self.scratch / f"cube-{SEPARATORS.index(separator)}"
        return tuple(self._document(kept, path, content) for path, content in (*documents, (Path(_ROOT), root)))

    def _document(self, kept: Path, path: Path, content: dict[str, Any]) -> Piece:
        target = kept / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(content, indent=1))
        return Piece(f"{self.folder.name}/{path}", target)


def separator_of(root: bytes) -> str | None:
    """Return the separator that the metadata of a mirrored cube name; None if they cannot be read."""
    try:
        arrays = json.loads(root)["consolidated_metadata"]["metadata"]
        found = {array["chunk_key_encoding"]["configuration"]["separator"] for array in arrays.values()}
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return found.pop() if len(found) == 1 and found <= {*SEPARATORS} else None


@dataclass(frozen=True)
class MirrorContent:
    """Everything that a mirror consists of."""

    days: list[Chain]
    """For each published day, its file and then its STAC item."""
    cube: CubeContent | None
    indexes: Chain
    """The STAC catalogues, the collection, and the catalog."""

    @classmethod
    def of(cls, paths: ArchivePaths, catalog: Catalog, scratch: Path) -> MirrorContent:
        """Return the content of an archive's mirror.

        Parameters
        ----------
        paths : ArchivePaths
            The archive.
        catalog : Catalog
            Its catalog.
        scratch : Path
            An empty folder for documents that differ from those of the archive, and for a copy of the catalog.

        Raises
        ------
        ArchiveError
            A STAC document is missing, or the catalog cannot be copied.
        """
        archive = paths.root
        days: list[Chain] = [
            (Piece(path, archive / path, sha256), Piece(str(item_path(date)), archive / item_path(date)))
            for date, path, sha256 in catalog.files()
        ]
        cube = CubeContent(paths.cube, scratch) if (paths.cube / _ROOT).exists() else None
        if not days:
            return cls([], None, ())
        copy = scratch / paths.catalog.name
        catalog.db.copy_to(copy)
        documents = [Piece(str(path), archive / path) for path in _catalogues(archive)]
        return cls(days, cube, (*documents, Piece(str(paths.catalog.relative_to(archive)), copy)))

    @property
    def names(self) -> set[str]:
        """The names of all objects, those of both kinds of chunks included."""
        chunks = [self.cube.chunks(separator) for separator in SEPARATORS] if self.cube else []
        metadata = self.cube.metadata(SEPARATORS[0]) if self.cube else ()
        return {piece.name for chain in (*self.days, *chunks, metadata, self.indexes) for piece in chain}


def _catalogues(archive: Path) -> Iterator[Path]:
    """Yield the STAC catalogue of each year, then the collection; relative to the archive."""
    collection = STAC / COLLECTION
    try:
        links: Iterable[dict[str, str]] = json.loads((archive / collection).read_bytes())["links"]
        children = [STAC / link["href"] for link in links if link["rel"] == "child"]
    except (OSError, ValueError, LookupError) as error:
        raise ArchiveError(
            f"{archive / collection}: cannot be read ({error}); `runtime check --rebuild-views` makes it again"
        ) from error
    yield from children
    yield collection
