"""What every engine can do: run the graph of a bundle, and carry a recurrent network's state through a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
"""Arrays by name of the graph's input or output."""


class Engine(Protocol):
    """Run a graph: arrays by name in, arrays by name out.

    The first axis of every array counts the tiles. All arrays are float32, except those whose type is `carried`.
    """

    @property
    def name(self) -> str:
        """Library, version, device and precision, as recorded in the catalog."""

    @property
    def carried(self) -> np.dtype[Any]:
        """Type of arrays that pass from one graph to the next: float32, or uint16 with the bits of bfloat16."""

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Compute one batch of tiles; the next call may overwrite the returned arrays."""

    def load_state(self, state: Arrays) -> TileStates:
        """Prepare to compute a day that starts from `state`, the state of all tiles."""


class TileStates(Protocol):
    """The state of all tiles while a day is computed, in the memory of the machine or of its GPU."""

    def run(self, inputs: Arrays, tiles: slice) -> dict[str, NDArray[Any]]:
        """Compute the tiles of a slice and update their state; return the outputs that are not state."""

    def after(self) -> dict[str, NDArray[np.float32]]:
        """Return the state of all tiles after the day."""


class HostTileStates:
    """State in the machine's own memory; the graph returns the new value of the tensor ``x`` as ``x_out``."""

    def __init__(self, engine: Engine, state: Arrays) -> None:
        self._engine, self._before = engine, state
        self._after = {name: np.empty_like(tensor) for name, tensor in state.items()}

    def run(self, inputs: Arrays, tiles: slice) -> dict[str, NDArray[Any]]:
        """Compute the tiles of a slice and update their state; return the outputs that are not state."""
        out = self._engine.run({**inputs, **{name: tensor[tiles] for name, tensor in self._before.items()}})
        for name, tensor in self._after.items():
            tensor[tiles] = out.pop(f"{name}_out")
        return out

    def after(self) -> dict[str, NDArray[np.float32]]:
        """Return the state of all tiles after the day."""
        return self._after


@dataclass(frozen=True)
class Staged:
    """A window network with one engine per stage; see `runtime.fill.staged`."""

    stages: Sequence[Engine]
    """The engines, first stage first."""

    @property
    def name(self) -> str:
        """Name of the first engine and the word ``staged``, as recorded in the catalog."""
        return f"{self.stages[0].name} staged"
