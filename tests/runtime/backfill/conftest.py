"""What the tests of the backfill share: a cluster of two workers, and what readers see of an archive."""

from collections.abc import Iterator

import pytest
from distributed import LocalCluster

from runtime.archive.verify import archive_faults
from tests.conftest import DAYS, MakeSite, Site


@pytest.fixture(scope="package")
def cluster() -> Iterator[str]:
    """Address of a cluster of two workers."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0) as started:
        yield started.scheduler_address


@pytest.fixture
def serial(make_site: MakeSite) -> Site:
    """A site that `fill` has filled."""
    site = make_site(name="serial")
    site.fill(0, DAYS - 1)
    return site


def is_whole(site: Site, serial: Site) -> bool:
    """Whether readers see the same bytes at both sites, and the catalog agrees with them."""
    same = seen_by_readers(site) == seen_by_readers(serial)
    return same and archive_faults(site.config(), lambda items, _: items) == []


def seen_by_readers(site: Site) -> dict[str, bytes]:
    """Every file that a reader sees, by path: days, STAC documents, cube."""
    found = [path for path in site.archive.rglob("*") if path.is_file()]
    relative = {str(path.relative_to(site.archive)): path for path in found}
    return {name: path.read_bytes() for name, path in relative.items() if not name.startswith(".")}
