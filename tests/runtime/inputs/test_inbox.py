"""Files that a disk has damaged, that are no files, or that are there twice: one of them never stops the rest."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from runtime.archive import database
from runtime.archive.catalog import Catalog
from runtime.archive.paths import ArchivePaths
from runtime.archive.verify import archive_faults
from runtime.common import atomic
from runtime.common.clock import DateRange
from runtime.common.events import RunEvents
from runtime.common.sensors import PRODUCTS
from runtime.errors import ArchiveError, FeedUnreachable
from runtime.inputs.feeds.base import Granule, GranuleFilter
from runtime.inputs.feeds.folder import FolderFeed
from runtime.inputs.listing import FeedListing
from runtime.pipeline.plan import Action
from runtime.pipeline.run import fill_archive
from tests.conftest import DAYS, FillOnce, MakeSite, Site

STORE = "memory://incoming"


@pytest.fixture
def remote_site(make_site: MakeSite) -> Iterator[Site]:
    """A site whose soil moisture must be fetched; the files of ten days have arrived."""
    site = make_site(arrived=False)
    site.file.write_text(site.file.read_text().replace('band = "x"', f'band = "x"\npath = "{STORE}"'))
    _arrive(site, 0, 9)
    yield site
    fsspec.filesystem("memory").rm("/incoming", recursive=True)


def _arrive(site: Site, first: int, last: int) -> None:
    site.bring(first, last)
    for number in range(first, last + 1):
        (file,) = (site.folder / "incoming" / "lprm").glob(f"*_{site.date(number):%Y%m%d}*")
        fsspec.filesystem("memory").pipe(f"/incoming/{file.name}", file.read_bytes())


def _copies(site: Site) -> list[Path]:
    return sorted((site.archive / ".inbox" / "lprm-amsr2").rglob("*.nc4"))


def _undisturbed(make_site: MakeSite, fill_once: FillOnce, *days: tuple[int, int]) -> dict[str, bytes]:
    site = make_site(name="undisturbed", arrived=False)
    site.bring(*days[0])
    fill_once(site)
    for first, last in days[1:]:
        site.bring(first, last)
        site.fill()
    return site.published()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("damage", [_empty, _zero, _flip, Path.unlink])
def test_a_damaged_copy_in_the_inbox_is_fetched_again(
    damage: Callable[[Path], None], remote_site: Site, make_site: MakeSite, fill_once: FillOnce
) -> None:
    assert remote_site.fill().exit_code == 0
    for copy in _copies(remote_site):
        damage(copy)
    _arrive(remote_site, 10, 13)
    outcome = remote_site.fill()
    assert (outcome.exit_code, outcome.message) == (0, "")
    assert remote_site.published() == _undisturbed(make_site, fill_once, (0, 9), (10, 13))
    warned = [line for line in remote_site.said if "the disk has damaged it" in line]
    assert bool(warned) == (damage is not Path.unlink)
    assert len(warned) == len(set(warned))
    assert not list((remote_site.archive / ".inbox").rglob("*.reason.txt"))


def test_only_a_file_that_cannot_be_fetched_again_is_refused(remote_site: Site) -> None:
    remote_site.fill()
    (broken,) = (copy for copy in _copies(remote_site) if f"_{remote_site.date(9):%Y%m%d}" in copy.name)
    _zero(broken)
    # as large as before, so that the listing shows no new version
    fsspec.filesystem("memory").pipe(f"/incoming/{broken.name}", broken.read_bytes())
    _arrive(remote_site, 10, 13)
    outcome = remote_site.fill()
    assert {remote_site.date(n) for n in range(10, 14)} <= set(outcome.filled)
    assert outcome.exit_code == 4
    assert broken.name in outcome.message
    assert outcome.planned[remote_site.date(9)].action is Action.REFUSED
    assert archive_faults(remote_site.config(), lambda items, _: items) == []


def test_a_file_is_on_the_disk_before_the_catalog_says_so(remote_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[Path] = set()
    sync, add = atomic.sync_to_disk, Catalog.add_granule

    def note(path: Path) -> None:
        sync(path)
        synced.add(path)

    def check(catalog: Catalog, granule: object) -> None:
        file = getattr(granule, "file", None)
        if file:
            final = remote_site.archive / ".inbox" / file
            assert {final.with_name(final.name + atomic.PART), final.parent} <= synced
        add(catalog, granule)  # type: ignore[arg-type]

    monkeypatch.setattr(atomic, "sync_to_disk", note)
    monkeypatch.setattr(Catalog, "add_granule", check)
    assert remote_site.fill().exit_code == 0
    assert len(_copies(remote_site)) == 10


@pytest.mark.parametrize("left_bytes", [1000, 0])
def test_a_damaged_copy_that_a_killed_run_left_is_fetched_again(
    left_bytes: int, remote_site: Site, make_site: MakeSite, fill_once: FillOnce
) -> None:
    remote_site.fill()
    left = _copies(remote_site)
    content = [copy.read_bytes() for copy in left]
    shutil.rmtree(remote_site.archive)
    for copy, whole in zip(left, content, strict=True):
        copy.parent.mkdir(parents=True)
        copy.write_bytes(whole[:left_bytes])
    assert remote_site.fill().exit_code == 0
    assert remote_site.published() == _undisturbed(make_site, fill_once, (0, 9))


def test_offline_uses_no_network_even_for_a_copy_that_is_gone(remote_site: Site) -> None:
    remote_site.fill()
    for copy in _copies(remote_site):
        copy.unlink()
    remote_site.day_file(9).unlink()
    day = DateRange(remote_site.date(9), remote_site.date(9))
    outcome = fill_archive(remote_site.config(), day, remote_site.today, RunEvents(), offline=True)
    assert outcome.exit_code == 3
    assert "--offline" in outcome.message
    assert _copies(remote_site) == []


def test_what_was_refused_while_the_clock_was_ahead_is_fetched_again(
    remote_site: Site, make_site: MakeSite, fill_once: FillOnce
) -> None:
    remote_site.fill()
    with Catalog.open(remote_site.paths.catalog) as catalog, catalog.db.transaction() as db:
        db.execute(
            "UPDATE arrival SET refused = 'damaged', field = NULL, file = NULL, arrived_at = '2031-01-01T00:00:00Z'"
        )
    shutil.rmtree(remote_site.archive / ".inbox")
    assert remote_site.fill().exit_code == 0
    assert remote_site.published() == _undisturbed(make_site, fill_once, (0, 9))


def test_a_file_that_cannot_be_fetched_again_is_asked_for_once_and_ends_with_3(remote_site: Site) -> None:
    remote_site.fill()
    for copy in _copies(remote_site):
        copy.unlink()
    _arrive(remote_site, 10, 13)
    asked = []
    fetch = FolderFeed.fetch

    def refuse(feed: FolderFeed, granule: Granule, target: Path) -> None:
        if granule.date == remote_site.date(8):
            asked.append(granule.name)
            raise FeedUnreachable(f"{granule.name}: no answer")
        fetch(feed, granule, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FolderFeed, "fetch", refuse)
        outcome = remote_site.fill()
    assert (outcome.exit_code, len(asked)) == (3, 1)
    assert remote_site.fill().exit_code == 0


def test_offline_and_without_a_start_nothing_is_asked(remote_site: Site) -> None:
    remote_site.file.write_text(remote_site.file.read_text().replace("start = ", "# start = "))
    remote_site.fill()
    remote_site.day_file(9).unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FolderFeed, "oldest", lambda _: pytest.fail("the feed was asked"))
        outcome = fill_archive(remote_site.config(), None, remote_site.today, RunEvents(), offline=True)
    assert (outcome.exit_code, outcome.filled) == (0, [remote_site.date(9)])


@pytest.mark.parametrize("free", [(0,), (1 << 40, 0)], ids=["before a file comes", "once it has come"])
def test_what_publishing_needs_of_the_disk_is_not_filled_with_files(
    free: tuple[int, ...], remote_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = itertools.chain(free, itertools.repeat(0))
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 40, 0, next(left)))
    with pytest.raises(ArchiveError, match="kept for publishing"):
        remote_site.fill(None, None, "earthdata.parallel=1")
    assert [path for path in (remote_site.archive / ".inbox").rglob("*") if path.is_file()] == []


# A copy of an archive


def test_a_fill_in_a_copy_of_an_archive_leaves_the_first_ones_files_alone(remote_site: Site) -> None:
    remote_site.fill()
    copied = Site(remote_site.folder.with_name("copy"), remote_site.source, remote_site.bundle)
    shutil.copytree(remote_site.folder, copied.folder)
    _arrive(copied, 10, 13)
    tight = ("policy.inbox_gib=0", "policy.max_refill_days=0")
    before = _copies(remote_site)
    copied.fill(None, None, *tight)
    assert _copies(remote_site) == before
    assert len(_copies(copied)) < len(before), "the budget holds in the copy"
    moved = Site(remote_site.folder.with_name("moved"), remote_site.source, remote_site.bundle)
    remote_site.folder.rename(moved.folder)
    moved.fill(None, None, *tight)
    assert len(_copies(moved)) < len(before), "and after a move"


def test_an_older_catalog_gets_relative_paths(remote_site: Site) -> None:
    remote_site.fill()
    inbox = ArchivePaths.of(remote_site.config()).inbox
    with sqlite3.connect(remote_site.paths.catalog) as db:
        after = db.execute("SELECT key, file FROM arrival ORDER BY key").fetchall()
        db.execute("UPDATE arrival SET file = ? || '/' || file WHERE file IS NOT NULL", (str(inbox),))
        db.execute("DROP TABLE format")
        db.execute(f"PRAGMA user_version = {_version_before('arrival SET file')}")
    with Catalog.open(remote_site.paths.catalog) as catalog:
        assert all((inbox / file).is_file() for file, _ in catalog.kept_files())
    with sqlite3.connect(remote_site.paths.catalog) as db:
        assert db.execute("SELECT key, file FROM arrival ORDER BY key").fetchall() == after


def _version_before(statement: str) -> int:
    return next(n for n, migration in enumerate(database._MIGRATIONS) if statement in migration)


# Things in a folder that are no granules


def test_what_is_no_file_refuses_one_day_and_nothing_else(make_site: MakeSite) -> None:
    site = make_site()
    feed = site.folder / "incoming" / "lprm"
    pipe = site.lprm(5)
    pipe.unlink()
    os.mkfifo(pipe)
    (feed / "loop").symlink_to(feed)
    (feed / "again").symlink_to(feed)
    (feed / "self.nc4").symlink_to(feed / "self.nc4")
    (feed / "lost+found").mkdir(mode=0)
    (feed / os.fsdecode(b"caf\xe9")).mkdir()
    site.lprm(4).rename(feed / "2020-04-05.file")
    (feed / site.lprm(3).name.replace("20200404", "20200405")).symlink_to("/proc/self/mem")  # opens, but cannot be read
    outcome = site.fill(0, DAYS - 1)
    assert outcome.filled == [site.date(n) for n in range(DAYS) if n not in (4, 5)]
    assert outcome.exit_code == 4
    refused = {day.date: day.reason for day in outcome.planned.values() if day.action is Action.REFUSED}
    assert "is not a regular file" in refused[site.date(5)]
    assert "cannot be read" in refused[site.date(4)]
    assert any("its name is not UTF-8" in line for line in site.said)


def test_days_in_a_folder_that_cannot_be_read_are_not_absent(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site()
    closed = site.folder / "incoming" / "lprm" / "closed"
    closed.mkdir()
    for number in (5, 6):
        site.lprm(number).rename(closed / site.lprm(number).name)
    scan = os.scandir

    def refuse(folder: str) -> object:  # root may read everything
        if folder == str(closed):
            raise PermissionError(13, "Permission denied", folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    outcome = site.fill(0, DAYS - 1, "policy.max_lag_days=0")
    assert outcome.filled == [site.date(n) for n in range(DAYS) if n not in (5, 6)]
    assert (outcome.exit_code, outcome.message) == (
        3,
        f"{closed}: cannot be listed (Permission denied); check its permissions",
    )


def test_a_folder_that_cannot_be_read_does_not_hide_other_months(make_site: MakeSite) -> None:
    site = make_site()
    feed = FolderFeed(str(site.folder / "incoming" / "lprm"), GranuleFilter(PRODUCTS["lprm-amsr2"], "descending"))
    listing = FeedListing(feed, GranuleFilter(PRODUCTS["lprm-amsr2"], "descending"))
    feed.incomplete = "closed: cannot be listed"
    with Catalog.open(site.paths.catalog) as catalog:
        listing.list_days(catalog, site.date(150), site.date(160), offline=False)
        listing.list_days(catalog, site.date(0), site.date(DAYS - 1), offline=False)
    assert listing.newest(site.date(0), site.date(DAYS - 1)) == site.date(DAYS - 1)
    assert listing.unreachable == "closed: cannot be listed"


def test_a_file_is_read_once_its_permissions_are_right(make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site()
    file, open_it = site.lprm(5), Path.open

    def refuse(path: Path, *options: Any, **named: Any) -> object:  # root may read everything
        if path == file:
            raise PermissionError(13, "Permission denied", str(path))
        return open_it(path, *options, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert site.fill(0, DAYS - 1).exit_code == 4
    assert site.fill(0, DAYS - 1).exit_code == 0


def test_a_large_junk_file_is_neither_read_nor_copied(window_site: Site) -> None:
    os.truncate(window_site.lprm(5), 300 << 20)
    outcome = window_site.fill(0, DAYS - 1)
    assert len(outcome.filled) == DAYS - 1
    assert "has 300 MiB, a file of lprm-amsr2 has at most 128" in outcome.message
    assert not (window_site.archive / ".inbox").exists()


def test_a_damaged_file_of_a_local_feed_is_not_copied(window_site: Site) -> None:
    _zero(window_site.lprm(5))
    assert window_site.fill(0, DAYS - 1).exit_code == 4
    assert not (window_site.archive / ".inbox").exists()


# Two files of one day


def test_of_two_files_of_one_name_the_first_path_counts(make_site: MakeSite) -> None:
    published = []
    for name, order in (("one", ("a", "b")), ("two", ("b", "a"))):
        site = make_site(name=name)
        other, file = site.lprm(6).read_bytes(), site.lprm(5)
        content = {"a": file.read_bytes(), "b": other.replace(b"20200407", b"20200406")}
        for folder in order:  # made in another order, they are listed in another order
            (file.parent / folder).mkdir()
            (file.parent / folder / file.name).write_bytes(content[folder])
        file.unlink()
        site.fill(0, DAYS - 1)
        published.append(site.published())
    assert published[0] == published[1]


def test_incomplete_copies_of_rsync_are_no_input(make_site: MakeSite) -> None:
    site = make_site()
    feed, name = site.folder / "incoming" / "lprm", site.lprm(5).name
    half = site.lprm(5).read_bytes()[:5000]
    for place in (".~tmp~", ".rsync-partial"):
        (feed / place).mkdir()
        (feed / place / name.replace("013507", "993507")).write_bytes(half)
    (feed / f".{name}.x1Y2z3").write_bytes(half)
    outcome = site.fill(0, DAYS - 1)
    assert (outcome.exit_code, len(outcome.filled)) == (0, DAYS)
    assert not any("treated as absent" in line for line in site.said)


def test_a_sound_older_file_counts_where_a_newer_one_is_damaged(make_site: MakeSite, fill_once: FillOnce) -> None:
    site, plain = make_site(), make_site(name="plain")
    older = site.lprm(5)
    newer = older.with_name(older.name.replace("013507", "033507"))
    newer.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(3000))
    outcome = site.fill(0, DAYS - 1)
    fill_once(plain, 0, DAYS - 1)
    assert (outcome.exit_code, len(outcome.filled)) == (0, DAYS)
    assert site.published() == plain.published()
    assert any(str(newer) in line and f"{older.name} is used instead" in line for line in site.said)
