"""A made-up shard of examples with all 106 fields, and the estimates of a retrieval for it.

The fields follow a law of our own: backscatter rises with soil moisture and falls with vegetation, sandy soil holds
less water, and the two coarse products are noisy. Of the published data set it has names, types and shapes only.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from runtime.bundle import find_bundle, load_retrieval, shipped_bundles
from runtime.engines.select import EngineSettings
from runtime.errors import UsageError
from runtime.retrieval.example import example_bytes, feature_bytes, image_bytes
from runtime.retrieval.predict import Retrieval, open_retrieval_engines, retrievals
from runtime.retrieval.schema import (
    ELEVATION,
    FIELDS,
    GLDAS,
    IMAGE_SIZE,
    LABEL,
    LATITUDE,
    LONGITUDE,
    SENSOR,
    SMAP,
    SOIL_GRIDS,
    TIMESTAMP,
    ValueKind,
)
from runtime.retrieval.tfrecord import record_writer

SHARD = "data-00000-of-00001.tfrecord.gz"
START = dt.datetime(2019, 4, 1, tzinfo=dt.UTC)
_BLOCK = 16
"""Pixels of a side of the squares in which a made-up image is constant, so that it compresses."""
_TEXTS = ("utm_easting_northing_image_polygon", "utm_zone", "sentinel_1_orbit_pass")
_IMAGES = ("aster_B", "cgls_lc_", "modis_leaf_area_", "sentinel_1_", "sentinel_2_", "mask")
_NO_IMAGES = ("time_millis_diff", "timestamp", "orbit_pass", "cloud_percentage")


@dataclass(frozen=True)
class MadeUpSensor:
    """A sensor of the made-up world."""

    name: str
    latitude: float
    longitude: float
    elevation: float
    """Metres."""
    sand: float
    """Share of sand, 0 to 1."""
    greenness: float
    """Mean of the vegetation, 0 to 1."""


def made_up_sensors(count: int, seed: int, first: int = 0) -> list[MadeUpSensor]:
    """Return sensors at random places."""
    rng = np.random.default_rng((seed, first))
    return [
        MadeUpSensor(
            name=f"MADEUP__place_{number:03d}__probe",
            latitude=float(rng.uniform(36, 49)),
            longitude=float(rng.uniform(-9, 9)),
            elevation=float(rng.uniform(0, 3400)),
            sand=float(rng.uniform(0.1, 0.9)),
            greenness=float(rng.uniform(0.1, 0.9)),
        )
        for number in range(first, first + count)
    ]


def made_up_examples(
    sensors: list[MadeUpSensor], times: int, seed: int, *, every_field: bool = True, labels: bool = True
) -> Iterator[dict[str, bytes]]:
    """Yield examples, the fields of each as serialised features by name.

    Parameters
    ----------
    sensors : list of MadeUpSensor
        Where.
    times : int
        Examples of each sensor.
    seed : int
        Seed of all that is random.
    every_field : bool
        Whether the examples have all 106 fields, or only those that the authors' scripts read.
    labels : bool
        Whether they have a label.
    """
    rng = np.random.default_rng(seed)
    for number in range(times):
        for sensor in sensors:
            moment = START + dt.timedelta(days=int(number * 5), seconds=int(rng.uniform(0, 86000)))
            fields = _read_by_scripts(sensor, moment, rng)
            if every_field:
                fields |= _unread_fields(fields)
            if not labels:
                del fields[LABEL]
            yield {name: fields[name] for name in FIELDS if name in fields}


def write_shard(path: Path, examples: Iterator[dict[str, bytes]]) -> None:
    """Write examples as a shard."""
    with record_writer(path) as write:
        for fields in examples:
            write(example_bytes(fields))


def _read_by_scripts(sensor: MadeUpSensor, moment: dt.datetime, rng: np.random.Generator) -> dict[str, bytes]:
    """Return the fields that the authors' scripts read."""
    wet = rng.uniform()
    green = float(np.clip(sensor.greenness + rng.normal(0, 0.15), 0, 1))
    moisture = 0.04 + 0.42 * wet * (1 - 0.6 * sensor.sand)
    levels = {
        "sentinel_1_VV": 70 + 90 * wet - 50 * green,
        "sentinel_1_VH": 40 + 50 * wet + 20 * green,
        "sentinel_1_angle": rng.uniform(80, 120),
        **{f"sentinel_2_{band}": 60 - 40 * green for band in ("B2", "B3", "B4")},
        **{f"sentinel_2_{band}": 40 + 60 * green for band in ("B5", "B6", "B7", "B8")},
        **{f"sentinel_2_{band}": 100 - 30 * green - 20 * wet for band in ("B11", "B12")},
        **dict(zip(SOIL_GRIDS, (100 * sensor.sand, 60 - 30 * sensor.sand, 60 - 40 * sensor.sand, 70), strict=True)),
        ELEVATION: sensor.elevation,
    }
    images = {
        name: image_bytes(_blocks(level, 2 if level < 250 else 40, rng), _BLOCK) for name, level in levels.items()
    }
    return images | {
        SENSOR: feature_bytes(ValueKind.BYTES, [sensor.name.encode()]),
        LATITUDE: feature_bytes(ValueKind.FLOAT, [sensor.latitude]),
        LONGITUDE: feature_bytes(ValueKind.FLOAT, [sensor.longitude]),
        TIMESTAMP: feature_bytes(ValueKind.FLOAT, [moment.timestamp() * 1000]),
        SMAP: feature_bytes(ValueKind.INT64, [_byte(moisture + rng.normal(0, 0.08))]),
        GLDAS: feature_bytes(ValueKind.INT64, [_byte(0.12 + 0.5 * moisture + rng.normal(0, 0.04))]),
        LABEL: feature_bytes(ValueKind.FLOAT, [moisture]),
    }


