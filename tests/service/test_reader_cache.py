"""When the reader of the archive is opened again."""

from __future__ import annotations

import os
import time

from runtime.archive.paths import ArchivePaths
from service.reader_cache import ReaderCache
from tests.conftest import Site


def test_a_catalog_that_may_still_change_unseen_is_read_again(varied: Site) -> None:
    cache, catalog = ReaderCache(varied.config()), ArchivePaths.of(varied.config()).catalog
    long_ago, now = time.time_ns() - 10**10, time.time_ns() + 10**10
    os.utime(catalog, ns=(long_ago, long_ago))
    assert cache.reader() is cache.reader()
    os.utime(catalog, ns=(now, now))
    assert cache.reader() is not cache.reader()
