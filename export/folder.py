"""Write a bundle's folder completely or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.bundle import MANIFEST
from runtime.common import digest
from runtime.errors import BundleError
from runtime.manifest import BundleManifest


@contextmanager
def new_bundle_folder(out: Path, overwrite: bool) -> Iterator[Path]:
    """Yield an empty folder that becomes `out` at the end; after an error it is deleted.

    Parameters
    ----------
    out : Path
        Folder of the bundle.
    overwrite : bool
        Whether an existing bundle is replaced.

    Yields
    ------
    Path
        The folder to write to.

    Raises
    ------
    BundleError
        `out` exists, and `overwrite` is False.
    """
    if out.exists() and not overwrite:
        raise BundleError(f"{out} exists; choose another --out or add --overwrite")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        folder = Path(scratch) / "bundle"
        folder.mkdir()
        yield folder
        if out.exists():
            shutil.rmtree(out)
        folder.replace(out)


def write_manifest(folder: Path, manifest: BundleManifest) -> None:
    """Write a bundle's manifest, with the hashes of all other files of the folder."""
    files = {file.name: digest.of_file(file) for file in sorted(folder.iterdir()) if file.name != MANIFEST}
    manifest = manifest.model_copy(update={"files": files})
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
