"""Model bundles: a folder with an exported network and everything that the runtime must know about it."""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import from_json

from runtime.common import digest
from runtime.common.onnx_files import external_files
from runtime.errors import BundleError
from runtime.manifest import Manifest

MANIFEST = "bundle.json"
"""File that describes the bundle."""
GRAPH = "model.onnx"
"""File with the network."""
CARD = "MODEL_CARD.md"
"""File that says what the network is good for."""

_LONGEST = 200
"""Characters of a strange name or reason that a message contains."""


def in_precision(file: str, precision: str) -> str:
    """Return the file name of a graph in another precision, for example ``model.fp16.onnx`` for ``model.onnx``."""
    return file if precision == "fp32" else file.replace(".onnx", f".{precision}.onnx")


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files have been checked against their hashes."""

    path: Path
    """The folder."""
    manifest: Manifest

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

        Model card, accuracy figures and version are not part of it. The error table is, if it is published as
        uncertainty.
        """
        computing_fields = self.manifest.model_dump(
            mode="json",
            include={"kind", "window", "tile_core", "halo", "batch", "stride", "state", "spin_up_days"}
            | {"takes_rain", "gives_sigma"}
            | (set() if self.manifest.gives_sigma else {"errors"}),
        )
        files, precisions = self.manifest.files, self.manifest.precisions
        graphs = [name for name in files if in_precision(name, "lower") != name]  # not their weights in another file
        excluded = {CARD, *(in_precision(name, precision) for name in graphs for precision in precisions)}
        weights = {name: sha256 for name, sha256 in files.items() if name not in excluded}
        return digest.of_values(computing_fields, weights)


def shipped_bundles() -> list[str]:
    """Return the names of the bundles that come with the package."""
    return sorted(p.name for p in _shipped_folder().iterdir() if (p / MANIFEST).is_file())


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
    """Read a bundle and check every file against its hash.

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
        manifest = Manifest.model_validate_json(content, strict=True)
    except (OSError, ValueError) as error:  # pydantic's ValidationError is a ValueError
        raise BundleError(f"{file} cannot be read: {_brief(error)}; export the bundle again") from error
    graphs = [GRAPH, *(stage.file for stage in manifest.stages)]
    for name in graphs:
        if name not in manifest.files:
            raise BundleError(f"{file} lists no {name}; export the bundle again")
    for name, expected in manifest.files.items():
        _check_file(path / name, expected)
    for name in manifest.files:
        if name.endswith(".onnx") or name in graphs:
            _check_weights(path, name, manifest.files)
    return Bundle(path, manifest)


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
