"""Runs a day: reads the inputs, fills the gaps with an exported network, publishes to the archive.

In a notebook: `fill_day` and `open_archive`; for pytesmo: `SeamlessTs`.
"""

import os
from typing import TYPE_CHECKING, Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime 1.31 reports its use to its maker otherwise

if TYPE_CHECKING:
    from runtime.api import fill_day
    from runtime.archive.dataset import open_archive
    from runtime.archive.timeseries import SeamlessTs

__version__ = "0.1.0"
__all__ = ["SeamlessTs", "__version__", "fill_day", "open_archive"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is: ``runtime --help`` needs neither xarray nor an engine."""
    if name in ("SeamlessTs", "fill_day", "open_archive"):
        from runtime import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
