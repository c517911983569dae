"""SHA-256 of files, of fields, and of the settings that a result depends on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def of_file(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_bytes(data: bytes) -> str:
    """Return the sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def of_field(values: NDArray[np.float32]) -> str:
    """Return the sha256 of a field's shape and values; all NaN bit patterns count as the same NaN."""
    canonical = np.where(np.isnan(values), np.float32(np.nan), values).astype("<f4")
    return hashlib.sha256(repr(values.shape).encode() + canonical.tobytes()).hexdigest()


def of_values(*values: Any) -> str:
    """Return the sha256 of plain values (strings, numbers, None, lists and dicts of them)."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
