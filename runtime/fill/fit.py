"""Does the graph of a bundle do what its manifest says? Tried on a few cells before the first day is filled."""

from __future__ import annotations

import numpy as np

from runtime.bundle import Bundle
from runtime.common.grid import Grid
from runtime.engines.base import Engine, Staged
from runtime.errors import BundleError, SeamlessError
from runtime.fill.base import make_filler


def require_fit(engine: Engine | Staged, bundle: Bundle) -> None:
    """Fill a made-up day of a few cells.

    Parameters
    ----------
    engine : Engine or Staged
        The bundle's network, on an engine that takes tiles of any size.
    bundle : Bundle
        The bundle.

    Raises
    ------
    BundleError
        The graph has other inputs, outputs, days, halo or state than the manifest says.
    """
    manifest = bundle.manifest
    cells = np.ones((manifest.stride, manifest.stride), bool)
    filler = make_filler(engine, manifest, Grid(45.0, 0.0, cells))
    frames = np.full((len(manifest.window), *cells.shape), 0.2, np.float32)
    frames[manifest.window.index(0)] = np.nan  # only a gap that an observation reaches is computed
    try:
        filler.fill(frames, frames if manifest.takes_rain else None, filler.initial_state())
    except (SeamlessError, MemoryError):
        raise
    except Exception as error:  # each engine has errors of its own, and so has NumPy for what it returns
        reason = " ".join(str(error).split())
        raise BundleError(
            f"{bundle.path}: the network does not do what its manifest says ({type(error).__name__}: {reason[:200]}); "
            "export the bundle again"
        ) from error
