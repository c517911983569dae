"""Model bundles: a folder with an exported network and everything that the runtime must know about it."""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from runtime.common import digest
from runtime.common.onnx_files import external_files
from runtime.common.vocabulary import ModelKind
from runtime.errors import BundleError
from runtime.manifest import GRAPH, AnyManifest, BundleManifest, Manifest, RetrievalManifest

__all__ = [
    "CARD",
    "GRAPH",
    "MANIFEST",
    "AnyBundle",
    "Bundle",
    "RetrievalBundle",
    "find_bundle",
    "in_precision",
    "load_any_bundle",
    "load_bundle",
    "load_retrieval",
    "shipped_bundles",
]

MANIFEST = "bundle.json"
"""File that describes the bundle."""
CARD = "MODEL_CARD.md"
"""File that says what the network is good for."""

_MANIFESTS: TypeAdapter[Manifest | RetrievalManifest] = TypeAdapter(AnyManifest)
_LONGEST = 200
"""Characters of a strange name or reason that a message contains."""


def in_precision(file: str, precision: str) -> str:
    """Return the file name of a graph in another precision, for example ``model.fp16.onnx`` for ``model.onnx``."""
    return file if precision == "fp32" else file.replace(".onnx", f".{precision}.onnx")


@dataclass(frozen=True)
class AnyBundle:
    """A bundle of any kind whose files have been checked against their hashes."""

    path: Path
    """The folder."""
    manifest: BundleManifest

    @property
    def graph(self) -> Path:
        """The ONNX file."""
        return self.path / GRAPH

    def graph_in(self, precision: str) -> Path:
        """Return the ONNX file that multiplies in the given precision.

        Raises
        ------
        BundleError
            The bundle has no such file.
        """
        name = in_precision(GRAPH, precision)
        if name not in self.manifest.files:
            raise BundleError(f"{self.path} has no graph in {precision}; `python -m export precision` adds one")
        return self.path / name

    @cached_property
    def model_id(self) -> str:
        """The sha256 of everything that changes a result: graph, weights and the manifest's computing fields.

        Model card, accuracy figures and version are not part of it; see `BundleManifest.computing_fields`.
        """
        files, precisions = self.manifest.files, self.manifest.precisions
        graphs = [name for name in files if in_precision(name, "lower") != name]  # not their weights in another file
        excluded = {CARD, *(in_precision(name, precision) for name in graphs for precision in precisions)}
        weights = {name: sha256 for name, sha256 in files.items() if name not in excluded}
        return digest.of_values(self.manifest.computing_fields(), weights)


@dataclass(frozen=True)
class Bundle(AnyBundle):
    """A bundle that fills days."""

    manifest: Manifest


@dataclass(frozen=True)
class RetrievalBundle(AnyBundle):
    """A bundle that estimates soil moisture at a place and time from images; see `runtime.retrieval`."""

    manifest: RetrievalManifest


def shipped_bundles(*, retrieval: bool = False) -> list[str]:
    """Return the names of the bundles that come with the package: those that fill days, or the retrievals."""
    files = sorted(_shipped_folder().glob(f"*/{MANIFEST}"))
    kinds = {file.parent.name: ModelKind(from_json(file.read_bytes())["kind"]) for file in files}
    return [name for name, kind in kinds.items() if (kind is ModelKind.RETRIEVAL) == retrieval]


def _shipped_folder() -> Path:
    return Path(str(resources.files("runtime") / "bundles"))


def find_bundle(name: str, relative_to: Path = Path()) -> Path:
    """Return the folder of a bundle.

    Parameters
    ----------
    name : str
        Name of a shipped bundle, or path of a folder.
    relative_to : Path
        Folder that a relative path starts from.

    Returns
    -------
    Path
        The bundle's folder.

    Raises
    ------
    BundleError
        There is no such bundle.
    """
    for folder in (relative_to / name, _shipped_folder() / name):
        if name.isprintable() and (folder / MANIFEST).is_file():
            return folder
    raise BundleError(
        f"no model bundle {name!r}: neither a folder with a {MANIFEST} nor one of the shipped bundles "
        f"({', '.join(shipped_bundles()) or 'none'}); set model.bundle"
    )


