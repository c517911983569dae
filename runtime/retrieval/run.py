"""Retrieve all examples of some files into a table."""

from __future__ import annotations

import glob
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.bundle import RetrievalBundle
from runtime.common.events import Progress
from runtime.common.text import counted
from runtime.engines.select import EngineSettings
from runtime.errors import InputRefused, UsageError
from runtime.retrieval.from_archive import ArchiveValues
from runtime.retrieval.predict import open_retrieval_engines, retrievals
from runtime.retrieval.table import require_writable, retrieval_table
from runtime.retrieval.tfrecord import BadRecord

logger = logging.getLogger(__name__)

_SHARDS = "*.tfrecord*"
"""Names of the TFRecord files of a folder."""


@dataclass(frozen=True)
class RetrievalCounts:
    """How many examples a run had."""

    done: int
    """Examples with a value."""
    labelled: int
    """Those of them that have a label."""
    refused: int
    """Records that could not be used."""
    engine: str
    """What computed the network."""
    seconds: float


def find_shards(names: Sequence[Path]) -> list[Path]:
    """Return the files that names stand for: a file, all TFRecord files of a folder, or those that fit a pattern.

    Raises
    ------
    UsageError
        A name stands for no file.
    """
    found = []
    for name in names:
        files = [name] if name.is_file() else sorted(name.glob(_SHARDS)) if name.is_dir() else _matching(name)
        if not files:
            raise UsageError(f"{name}: no such file, no folder with {_SHARDS}, and no pattern of files that are there")
        found += files
    return found


def _matching(pattern: Path) -> list[Path]:
    return [path for path in map(Path, sorted(glob.glob(str(pattern)))) if path.is_file()]  # noqa: PTH207  # absolute too


def retrieve_to(
    out: Path | None,
    bundle: RetrievalBundle,
    shards: Sequence[Path],
    settings: EngineSettings,
    *,
    archive: Path | None = None,
    most: int | None = None,
    progress: Progress | None = None,
) -> RetrievalCounts:
    """Retrieve the examples of some files into a table; log each record that cannot be used, and go on.

    Parameters
    ----------
    out : Path, optional
        The table, CSV or Parquet; without it CSV is printed.
    bundle : RetrievalBundle
        The network.
    shards : sequence of Path
        TFRecord files.
    settings : EngineSettings
        Which engine computes the network.
    archive : Path, optional
        Folder of an archive, whose value at each place and day is added.
    most : int, optional
        Number of records after which to stop.
    progress : callable, optional
        Called with the number of bytes read, and those of all files.

    Returns
    -------
    RetrievalCounts
        How many examples there were.

    Raises
    ------
    UsageError, ConfigError, BundleError
        The table, the engine or the bundle cannot be used.
    InputsMissing, ArchiveError
        The archive has no day, or is damaged.
    """
    require_writable(out)
    values = ArchiveValues(archive) if archive else None
    engines = open_retrieval_engines(bundle, settings)
    done = labelled = refused = 0
    began = time.monotonic()
    with retrieval_table(out, archive=values is not None) as add:
        for found in retrievals(engines, bundle.manifest, shards, most, progress):
            if isinstance(found, BadRecord):
                logger.warning(str(found))
                refused += 1
                continue
            add(found, values.at(found.place) if values else None)
            done += 1
            labelled += found.place.label is not None
    return RetrievalCounts(done, labelled, refused, engines[0].name, time.monotonic() - began)


def require_all_used(counts: RetrievalCounts) -> None:
    """Refuse a run some of whose records could not be used.

    Raises
    ------
    InputRefused
        There are such records; the table has all others.
    """
    if counts.refused:
        raise InputRefused(
            f"{counted(counts.refused, 'record')} could not be used, as the lines above say; the table has the other "
            f"{counted(counts.done, 'example')}"
        )
