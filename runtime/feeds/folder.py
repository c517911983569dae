"""A folder as a feed: any path fsspec knows (a local folder, s3://, sftp://, ...)."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem

from runtime.errors import ConfigError
from runtime.feeds import Granule
from runtime.products import ORBITS, PRODUCTS, RUNS


class FolderFeed:
    """The granules of one product in a folder and its sub-folders, recognised by their names.

    Parameters
    ----------
    url : str
        The folder, as fsspec writes it.
    product : str
        A key of `PRODUCTS`.
    keep : Path
        Where files of a remote folder are kept; a local folder is read in place.
    orbit : str, optional
        ``ascending`` or ``descending``.
    runs : sequence of str
        IMERG runs that may be used, best first.
    first, last : date, optional
        Days this feed is used for; the sensor's era unless given.
    """

    def __init__(
        self,
        url: str,
        product: str,
        keep: Path,
        *,
        orbit: str | None = None,
        runs: Sequence[str] = (),
        first: dt.date | None = None,
        last: dt.date | None = None,
    ) -> None:
        self._product = PRODUCTS[product]
        self._orbit, self._runs = orbit, list(runs)
        self._first, self._last = first or self._product.start, last or self._product.end
        self._url, self._keep = url, keep
        self._fs, self._root = fsspec.core.url_to_fs(url)

    def granules(self) -> dict[dt.date, list[Granule]]:
        """List the folder.

        Raises
        ------
        ConfigError
            The folder is not there.
        """
        if not self._fs.isdir(self._root):
            raise ConfigError(f"the feed's folder {self._url} does not exist; create it or set the feed's path")
        found: dict[dt.date, list[Granule]] = {}
        for location, info in self._fs.find(self._root, detail=True).items():
            granule = self._granule(location, info)
            if granule:
                found.setdefault(granule.date, []).append(granule)
        for granules in found.values():
            granules.sort(key=lambda g: g.name, reverse=True)
            if self._runs:
                granules.sort(key=lambda g: self._runs.index(g.run or ""))
        return found

    def _granule(self, location: str, info: dict[str, object]) -> Granule | None:
        name = location.rsplit("/", 1)[-1]
        match = self._product.pattern.match(name)
        if not match:
            return None
        groups = match.groupdict()
        try:
            date = dt.datetime.strptime(groups["date"], "%Y%m%d").date()
        except ValueError:
            return None
        run = RUNS[groups["run"]] if "run" in groups else None
        if self._orbit and groups["orbit"] not in ORBITS[self._orbit]:
            return None
        if run and run not in self._runs:
            return None
        if (self._first and date < self._first) or (self._last and date > self._last):
            return None
        changed = next((info[key] for key in ("mtime", "ETag", "LastModified", "last_modified") if key in info), "")
        return Granule(date, self._product.name, name, location, f"{info.get('size')} {changed}", run)

    def fetch(self, granule: Granule) -> Path:
        """Return a local file; one of a remote folder is downloaded once per version."""
        if isinstance(self._fs, LocalFileSystem):
            return Path(granule.location)
        version = hashlib.sha256(f"{granule.location} {granule.version}".encode()).hexdigest()[:12]
        target = self._keep / granule.product / f"{granule.date:%Y}" / version / granule.name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".part")
            self._fs.get_file(granule.location, str(partial))
            partial.replace(target)
        return target
