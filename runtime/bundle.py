"""Model bundles: a folder with an exported graph and everything the runtime must know about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from runtime.common import digest
from runtime.common.grid import Floats
from runtime.errors import BundleError

MANIFEST = "bundle.json"
GRAPH = "model.onnx"
CARD = "MODEL_CARD.md"


def in_precision(file: str, precision: str) -> str:
    """Return the name of a graph's file in a precision: ``model.fp16.onnx`` for ``model.onnx``."""
    return file if precision == "fp32" else file.replace(".onnx", f".{precision}.onnx")


class _ManifestModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StateTensor(_ManifestModel):
    """A tensor the recurrent kind carries from day to day; the graph's output is ``{name}_out``."""

    name: str
    shape: tuple[int, ...]
    """Shape of one tile's state, without the batch axis; float32, 0 at the start of a chain."""


class Stage(_ManifestModel):
    """A group of a window network's layers as a graph of its own; see `runtime.fill.staged`."""

    file: str
    halo: int
    """Cells its output is smaller than its input, on every side."""
    frames: int
    """Days in its output."""
    maps: int
    """Feature maps in its output; 1 for the last."""


class PrecisionImpact(_ManifestModel):
    """What a precision does to the filled field, on real days."""

    rmse: float
    """Between both filled fields, m3 m-3, on all filled cells."""
    held_out: float
    """RMSE against hidden observations over that of fp32."""
    cells: int
    """Filled cells compared."""
    hidden: int
    """Hidden observations."""


class ErrorTable(_ManifestModel):
    """Held-out error by how old the last observation is and by latitude."""

    days: tuple[int, ...]
    """Days since the last observation, ascending; the last class also holds what is older, or not known."""
    latitudes: tuple[float, ...]
    """Edges of the latitude bands, degrees north, ascending."""
    rmse: tuple[tuple[float, ...], ...]
    """m3 m-3, one row per class of `days`, one column per band."""
    n: tuple[tuple[int, ...], ...]
    """Hidden observations behind each figure; one with none is its row's or the whole table's."""

    @model_validator(mode="after")
    def _is_a_table(self) -> ErrorTable:
        shape = len(self.days), len(self.latitudes) - 1
        for table in (self.rmse, self.n):
            if len(table) != shape[0] or any(len(row) != shape[1] for row in table):
                raise ValueError(f"the error table must have {shape[0]} rows and {shape[1]} columns")
        return self

    def lookup(self, days_since: NDArray[np.int16], latitudes: NDArray[np.float64]) -> Floats:
        """Return the error of each cell, (rows, cols) in m3 m-3.

        Parameters
        ----------
        days_since : (rows, cols), negative where not known
        latitudes : (rows,), degrees north
        """
        band = np.clip(np.searchsorted(self.latitudes, latitudes, "right") - 1, 0, len(self.latitudes) - 2)
        age = np.searchsorted(self.days, days_since).clip(max=len(self.days) - 1)
        age = np.where(days_since < 0, len(self.days) - 1, age)
        return np.asarray(np.array(self.rmse, np.float32)[age, band[:, None]])


