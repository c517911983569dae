"""A reader of a mirror that knows nothing of this software: STAC by its links, the cube by xarray.

As a program, it reads the mirror again and again until its standard input ends, and writes what it saw as JSON lines.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import xarray

from runtime.archive.cube import DayFile, packed_fields
from runtime.archive.variables import VARIABLES


def observe(url: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what a mirror shows: digests of the files by day, and of the cube's values by day and mark."""
    options = options or {}
    file_system, root = fsspec.core.url_to_fs(url, **options)
    file_system.invalidate_cache()

    def document(path: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(file_system.cat_file(f"{root}/stac/{path.replace('./', '')}"))
        return content

    files = {}
    for year in (link["href"] for link in document("collection.json")["links"] if link["rel"] == "child"):
        folder = year.rsplit("/", 1)[0]
        for item in (link["href"] for link in document(year)["links"] if link["rel"] == "item"):
            data = document(f"{folder}/{item}")["assets"]["data"]
            content = file_system.cat_file(f"{root}/{data['href'].removeprefix('../../')}")
            stamp = item.strip("./")[:8]
            files[stamp] = hashlib.sha256(content).hexdigest(), data["file:checksum"].removeprefix("1220")
    return {"files": files, "cube": _observe_cube(url, options)}


def _observe_cube(url: str, options: dict[str, Any]) -> dict[str, dict[str, str]]:
    store = url if "://" in url else str(Path(url))
    cube = xarray.open_zarr(f"{store}/cube.zarr", mask_and_scale=False, storage_options=options or None).load()
    names = [name for name in VARIABLES if name in cube]
    return {
        str(int(mark)): {name: _digest(cube[name].values[day]) for name in names}
        for day, mark in enumerate(cube["source_file"].values)
        if mark
    }


def _digest(values: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]


class Truth:
    """Every version of every day that an archive has had, and how readers may see it."""

    def __init__(self) -> None:
        self.files: dict[str, set[str]] = {}
        self.values: dict[str, dict[str, str]] = {}

    def note(self, published: list[DayFile]) -> None:
        """Take note of what is published now."""
        for day in published:
            self.files.setdefault(day.path.stem[-8:], set()).add(day.sha256)
            if str(day.mark) not in self.values:
                fields = packed_fields(day)
                self.values[str(day.mark)] = {name: _digest(field) for name, field in fields.items()}

    def faults(self, seen: dict[str, Any]) -> list[str]:
        """Return what a reader should not have seen: files that were never published, and days that are mixed."""
        found = [
            f"{stamp}: the file is none that was published"
            for stamp, pair in seen["files"].items()
            if not {*pair} <= self.files.get(stamp, set())
        ]
        for mark, values in seen["cube"].items():
            wanted = self.values.get(mark)
            if wanted is None or any(values[name] != wanted[name] for name in wanted if name in values):
                found.append(f"cube: the day with mark {mark} has not the values of its file")
        if not seen["files"] or not seen["cube"]:
            found.append("there is nothing")
        return found


def main(url: str, options: str) -> None:
    """Read a mirror until standard input ends."""
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    while not ended.is_set():
        began = time.time()
        try:
            seen: dict[str, Any] = observe(url, json.loads(options))
        except Exception as error:
            seen = {"error": repr(error)}
        print(json.dumps({"began": began, "ended": time.time(), **seen}), flush=True)
        ended.wait(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
