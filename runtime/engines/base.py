"""Who computes: one engine per library that can run a bundle's graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


class Engine(Protocol):
    """Runs a graph: named arrays in, named arrays out, float32 but for what is `carried`, first axis the tiles."""

    @property
    def name(self) -> str:
        """What computes, as recorded in the catalog."""

    @property
    def carried(self) -> np.dtype[Any]:
        """Type of what passes from a graph to the next one: float32, or uint16 that holds bfloat16 bits."""

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run one batch of tiles; the arrays returned may be overwritten by the next run."""

    def remember(self, state: Arrays) -> Memory:
        """Take the state of all tiles, for a day."""


class Memory(Protocol):
    """The state of all tiles while a day is computed, wherever the engine keeps it."""

    def run(self, inputs: Arrays, tiles: slice) -> dict[str, NDArray[Any]]:
        """Run the tiles of a slice and advance their state; the outputs are those that are not state."""

    def after(self) -> dict[str, NDArray[np.float32]]:
        """Return the state of all tiles after the day."""


class HostMemory:
    """State in the machine's own memory; the tensor `x` comes out of the graph as ``x_out``."""

    def __init__(self, engine: Engine, state: Arrays) -> None:
        self._engine, self._before = engine, state
        self._after = {name: np.empty_like(tensor) for name, tensor in state.items()}

    def run(self, inputs: Arrays, tiles: slice) -> dict[str, NDArray[Any]]:
        """Run the tiles of a slice and advance their state."""
        out = self._engine.run({**inputs, **{name: tensor[tiles] for name, tensor in self._before.items()}})
        for name, tensor in self._after.items():
            tensor[tiles] = out.pop(f"{name}_out")
        return out

    def after(self) -> dict[str, NDArray[np.float32]]:
        """Return the state of all tiles after the day."""
        return self._after


@dataclass(frozen=True)
class Staged:
    """A window network whose stages are an engine each; see `runtime.fill.staged`."""

    stages: Sequence[Engine]

    @property
    def name(self) -> str:
        """What computes, as recorded in the catalog."""
        return f"{self.stages[0].name} staged"
