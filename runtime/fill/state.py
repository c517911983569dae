"""The state that a recurrent network carries from day to day, and its snapshots: one a day, never overwritten.

A snapshot's name holds its date and its fingerprint, which covers the model, the inputs, and the snapshot it started
from. Snapshots are safetensors files: no pickle, and nothing in them depends on when they were written.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from runtime.common.atomic import move_into_place, part_file
from runtime.common.grid import Grid
from runtime.errors import StateChainBroken
from runtime.fill.result import NEVER
from runtime.manifest import Manifest

KEEP_DAILY = 130
_DAYS_SINCE = "days_since_observation"
_CURE = "delete it and run again: the days since the snapshot before it are replayed"


@dataclass(frozen=True)
class State:
    """What a recurrent network carries from one day to the next."""

    tensors: dict[str, NDArray[np.float32]]
    """By the bundle's names, each of shape (land tiles, ...)."""
    days_since_observation: NDArray[np.int16]
    """Days since each cell was last observed, of the grid's shape; `NEVER` before the first observation."""

    @classmethod
    def cold(cls, manifest: Manifest, grid: Grid, tiles: int) -> State:
        """Return the state at the start of a chain: zeros, and no cell observed yet."""
        tensors = {t.name: np.zeros((tiles, *t.shape), np.float32) for t in manifest.state}
        return cls(tensors, np.full(grid.shape, NEVER, np.int16))


@dataclass(frozen=True)
class StateStore:
    """The snapshots of one model on one grid."""

    folder: Path
    model_id: str

    def path(self, date: dt.date, fingerprint: str) -> Path:
        """Return the path of a snapshot."""
        return self.folder / f"{date:%Y}" / f"{date:%Y%m%d}-{fingerprint[:16]}.safetensors"

    def has(self, date: dt.date, fingerprint: str) -> bool:
        """Whether a snapshot exists."""
        return self.path(date, fingerprint).is_file()

    def save(self, date: dt.date, fingerprint: str, state: State) -> None:
        """Write a snapshot, whole or not at all; one that exists already stays.

        Raises
        ------
        ArchiveError
            The folder cannot be written.
        """
        path = self.path(date, fingerprint)
        if path.exists():
            return
        record = {"date": date.isoformat(), "model_id": self.model_id, "fingerprint": fingerprint}
        write_snapshot(path, record, {**state.tensors, _DAYS_SINCE: state.days_since_observation})

    def load(self, date: dt.date, fingerprint: str, like: State | None) -> State:
        """Read a snapshot.

        Parameters
        ----------
        date : date
            The day whose state it is.
        fingerprint : str
            Its fingerprint.
        like : State or None
            A state of the same network and grid, for the shapes.

        Raises
        ------
        StateChainBroken
            It is missing or damaged, or belongs to another day, model, chain or grid.
        """
        path = self.path(date, fingerprint)
        record, arrays = read_snapshot(path)
        if record != {"date": date.isoformat(), "model_id": self.model_id, "fingerprint": fingerprint}:
            raise StateChainBroken(f"{path}: the state snapshot belongs to {record}, not to this chain; {_CURE}")
        expected: dict[str, NDArray[Any]] = {}
        if like is not None:
            expected = {**like.tensors, _DAYS_SINCE: like.days_since_observation}
        shapes = {name: array.shape for name, array in expected.items()}
        found = {name: array.shape for name, array in arrays.items()}
        if found != shapes:
            raise StateChainBroken(f"{path}: the state snapshot has shapes {found}, the bundle wants {shapes}; {_CURE}")
        since = arrays.pop(_DAYS_SINCE)
        return State(arrays, since)

    def prune(self, newest: dt.date, fingerprints: Callable[[Iterable[dt.date]], dict[dt.date, str]]) -> None:
        """Delete superseded snapshots, and older than `KEEP_DAILY` days all but the first of each month.

        Parameters
        ----------
        newest : date
            The newest published day.
        fingerprints : callable
            Returns the state fingerprint of each published day among the given ones.
        """
        found: dict[dt.date, list[Path]] = {}
        for path in self.folder.glob("[0-9][0-9][0-9][0-9]/*.safetensors"):
            stamp = path.name[:8]
            found.setdefault(dt.date(int(stamp[:4]), int(stamp[4:6]), int(stamp[6:])), []).append(path)
        current = fingerprints([date for date, paths in found.items() if len(paths) > 1])
        for date, paths in found.items():
            old = date.day != 1 and (newest - date).days > KEEP_DAILY
            for path in paths:
                superseded = date in current and not current[date].startswith(path.stem[9:])
                if superseded or old:
                    path.unlink(missing_ok=True)


def write_snapshot(path: Path, record: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a record and arrays, with a hash of both, whole or not at all.

    Raises
    ------
    ArchiveError
        The folder cannot be written.
    """
    with part_file(path) as part:
        part.write_bytes(save(dict(arrays), {"record": json.dumps({**record, "content": _content(record, arrays)})}))
    move_into_place(path)


def read_snapshot(path: Path) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """Read a snapshot's record and arrays, and compare both with the hash it carries.

    Raises
    ------
    StateChainBroken
        It is damaged.
    """
    try:
        raw = path.read_bytes()
        arrays = load(raw)
        record = json.loads(json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]["record"])
        content = record.pop("content")
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise StateChainBroken(f"{path}: the state snapshot is damaged ({error}); {_CURE}") from error
    if content != _content(record, arrays):
        raise StateChainBroken(f"{path}: the state snapshot is damaged (its hash does not match); {_CURE}")
    return record, arrays


def _content(record: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]) -> str:
    hasher = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(arrays):
        hasher.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        hasher.update(np.ascontiguousarray(arrays[name]).tobytes())
    return hasher.hexdigest()
