"""Model bundles: a folder with an exported network and everything that the runtime must know about it."""

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
from runtime.common.vocabulary import ModelKind
from runtime.errors import BundleError

MANIFEST = "bundle.json"
"""File that describes the bundle."""
GRAPH = "model.onnx"
"""File with the network."""
CARD = "MODEL_CARD.md"
"""File that says what the network is good for."""


def in_precision(file: str, precision: str) -> str:
    """Return the file name of a graph in another precision, for example ``model.fp16.onnx`` for ``model.onnx``."""
    return file if precision == "fp32" else file.replace(".onnx", f".{precision}.onnx")


class _ManifestModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StateTensor(_ManifestModel):
    """A tensor that a recurrent network carries from day to day; the graph's output for it is ``{name}_out``."""

    name: str
    shape: tuple[int, ...]
    """Shape for one tile, without the batch axis. The type is float32; the values are 0 on the first day of a chain."""


class Stage(_ManifestModel):
    """Some consecutive layers of a window network as a separate graph; see `runtime.fill.staged`."""

    file: str
    """The graph's file."""
    halo: int
    """By how many cells the output is smaller than the input, on every side."""
    frames: int
    """Number of days in the output."""
    maps: int
    """Number of feature maps in the output; 1 for the last stage."""


class PrecisionImpact(_ManifestModel):
    """How much a precision changes the filled field, measured on real days."""

    rmse: float
    """RMS difference between the filled fields in this precision and in fp32, m3 m-3, over all filled cells."""
    held_out: float
    """RMSE against hidden observations, divided by the RMSE of fp32."""
    cells: int
    """Number of filled cells compared."""
    hidden: int
    """Number of hidden observations."""


class ErrorTable(_ManifestModel):
    """Error against hidden observations, by age of the last observation and by latitude."""

    days: tuple[int, ...]
    """Days since the last observation, ascending; the last class also includes older and unknown ages."""
    latitudes: tuple[float, ...]
    """Edges of the latitude bands, degrees north, ascending."""
    rmse: tuple[tuple[float, ...], ...]
    """RMSE, m3 m-3; one row per class of `days`, one column per latitude band."""
    n: tuple[tuple[int, ...], ...]
    """Number of hidden observations behind each RMSE; where 0, the RMSE is that of the row or of the whole table."""

    @model_validator(mode="after")
    def _is_a_table(self) -> ErrorTable:
        shape = len(self.days), len(self.latitudes) - 1
        for table in (self.rmse, self.n):
            if len(table) != shape[0] or any(len(row) != shape[1] for row in table):
                raise ValueError(f"the error table must have {shape[0]} rows and {shape[1]} columns")
        return self

    def lookup(self, days_since: NDArray[np.int16], latitudes: NDArray[np.float64]) -> Floats:
        """Return the expected error of each cell.

        Parameters
        ----------
        days_since : int16 array, shape (rows, cols)
            Days since the last observation; negative where not known.
        latitudes : float64 array, shape (rows,)
            Cell centres, degrees north.

        Returns
        -------
        float32 array, shape (rows, cols)
            RMSE, m3 m-3.
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
    kind: ModelKind
    products: tuple[str, ...]
    """Soil-moisture products that the network accepts, for example ``lprm-amsr2``."""
    bands: tuple[str, ...]
    """Bands that the network accepts, for example ``x``."""
    window: tuple[int, ...]
    """Days that the network reads, relative to day T, ascending; ``(0,)`` for a recurrent network."""
    tile_core: int
    """Rows and columns that are filled per tile; a recurrent network accepts no other size."""
    halo: int
    """Number of cells read around the core, on every side."""
    batch: int
    """Tiles per engine call. Part of the model id, because sums of floats may depend on it."""
    stride: int = 1
    """Tile origins, cores and halos must be multiples of it; above 1 for a network with pooling."""
    takes_rain: bool = False
    """Whether the graph has the inputs ``precip`` and ``precip_mask``."""
    gives_sigma: bool = False
    """Whether the graph has the output ``sigma``; about 68 % of the errors are smaller than it."""
    sigma_fit: tuple[float, float] | None = None
    """Factor and exponent of the network's own sigma that the graph applies; None if it was not fitted."""
    errors: ErrorTable | None = None
    """The uncertainty of filled values if the graph has no output ``sigma``."""
    stages: tuple[Stage, ...] = ()
    """The same network as a sequence of graphs, for engines on a CPU; empty if there are none."""
    state: tuple[StateTensor, ...] = ()
    """Tensors carried from day to day; empty for a window network."""
    spin_up_days: int = 0
    """Days that a recurrent network must run before its results are useful."""
    precisions: dict[str, PrecisionImpact] = {}
    """Precisions below fp32 in which the network may be used, and how they change it; see `export.precision`."""
    training: dict[str, Any] = {}
    """How the weights were trained, and their accuracy."""
    files: dict[str, str] = {}
    """The sha256 of each file of the bundle except this one."""

    @model_validator(mode="after")
    def _fits_its_stride(self) -> Manifest:
        if self.tile_core % self.stride or self.halo % self.stride:
            raise ValueError(f"tile_core {self.tile_core} and halo {self.halo} must be multiples of {self.stride}")
        return self

    @property
    def carries_state(self) -> bool:
        """Whether the network carries a state from day to day (the recurrent kind)."""
        return self.kind is ModelKind.RECURRENT


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
        excluded = {CARD, *(in_precision(name, precision) for name in files for precision in precisions)}
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
        The manifest cannot be read, a file is missing, or a file does not have the hash in the manifest.
    """
    try:
        manifest = Manifest.model_validate_json((path / MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        raise BundleError(f"{path / MANIFEST} cannot be read: {_brief(error)}; export the bundle again") from error
    if GRAPH not in manifest.files:
        raise BundleError(f"{path / MANIFEST} lists no {GRAPH}; export the bundle again")
    for name, expected in manifest.files.items():
        file = path / name
        if not file.is_file():
            raise BundleError(f"{file} is missing; copy the bundle again, whole")
        if digest.of_file(file) != expected:
            raise BundleError(f"{file} does not have the hash in {MANIFEST} (damaged or edited); copy the bundle again")
    return Bundle(path, manifest)


def _brief(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}"
    return str(error)