def load_bundle(path: Path) -> Bundle:
    """Read a bundle that fills days; see `load_any_bundle`.

    Raises
    ------
    BundleError
        The bundle is damaged, or fills no days.
    """
    found = load_any_bundle(path)
    if not isinstance(found, Bundle):
        raise BundleError(
            f"bundle {found.manifest.name} is of the {found.manifest.kind} kind: it estimates soil moisture at a place "
            f"and time from images, and fills no days; use `runtime retrieve --bundle {path}`"
        )
    return found


def load_retrieval(path: Path) -> RetrievalBundle:
    """Read a bundle of the retrieval kind; see `load_any_bundle`.

    Raises
    ------
    BundleError
        The bundle is damaged, or of another kind.
    """
    found = load_any_bundle(path)
    if not isinstance(found, RetrievalBundle):
        raise BundleError(
            f"bundle {found.manifest.name} is of the {found.manifest.kind} kind: it fills days and reads no images; "
            "use `runtime fill`, or `runtime retrieve` with a bundle of the retrieval kind "
            f"({', '.join(shipped_bundles(retrieval=True)) or 'none comes with the package'})"
        )
    return found


def load_any_bundle(path: Path) -> Bundle | RetrievalBundle:
    """Read a bundle of any kind and check every file against its hash.

    Raises
    ------
    BundleError
        The manifest cannot be read or makes no sense, a file is missing or does not have the hash in the manifest, or a
        graph takes weights from a file that the manifest does not list.
    """
    file = path / MANIFEST
    try:
        content = file.read_bytes()
        from_json(content, allow_inf_nan=False)
        manifest = _MANIFESTS.validate_json(content, strict=True)
    except (OSError, ValueError) as error:  # pydantic's ValidationError is a ValueError
        raise BundleError(f"{file} cannot be read: {_brief(error)}; export the bundle again") from error
    for name in manifest.graphs:
        if name not in manifest.files:
            raise BundleError(f"{file} lists no {name}; export the bundle again")
    for name, expected in manifest.files.items():
        _check_file(path / name, expected)
    for name in manifest.files:
        if name.endswith(".onnx") or name in manifest.graphs:
            _check_weights(path, name, manifest.files)
    return Bundle(path, manifest) if isinstance(manifest, Manifest) else RetrievalBundle(path, manifest)


def _check_file(file: Path, expected: str) -> None:
    """Refuse a file that is missing or does not have the hash in the manifest."""
    if not file.is_file():
        raise BundleError(f"{file} is missing; copy the bundle again, whole")
    try:
        found = digest.of_file(file)
    except OSError as error:
        raise BundleError(f"{file} cannot be read ({error.strerror}); check its permissions") from error
    if found != expected:
        raise BundleError(f"{file} does not have the hash in {MANIFEST} (damaged or edited); copy the bundle again")


def _check_weights(bundle: Path, graph: str, files: Collection[str]) -> None:
    """Refuse a graph with weights in a file that the manifest does not list: nothing would say which weights they are.

    Parameters
    ----------
    bundle : Path
        The bundle's folder.
    graph : str
        File of the graph, relative to it.
    files : collection of str
        The files that the manifest lists, relative to the bundle's folder.
    """
    try:
        locations = external_files(bundle / graph)
    except (OSError, ValueError) as error:
        raise BundleError(f"{bundle / graph} cannot be read ({error}); export the bundle again") from error
    for location in sorted(locations):
        if posixpath.normpath(posixpath.join(posixpath.dirname(graph), location)) not in files:
            raise BundleError(
                f"{bundle / graph} takes weights from {location[:_LONGEST]!a}, which {MANIFEST} does not list; "
                "export the bundle again"
            )


def _brief(error: Exception) -> str:
    """Return what is wrong in one line of printable text."""
    text = str(error)
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        text = f"{'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}"
    return "".join(c if c.isprintable() else " " for c in text)[:_LONGEST]
