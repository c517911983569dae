"""Who computes: one engine per library that can run a bundle's graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.bundle import Bundle

Arrays = Mapping[str, NDArray[np.float32]]


class Engine(Protocol):
    """Runs a graph: named float32 arrays in, named float32 arrays out, first axis the tiles."""

    @property
    def name(self) -> str:
        """What computes, as recorded in the catalog."""

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Run one batch of tiles."""


def open_engine(name: str, bundle: Bundle) -> Engine:
    """Open the configured engine on a bundle.

    Raises
    ------
    ConfigError
        The engine is not installed or does not load on this machine.
    """
    from runtime.engines.ort import OrtEngine, best_available

    return OrtEngine(bundle.graph, best_available() if name == "auto" else name)
