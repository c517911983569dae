"""The files of the cube: creating them, their metadata, and waiting until they are on the disk."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from runtime.archive.cf import EPOCH
from runtime.archive.cube import MARKS, Cube
from runtime.common.atomic import move_into_place, part_file, sync_to_disk
from runtime.common.grid import Grid

MARKS_IN_CHUNK = 8192
"""Days in a chunk of the marks."""


def hidden_folder(folder: Path, ending: str) -> Path:
    """Return a hidden folder next to the cube's, for a cube that is being created or deleted."""
    return folder.with_name(f".{folder.name}.{ending}")


def open_writable(folder: Path) -> Cube:
    """Open a cube for writing, with what lies in its folder and not what its metadata for readers say."""
    return Cube(folder, zarr.open_group(folder, mode="r+", use_consolidated=False))


def create_cube(folder: Path, first: dt.date, grid: Grid) -> None:
    """Create a cube without days and without variables."""
    group = zarr.create_group(folder, attributes={"first_day": str(first), "grid": grid.digest})
    for name, long_name, units, axis, values in (
        ("lat", "latitude", "degrees_north", "Y", grid.latitudes),
        ("lon", "longitude", "degrees_east", "X", grid.longitudes),
    ):
        attributes: dict[str, Any] = {"standard_name": long_name, "long_name": long_name, "units": units, "axis": axis}
        group.create_array(name, data=values, dimension_names=(name,), attributes=attributes)
    time: dict[str, Any] = {"standard_name": "time", "long_name": "start of the UTC day", "axis": "T"}
    mark = "first eight bytes of the SHA-256 of the daily file the day was copied from; 0: none"
    for name, dtype, attributes in (
        ("time", "i4", {**time, "units": f"days since {EPOCH}", "calendar": "standard"}),
        (MARKS, "u8", dict[str, Any](long_name=mark)),
    ):
        group.create_array(
            name,
            shape=(0,),
            chunks=(MARKS_IN_CHUNK,),
            dtype=dtype,
            fill_value=0,
            dimension_names=("time",),
            attributes=attributes,
        )
    consolidate(folder, {})


def consolidate(folder: Path, attributes: Mapping[str, Any]) -> None:
    """Update the one file from which readers take the metadata of all arrays, and set global attributes in it.

    Zarr's own `consolidate_metadata` is not used: for a moment the attributes would be new and the lengths missing.
    """
    root = json.loads((folder / "zarr.json").read_text())
    arrays = {path.parent.name: json.loads(path.read_text()) for path in sorted(folder.glob("*/zarr.json"))}
    root["attributes"] |= {key: plain_attribute(value) for key, value in attributes.items()}
    root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": arrays}
    with part_file(folder / "zarr.json") as part:
        part.write_text(json.dumps(root, indent=1))
    move_into_place(folder / "zarr.json")


def sync_zarr_file(file: Path) -> None:
    """Wait until a file that Zarr wrote is on the disk; delete what a killed run left in its folder."""
    for leftover in file.parent.glob("*.partial"):
        leftover.unlink()
    for path in (file, file.parent):
        if path.exists():  # Zarr writes no file for a chunk without values
            sync_to_disk(path)


def plain_attribute(value: Any) -> Any:
    """Return an attribute's value as JSON can store it."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