class Manifest(_ManifestModel):
    """The contents of ``bundle.json``."""

    schema_version: Literal[1] = 1
    name: str
    version: str
    kind: Literal["window", "recurrent"]
    products: tuple[str, ...]
    """Soil-moisture products the network accepts, e.g. ``lprm-amsr2``."""
    bands: tuple[str, ...]
    """Bands it accepts, e.g. ``x``."""
    window: tuple[int, ...]
    """Days it looks at, relative to day T, ascending; ``(0,)`` for the recurrent kind."""
    tile_core: int
    """Cells filled per tile and axis; the recurrent kind accepts no other."""
    halo: int
    """Cells of context on every side of the core."""
    batch: int
    """Tiles per engine call. Part of the model id: a float sum may depend on it."""
    stride: int = 1
    """Tile origins, cores and halos are multiples of it (a network that pools)."""
    takes_rain: bool = False
    """The graph has the inputs `precip` and `precip_mask`."""
    gives_sigma: bool = False
    """The graph has the output `sigma`: about 68 % of errors lie within it."""
    errors: ErrorTable | None = None
    """The uncertainty of a filled value where there is no `sigma`."""
    stages: tuple[Stage, ...] = ()
    """The same network in groups of layers, for engines on a CPU; empty where it has none."""
    state: tuple[StateTensor, ...] = ()
    spin_up_days: int = 0
    precisions: dict[str, PrecisionImpact] = {}
    """Precisions below fp32 it is offered in, and what they cost; see `export.precision`."""
    training: dict[str, Any] = {}
    """How the weights were made and what they reached."""
    files: dict[str, str] = {}
    """sha256 of each file of the bundle but this one."""

    @model_validator(mode="after")
    def _fits_its_stride(self) -> Manifest:
        if self.tile_core % self.stride or self.halo % self.stride:
            raise ValueError(f"tile_core {self.tile_core} and halo {self.halo} must be multiples of {self.stride}")
        return self


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files have been checked against their hashes."""

    path: Path
    manifest: Manifest

    @property
    def graph(self) -> Path:
        """The ONNX file."""
        return self.path / GRAPH

    def graph_in(self, precision: str) -> Path:
        """Return the ONNX file whose multiplications are in a precision.

        Raises
        ------
        BundleError
            The bundle has none.
        """
        name = in_precision(GRAPH, precision)
        if name not in self.manifest.files:
            raise BundleError(f"{self.path} has no graph in {precision}; `python -m export precision` adds one")
        return self.path / name

    @cached_property
    def model_id(self) -> str:
        """Identity of everything that changes a value: graph, weights and the manifest's computing fields.

        The model card, the accuracy figures and the version are not part of it, but for an error table that is
        published as uncertainty.
        """
        computing = self.manifest.model_dump(
            mode="json",
            include={"kind", "window", "tile_core", "halo", "batch", "stride", "state", "spin_up_days"}
            | {"takes_rain", "gives_sigma"}
            | (set() if self.manifest.gives_sigma else {"errors"}),
        )
        files, lower = self.manifest.files, self.manifest.precisions
        other = {CARD, *(in_precision(name, precision) for name in files for precision in lower)}
        weights = {name: sha for name, sha in files.items() if name not in other}
        return digest.of_values(computing, weights)


def shipped_bundles() -> list[str]:
    """Return the names of the bundles that come with the package."""
    return sorted(p.name for p in _shipped_folder().iterdir() if (p / MANIFEST).is_file())


def _shipped_folder() -> Path:
    return Path(str(resources.files("runtime") / "bundles"))


def find_bundle(name: str, relative_to: Path = Path()) -> Path:
    """Return the folder of a bundle given as a shipped name or a path.

    Raises
    ------
    BundleError
        There is no such bundle.
    """
    for folder in (relative_to / name, _shipped_folder() / name):
        if (folder / MANIFEST).is_file():
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
        The manifest does not parse, a file is missing, or a file's bytes are not what the manifest says.
    """
    try:
        manifest = Manifest.model_validate_json((path / MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        raise BundleError(f"{path / MANIFEST} cannot be read: {_first_line(error)}; export the bundle again") from error
    if GRAPH not in manifest.files:
        raise BundleError(f"{path / MANIFEST} lists no {GRAPH}; export the bundle again")
    for name, expected in manifest.files.items():
        file = path / name
        if not file.is_file():
            raise BundleError(f"{file} is missing; copy the bundle again, whole")
        if digest.of_file(file) != expected:
            raise BundleError(f"{file} does not have the hash in {MANIFEST} (damaged or edited); copy the bundle again")
    return Bundle(path, manifest)


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}"
    return str(error)
