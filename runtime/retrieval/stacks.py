"""The inputs of the published network: which fields it stacks, in which order and scaling; as in the authors' code."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from runtime.manifest import NamedInput, SourceField
from runtime.retrieval.schema import ELEVATION, GLDAS, IMAGE_SIZE, SMAP, SOIL_GRIDS


class Source(StrEnum):
    """Where fields come from."""

    SENTINEL_1 = "sentinel-1"
    SENTINEL_2 = "sentinel-2"
    DEM = "dem"
    SOIL_GRIDS = "soilgrids"
    SMAP = "smap"
    GLDAS = "gldas"


IMAGE, LOW_RES, AUX = "image", "low_res_image", "aux"
"""Names of the three inputs."""
OF_SOURCE: dict[str, dict[Source, tuple[str, ...]]] = {
    IMAGE: {
        Source.SENTINEL_1: tuple(f"sentinel_1_{band}" for band in ("VV", "VH", "angle")),
        Source.SENTINEL_2: tuple(f"sentinel_2_{band}" for band in ("B4", "B3", "B2", "B8", "B11", "B12")),
        Source.DEM: (ELEVATION,),
    },
    LOW_RES: {Source.SOIL_GRIDS: SOIL_GRIDS},
    AUX: {Source.SMAP: (SMAP,), Source.GLDAS: (GLDAS,)},
}
"""The fields of each source, by input, in the order in which they are stacked."""


def stacked_inputs(
    sources: Collection[Source] = tuple(Source), size: int = IMAGE_SIZE, *, absent_images: float | None = None
) -> tuple[NamedInput, ...]:
    """Return the inputs that have fields of some sources.

    Parameters
    ----------
    sources : collection of Source
        The sources; all of them are the inputs of the published network.
    size : int
        Rows and columns of the middle of each image that is read.
    absent_images : float, optional
        What stands for an image that an example does not have; without it such an example is refused, as by the
        authors' script.

    Returns
    -------
    tuple of NamedInput
        The inputs, without those that have no field.
    """
    inputs = []
    for name, by_source in OF_SOURCE.items():
        fields = [
            _source_field(field, name, absent_images) for s in by_source if s in sources for field in by_source[s]
        ]
        if fields:
            shape = (len(fields),) if name == AUX else (size, size, len(fields))
            inputs.append(NamedInput(name=name, shape=shape, fields=tuple(fields)))
    return tuple(inputs)


def _source_field(name: str, of_input: str, absent_images: float | None) -> SourceField:
    if of_input == AUX:
        return SourceField(name=name, divide_by=255, default=0.0)
    if name == ELEVATION:  # elevation in metres; all other images are bytes already
        return SourceField(name=name, divide_by=3000, multiply_by=255, clip=(0, 255), whole=True, default=absent_images)
    return SourceField(name=name, default=absent_images)
