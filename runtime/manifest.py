"""The manifest of a model bundle, ``bundle.json``: everything that the runtime must know about a network."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from runtime.common.grid import Floats
from runtime.common.vocabulary import ModelKind, Tier


def _inside_the_bundle(name: str) -> str:
    """Return the name of a file that lies in the bundle's folder or below it."""
    path = PurePosixPath(name)
    if not name.isprintable() or "\\" in name or len(name) > _LONGEST_NAME:
        raise ValueError(f"{name[:_LONGEST_NAME]!a} is no file name")
    if path.is_absolute() or ".." in path.parts or str(path) != name or name == ".":
        raise ValueError(f"{name} is not a path inside the bundle's folder")
    return name


GRAPH = "model.onnx"
"""File with the network."""
ANY = "any"
"""Stands for every product, or every band, that a network accepts."""
_LONGEST_NAME = 200
_Text = Annotated[str, Field(pattern=rf"^[ -~]{{1,{_LONGEST_NAME}}}$")]
_FileName = Annotated[str, AfterValidator(_inside_the_bundle)]
_Cells = Annotated[int, Field(ge=1, le=4096)]
_Halo = Annotated[int, Field(ge=0, le=1024)]
_Count = Annotated[int, Field(ge=0)]
_Error = Annotated[float, Field(ge=0)]
_Lower = Literal["bf16", "fp16", "int8"]


def _ascend(values: Sequence[float]) -> bool:
    return all(one < following for one, following in itertools.pairwise(values))


class _ManifestModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StateTensor(_ManifestModel):
    """A tensor that a recurrent network carries from day to day; the graph's output for it is ``{name}_out``."""

    name: _Text
    shape: tuple[Annotated[int, Field(ge=1, le=10**7)], ...]
    """Shape for one tile, without the batch axis. The type is float32; the values are 0 on the first day of a chain."""


class Stage(_ManifestModel):
    """Some consecutive layers of a window network as a separate graph; see `runtime.fill.staged`."""

    file: _FileName
    """The graph's file."""
    halo: _Halo
    """By how many cells the output is smaller than the input, on every side."""
    frames: _Cells
    """Number of days in the output."""
    maps: _Cells
    """Number of feature maps in the output; 1 for the last stage."""


class PrecisionImpact(_ManifestModel):
    """How much a precision changes the filled field, measured on real days."""

    rmse: _Error
    """RMS difference between the filled fields in this precision and in fp32, m3 m-3, over all filled cells."""
    held_out: _Error
    """RMSE against hidden observations, divided by the RMSE of fp32."""
    cells: _Count
    """Number of filled cells compared."""
    hidden: _Count
    """Number of hidden observations."""


class ErrorTable(_ManifestModel):
    """Error against hidden observations, by age of the last observation and by latitude."""

    days: tuple[Annotated[int, Field(ge=0, le=32767)], ...] = Field(min_length=1)
    """Days since the last observation, ascending; the last class also includes older and unknown ages."""
    latitudes: tuple[Annotated[float, Field(ge=-90, le=90)], ...] = Field(min_length=2)
    """Edges of the latitude bands, degrees north, ascending."""
    rmse: tuple[tuple[_Error, ...], ...]
    """RMSE, m3 m-3; one row per class of `days`, one column per latitude band."""
    n: tuple[tuple[_Count, ...], ...]
    """Number of hidden observations behind each RMSE; where 0, the RMSE is that of the row or of the whole table."""

    @model_validator(mode="after")
    def _is_a_table(self) -> ErrorTable:
        if not _ascend(self.days) or not _ascend(self.latitudes):
            raise ValueError("days and latitudes of the error table must ascend")
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


class HeldOutScore(_ManifestModel):
    """A comparison of filled values with hidden observations; m3 m-3 except R and n."""

    r: Annotated[float, Field(ge=-1, le=1)] | None
    """Correlation; None where it is not defined."""
    rmse: _Error
    mae: _Error
    bias: float
    n: _Count
    """Number of hidden observations."""


class Judgement(_ManifestModel):
    """How well a bundle fills one band of one product: its error where observations were hidden."""

    product: _Text
    """Soil-moisture product, for example ``lprm-amsr2``."""
    band: _Text | None = None
    """Band of the product; None for a product without bands."""
    source: _Text
    """The days it was judged on, in words."""
    scores: dict[Tier, HeldOutScore] = Field(min_length=1)
    """The score of each tier that was judged, over hidden gaps like real ones."""