def _byte(moisture: float) -> int:
    return int(np.clip(255 * moisture, 1, 255))  # 0 stands for no value


def _blocks(level: float, noise: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the squares of an image with a level in its middle, and another one around it that must not be read."""
    blocks = IMAGE_SIZE // _BLOCK
    values = rng.normal(rng.uniform(0, 120), noise, (blocks, blocks))
    quarter = blocks // 4
    values[quarter:-quarter, quarter:-quarter] = rng.normal(level, noise, (blocks // 2, blocks // 2))
    return values.clip(0, 4000).astype(np.int64)


def _unread_fields(read: dict[str, bytes]) -> dict[str, bytes]:
    """Return the other fields, all constant; their types are made up too."""
    constant = image_bytes(np.full((IMAGE_SIZE, IMAGE_SIZE), 50))
    fields = {}
    for name in FIELDS.keys() - read.keys():
        if name in _TEXTS:
            fields[name] = feature_bytes(ValueKind.BYTES, [b"made up"])
        elif name.startswith(_IMAGES) and not name.endswith(_NO_IMAGES):
            fields[name] = constant
        else:
            fields[name] = feature_bytes(ValueKind.INT64, [IMAGE_SIZE if name == "size" else 0])
    return fields


def run_fusion_demo(folder: Path, seed: int) -> list[Retrieval]:
    """Make a shard of examples, retrieve soil moisture with the shipped bundle, and print both.

    Parameters
    ----------
    folder : Path
        Where to work; must be empty or absent.
    seed : int
        Seed of the made-up world.

    Returns
    -------
    list of Retrieval
        The estimates.

    Raises
    ------
    UsageError
        `folder` is not empty.
    """
    console = Console()
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty, or is no folder; choose another --folder or delete it")
    shard = folder / SHARD
    write_shard(shard, made_up_examples(made_up_sensors(8, seed, first=500), 3, seed))
    size = shard.stat().st_size / 2**20
    console.print(f"made 24 examples of a made-up world, {len(FIELDS)} fields each: {shard}, {size:.1f} MiB")
    (name,) = shipped_bundles(retrieval=True)
    bundle = load_retrieval(find_bundle(name))
    found = [
        each
        for each in retrievals(open_retrieval_engines(bundle, EngineSettings()), bundle.manifest, [shard])
        if isinstance(each, Retrieval)
    ]
    table = Table(title=f"{name}, which was trained on such a made-up world and on nothing else, m³ m⁻³")
    for column in ("sensor", "time (UTC)", "estimate", "label"):
        table.add_column(column, justify="left" if column == "sensor" else "right")
    for each in found:
        label = "" if each.place.label is None else f"{each.place.label:.3f}"
        table.add_row(each.place.sensor, f"{each.place.time:%Y-%m-%d %H:%M}", f"{each.value:.3f}", label)
    console.print(table)
    pairs = np.array([(each.value, each.place.label) for each in found], float)
    rmse = np.sqrt(((pairs[:, 0] - pairs[:, 1]) ** 2).mean())
    console.print(
        f"R {np.corrcoef(pairs.T)[0, 1]:.3f}, RMSE {rmse:.4f}, at sensors that the network has not seen\n"
        f"the same as a table: runtime retrieve --bundle {name} --examples {shard} --out {folder / 'retrieved.csv'}",
        soft_wrap=True,
    )
    return found
