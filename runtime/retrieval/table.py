"""Write retrievals as a table, CSV or Parquet, a row as soon as it is known."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from runtime.common.atomic import move_into_place, part_file
from runtime.errors import ConfigError, UsageError
from runtime.retrieval.from_archive import ArchiveValue
from runtime.retrieval.predict import Retrieval

ENDINGS = (".csv", ".parquet")
"""Endings of the files that `retrieval_table` can write."""
COLUMNS = ("sensor_id", "time", "lat", "lon", "prediction", "label")
ARCHIVE_COLUMNS = ("archive", "archive_flag", "archive_sigma")
_ROWS = 1024
"""Rows of a row group of a Parquet file."""

Row = Callable[[Retrieval, ArchiveValue | None], None]
"""Adds a row."""


def require_writable(out: Path | None) -> None:
    """Refuse a table that cannot be written, before anything is computed.

    Raises
    ------
    UsageError
        The ending of its name is none of `ENDINGS`.
    ConfigError
        It needs a package that is not installed.
    """
    if out is not None and out.suffix.lower() not in ENDINGS:
        raise UsageError(f"{out}: wanted a name that ends in {' or '.join(ENDINGS)}")
    if out is not None and out.suffix.lower() == ".parquet":
        _import_pyarrow()


@contextmanager
def retrieval_table(out: Path | None, *, archive: bool) -> Iterator[Row]:
    """Write a table, completely or not at all; without a file, print it as CSV.

    Parameters
    ----------
    out : Path, optional
        The file, CSV or Parquet by its ending.
    archive : bool
        Whether it has the columns of an archive.

    Yields
    ------
    callable
        Called with each retrieval, and the archive's value at its place.

    Raises
    ------
    UsageError, ConfigError
        See `require_writable`.
    ArchiveError
        The file cannot be written.
    """
    require_writable(out)
    columns = (*COLUMNS, *(ARCHIVE_COLUMNS if archive else ()))
    if out is None:
        yield _csv_rows(sys.stdout, columns)
        return
    with part_file(out) as part:
        if out.suffix.lower() == ".csv":
            with part.open("w", newline="") as file:
                yield _csv_rows(file, columns)
        else:
            with _parquet_rows(part, columns) as add:
                yield add
    move_into_place(out)


def _csv_rows(file: TextIO, columns: tuple[str, ...]) -> Row:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)

    def add(found: Retrieval, archive: ArchiveValue | None) -> None:
        writer.writerow([_text(each) for each in _cells_of(found, archive)])

    return add


def _cells_of(found: Retrieval, archive: ArchiveValue | None) -> list[Any]:
    place = found.place
    row: list[Any] = [place.sensor, place.time, place.latitude, place.longitude, found.value, place.label]
    if archive is not None:
        row += [archive.value, None if archive.flag is None else archive.flag.name.lower(), archive.sigma]
    return [None if isinstance(each, float) and math.isnan(each) else each for each in row]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6f}"
    return value if isinstance(value, str) else f"{value:%Y-%m-%dT%H:%M:%SZ}"


def _import_pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            f"Parquet needs pyarrow ({error}); pip install 'seamless-sm[retrieval]', or write .csv"
        ) from error
    return pyarrow


@contextmanager
def _parquet_rows(path: Path, columns: tuple[str, ...]) -> Iterator[Row]:
    arrow = _import_pyarrow()
    types = dict.fromkeys(columns, arrow.float32()) | {
        "sensor_id": arrow.string(),
        "time": arrow.timestamp("ms", "UTC"),
        "archive_flag": arrow.string(),
    }
    schema = arrow.schema([(name, types[name]) for name in columns])
    rows: list[dict[str, Any]] = []
    with arrow.parquet.ParquetWriter(path, schema) as writer:

        def write() -> None:
            writer.write_table(arrow.Table.from_pylist(rows, schema))
            rows.clear()

        def add(found: Retrieval, archive: ArchiveValue | None) -> None:
            rows.append(dict(zip(columns, _cells_of(found, archive), strict=True)))
            if len(rows) == _ROWS:
                write()

        yield add
        write()