class BundleManifest(_ManifestModel):
    """What ``bundle.json`` says of a network of any kind; each kind of network has a class of its own."""

    schema_version: Literal[1] = 1
    name: _Text
    version: _Text
    kind: ModelKind
    batch: _Cells
    """Tiles, or examples of a retrieval, per engine call. Part of the model id: sums of floats may depend on it."""
    precisions: dict[_Lower, PrecisionImpact] = {}
    """Precisions below fp32 in which the network may be used, and how they change it; see `export.precision`."""
    training: dict[str, Any] = {}
    """How the weights were trained, and their accuracy."""
    files: dict[_FileName, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = {}
    """The sha256 of each file of the bundle except this one: the graphs, the files that they take weights from, ..."""

    def computing_fields(self) -> dict[str, Any]:
        """Return the fields that change values, as plain values: part of the model id."""
        return self.model_dump(mode="json", include={"kind", "batch"})

    @property
    def graphs(self) -> tuple[str, ...]:
        """The files of the graphs that the network is computed with, in fp32."""
        return (GRAPH,)


class Manifest(BundleManifest):
    """The contents of ``bundle.json`` of a network that fills days: the window and the recurrent kind."""

    kind: Literal[ModelKind.WINDOW, ModelKind.RECURRENT]
    products: tuple[_Text, ...] = Field(min_length=1)
    """Soil-moisture products that the network accepts, for example ``lprm-amsr2``, or `ANY`."""
    bands: tuple[_Text, ...] = Field(min_length=1)
    """Bands that the network accepts, for example ``x``, or `ANY`."""
    judged: tuple[Judgement, ...] = ()
    """The products and bands that the bundle was judged on; on any other, its errors are not known."""
    window: tuple[Annotated[int, Field(ge=-366, le=366)], ...]
    """Days that the network reads, relative to day T, ascending; ``(0,)`` for a recurrent network."""
    tile_core: _Cells
    """Rows and columns that are filled per tile; a recurrent network accepts no other size."""
    halo: _Halo
    """Number of cells read around the core, on every side."""
    stride: _Cells = 1
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
    bytes_per_cell: Annotated[int, Field(ge=1)] | None = None
    """Bytes that the values between the layers need at once in fp32, for each cell of the tiles of a call, halo
    included; None if they were not counted."""
    spin_up_days: int = Field(default=0, ge=0, le=3660)
    """Days that a recurrent network must run before its results are useful."""

    @model_validator(mode="after")
    def _fits_its_stride(self) -> Manifest:
        if self.tile_core % self.stride or self.halo % self.stride:
            raise ValueError(f"tile_core {self.tile_core} and halo {self.halo} must be multiples of {self.stride}")
        return self

    @model_validator(mode="after")
    def _is_judged_once(self) -> Manifest:
        if len({(each.product, each.band) for each in self.judged}) < len(self.judged):
            raise ValueError("two judgements are of one product and band")
        return self

    @model_validator(mode="after")
    def _is_of_its_kind(self) -> Manifest:
        if not _ascend(self.window) or 0 not in self.window:
            raise ValueError("window must ascend and contain day 0")
        if self.carries_state and (self.window != (0,) or not self.state or self.stages or not self.takes_rain):
            raise ValueError("a recurrent network has the window [0], a state, rain, and no stages")
        if self.state and not self.carries_state:
            raise ValueError("a window network has no state")
        if len({tensor.name for tensor in self.state}) < len(self.state):
            raise ValueError("two tensors of the state have one name")
        return self

    @model_validator(mode="after")
    def _ends_with_one_map(self) -> Manifest:
        if self.stages and (self.stages[-1].frames, self.stages[-1].maps) != (1, 1):
            raise ValueError("the last stage must give one frame and one map")
        return self

    def computing_fields(self) -> dict[str, Any]:
        """Return the fields that change values; the error table is one of them if it is published as uncertainty."""
        return self.model_dump(
            mode="json",
            include={"kind", "window", "tile_core", "halo", "batch", "stride", "state", "spin_up_days"}
            | {"takes_rain", "gives_sigma"}
            | (set() if self.gives_sigma else {"errors"}),
        )

    @property
    def graphs(self) -> tuple[str, ...]:
        """The files of the graphs that the network is computed with, in fp32: the whole one, and its stages."""
        return (GRAPH, *(stage.file for stage in self.stages))

    def accepts(self, product: str, band: str | None) -> bool:
        """Return whether the network may fill a band of a product; None for a product without bands."""
        return {product, ANY} & {*self.products} != set() and {band, ANY} & {*self.bands} != set()

    def not_judged(self, product: str, band: str | None) -> str | None:
        """Return in words that the errors on a band of a product are not known; None if the bundle was judged on it."""
        if any((each.product, each.band) == (product, band) for each in self.judged):
            return None
        others = ", ".join(in_words(each.product, each.band) for each in self.judged) or "no product"
        return (
            f"bundle {self.name} was never judged on {in_words(product, band)}, only on {others}: how large the "
            "errors of filled values are, and how well the uncertainty describes them, is not known"
        )

    @property
    def carries_state(self) -> bool:
        """Whether the network carries a state from day to day (the recurrent kind)."""
        return self.kind is ModelKind.RECURRENT


class SourceField(_ManifestModel):
    """A field of an example as a retrieval reads it: ``value / divide_by * multiply_by``, in float32."""

    name: _Text
    """Name of the field; see `runtime.retrieval.schema`."""
    divide_by: Annotated[float, Field(gt=0)] = 1.0
    multiply_by: float = 1.0
    clip: tuple[float, float] | None = None
    """Smallest and largest result; None if it is not limited."""
    whole: bool = False
    """Whether the digits after the point are cut off, after `clip`."""
    default: float | None = None
    """The result where an example has no such field; None: such an example is refused."""

    @model_validator(mode="after")
    def _clips_a_range(self) -> SourceField:
        if self.clip is not None and not _ascend(self.clip):
            raise ValueError(f"clip of {self.name} must ascend")
        return self

    def scaled(self, values: NDArray[Any]) -> Floats:
        """Return the stored values as the network reads them, float32, in the same shape."""
        found = values.astype(np.float32)
        if (self.divide_by, self.multiply_by) != (1, 1):
            found = found / np.float32(self.divide_by) * np.float32(self.multiply_by)
        if self.clip is not None:
            found = np.clip(found, *self.clip)
        return np.asarray(np.trunc(found) if self.whole else found, np.float32)


class NamedInput(_ManifestModel):
    """An input of a retrieval's graph."""

    name: _Text
    shape: tuple[_Cells, ...]
    """Without the batch axis: ``(fields,)`` for single numbers, ``(rows, cols, fields)`` for images. An image of an
    example that is larger is cut to its middle."""
    dtype: Literal["float32"] = "float32"
    fields: tuple[SourceField, ...]
    """In the order of the last axis."""

    @model_validator(mode="after")
    def _has_a_place_for_each_field(self) -> NamedInput:
        if len(self.shape) not in (1, 3) or self.shape[-1] != len(self.fields):
            raise ValueError(
                f"input {self.name} has {len(self.fields)} fields and the shape {self.shape}; wanted (fields,) or "
                "(rows, cols, fields)"
            )
        return self


class RetrievedOutput(_ManifestModel):
    """The output of a retrieval's graph: one number an example."""

    name: _Text
    unit: _Text = "m3 m-3"
    minimum: float = 0.0
    maximum: float = 1.0

    @model_validator(mode="after")
    def _has_a_range(self) -> RetrievedOutput:
        if not self.minimum < self.maximum:
            raise ValueError("the output's minimum must be below its maximum")
        return self


class RetrievalManifest(BundleManifest):
    """The contents of ``bundle.json`` of a retrieval: images and numbers of one place and time in, one number out."""

    kind: Literal[ModelKind.RETRIEVAL]
    inputs: tuple[NamedInput, ...] = Field(min_length=1)
    output: RetrievedOutput

    @model_validator(mode="after")
    def _names_each_input_once(self) -> RetrievalManifest:
        if len({each.name for each in self.inputs}) < len(self.inputs):
            raise ValueError("two inputs have one name")
        return self

    def computing_fields(self) -> dict[str, Any]:
        """Return the fields that change values: how the inputs are made, and what the output is."""
        return self.model_dump(mode="json", include={"kind", "batch", "inputs", "output"})

    @property
    def fields(self) -> tuple[SourceField, ...]:
        """The fields of all inputs."""
        return tuple(field for each in self.inputs for field in each.fields)


AnyManifest = Annotated[Manifest | RetrievalManifest, Field(discriminator="kind")]
"""The manifest of a bundle of any kind."""


def in_words(product: str, band: str | None) -> str:
    """Return a product and its band, if it has one, as messages name them."""
    return product if band is None else f"{product} band {band}"
