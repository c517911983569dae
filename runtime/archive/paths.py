"""Where an archive keeps what: every path below its folder is named here, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runtime.common.atomic import PART
from runtime.config import Config

_YEAR = "[0-9][0-9][0-9][0-9]"


@dataclass(frozen=True)
class ArchivePaths:
    """The folders and files of one archive."""

    root: Path
    """The archive's folder; daily files lie below it, in a folder a year."""
    state: Path
    """Folder of the state snapshots."""
    inbox: Path
    """Folder of fetched input files."""
    engines: Path
    """Folder of built TensorRT engines."""

    @classmethod
    def of(cls, config: Config) -> ArchivePaths:
        """Return the paths of the configured archive."""
        root, set_by_hand = config.archive.path, config.paths
        return cls(
            root,
            set_by_hand.state or root / ".state",
            set_by_hand.inbox or root / ".inbox",
            set_by_hand.engines or root / ".engines",
        )

    @classmethod
    def below(cls, root: Path) -> ArchivePaths:
        """Return the paths of an archive whose folders are all in their usual places."""
        return cls(root, root / ".state", root / ".inbox", root / ".engines")

    @property
    def catalog(self) -> Path:
        """The catalog, a SQLite file."""
        return self.root / ".catalog" / "catalog.sqlite"

    @property
    def mirror_ledger(self) -> Path:
        """What was sent to the mirror, a SQLite file."""
        return self.catalog.with_name("mirror.sqlite")

    @property
    def lock(self) -> Path:
        """The file that a run locks while it writes."""
        return self.catalog.with_name("lock")

    @property
    def service_lock(self) -> Path:
        """The file that a service locks while it runs for the archive."""
        return self.catalog.with_name("service")

    @property
    def refused(self) -> Path:
        """Folder of filled days that a gate refused."""
        return self.root / ".refused"

    @property
    def staging(self) -> Path:
        """Folder of the days that a backfill has computed and not yet published."""
        return self.root / ".staging"

    @property
    def transfers(self) -> Path:
        """Folder of the transfers between sensors."""
        return self.root / ".transfer"

    @property
    def cube(self) -> Path:
        """The Zarr store with the days a second time, chunked for time series."""
        return self.root / "cube.zarr"

    @property
    def climatology(self) -> Path:
        """Folder of the mean soil moisture of each day of the calendar."""
        return self.root / "climatology"

    @property
    def stac(self) -> Path:
        """Folder of the STAC documents."""
        return self.root / "stac"

    def day_files(self) -> list[Path]:
        """Return every published daily file, sorted by date: names of every layout end with it."""
        return sorted(self.root.glob(f"{_YEAR}/*.nc"), key=lambda path: (path.stem[-8:], path.name))

    def snapshots(self) -> list[Path]:
        """Return every state snapshot, sorted by name."""
        return sorted(self.state.glob(f"{_YEAR}/*.safetensors"))

    def unfinished(self) -> list[Path]:
        """Return the files that a killed run left half written: of days, STAC, transfers and the climatology."""
        return [part for folder in (self.root, self.stac) for part in folder.glob(f"{_YEAR}/*{PART}")] + [
            *self.transfers.glob(f"*{PART}"),
            *self.climatology.glob(f"*{PART}"),
        ]


def superseded_path(day_file: Path, revision: int) -> Path:
    """Return where a replaced daily file is kept.

    Parameters
    ----------
    day_file : Path
        The daily file, relative to the archive's folder.
    revision : int
        The revision that is replaced.

    Returns
    -------
    Path
        Relative to the archive's folder.
    """
    return Path(".superseded", day_file.parent, f"{day_file.stem}.r{revision}{day_file.suffix}")
