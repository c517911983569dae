"""A mirror shows what is published, changes nothing twice, and its failures do no harm."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import xarray

from runtime.archive.catalog import Catalog
from runtime.archive.derived import day_files
from runtime.archive.verify import archive_faults
from runtime.common.events import untracked
from runtime.config import Config
from runtime.errors import ArchiveError, ConfigError, MirrorFailed
from runtime.mirror.ledger import mirror_fault
from runtime.mirror.store import MirrorStore
from runtime.mirror.update import MirrorChange, mirror_faults, planned_change, update_mirror
from tests.conftest import FillOnce, MakeSite, Runtime, Site
from tests.support.mirror_reader import Truth, observe

LAST = 3


@pytest.fixture
def site(make_site: MakeSite, fill_once: FillOnce) -> Site:
    """A site with four days."""
    made = make_site(arrived=False)
    made.file.write_text(made.file.read_text() + "[policy]\nmax_lag_days = 30\n")
    made.bring(0, LAST)
    fill_once(made)
    return made


@pytest.fixture
def puts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of objects that are put, and those removed after a minus, in order."""
    names: list[str] = []
    put, remove = MirrorStore.put, MirrorStore.remove

    def noted_put(self: MirrorStore, source: Path, name: str, *rest: Any) -> Any:
        names.append(name)
        return put(self, source, name, *rest)

    def noted_remove(self: MirrorStore, name: str) -> None:
        names.append(f"-{name}")
        remove(self, name)

    monkeypatch.setattr(MirrorStore, "put", noted_put)
    monkeypatch.setattr(MirrorStore, "remove", noted_remove)
    return names


@pytest.fixture
def memory() -> Iterator[str]:
    """Address of a store in memory."""
    yield "memory://mirror/of/this"
    fsspec.filesystem("memory").store.clear()


def _config(site: Site, mirror: str = "mirror", *more: str) -> Config:
    return site.config(f"archive.mirror={mirror}", *more)


def _truth(site: Site) -> Truth:
    truth = Truth()
    with Catalog.open(site.paths.catalog, read_only=True) as catalog:
        truth.note([*day_files(site.archive, catalog).values()])
    return truth


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _faults(config: Config) -> list[str]:
    return mirror_faults(config, untracked)


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize("kind", ["file", "memory"])
def test_a_mirror_shows_what_is_published_and_a_second_update_changes_nothing(
    kind: str, site: Site, memory: str, puts: list[str]
) -> None:
    folder = site.folder / "mirror"
    url = memory if kind == "memory" else f"file://{folder}"
    config = _config(site, url)
    change = update_mirror(config)
    assert sorted(change.sent) == sorted(puts)
    assert change.removed == []
    seen = observe(url)
    assert _truth(site).faults(seen) == []
    assert (len(seen["files"]), len(seen["cube"])) == (LAST + 1, LAST + 1)
    assert _faults(config) == []
    puts.clear()
    assert update_mirror(config) == planned_change(config) == MirrorChange([], 0, [])
    assert puts == []
    if kind == "file":
        here, there = _files(site.archive), _files(folder)
        assert {name: there[name] for name in here if name[0] in "2s"} == {
            n: b for n, b in here.items() if n[0] in "2s"
        }
        assert {name for name in there if name.startswith(".")} == {".catalog/catalog.sqlite"}
        xarray.testing.assert_identical(
            xarray.open_zarr(site.archive / "cube.zarr").load(), xarray.open_zarr(folder / "cube.zarr").load()
        )


def test_objects_are_sent_before_what_names_them(site: Site, puts: list[str]) -> None:
    config = _config(site)
    update_mirror(config)
    documents = ["cube.zarr/zarr.json", "stac/2020/catalog.json", "stac/collection.json", ".catalog/catalog.sqlite"]
    assert puts[-4:] == documents
    days = [name for name in puts if name.startswith("2020/")]
    assert puts[: 2 * len(days)] == [name for day in days for name in (day, f"stac/2020/{Path(day).stem[-8:]}.json")], (
        "each file, and then its item"
    )
    puts.clear()
    site.bring(LAST + 1, LAST + 1)
    site.fill()
    update_mirror(config)
    assert puts[-4:] == documents
    new = site.day_file(LAST + 1).name
    assert f"2020/{new}" in puts
    chunks = [name for name in puts if name.startswith("cube.zarr/") and not name.endswith(".json")]
    assert chunks
    assert all("/c." in name for name in chunks), "the chunks that readers use are left alone"
    cube = xarray.open_zarr(site.folder / "mirror" / "cube.zarr")
    assert cube.sizes["time"] == LAST + 2
    puts.clear()
    site.bring(LAST + 2, LAST + 2)
    site.fill()
    update_mirror(config)
    assert not any("/c." in name for name in puts), "and the names change again"


def test_each_run_updates_the_mirror_but_not_offline(site: Site, runtime: Runtime) -> None:
    mirror = ("--config", site.file, "--set", "archive.mirror=mirror")
    site.bring(LAST + 1, LAST + 1)
    result = runtime("fill", "--offline", *mirror)
    assert result.exit_code == 0, result.output
    assert not (site.folder / "mirror").exists()
    result = runtime("fill", *mirror)
    assert result.exit_code == 0, result.output
    assert "already current" in result.stdout
    assert f"mirror {site.folder / 'mirror'}: " in result.stderr
    assert runtime("mirror", "--check", *mirror).stdout == "the mirror is whole\n"
    assert runtime("mirror", *mirror).stdout == "already current\n"
    assert "the last update did not fail" in runtime("status", *mirror).stdout
    assert "objects" in runtime("doctor", *mirror).stdout
    assert runtime("mirror", "--check", "--dry-run", *mirror).exit_code == 2
    result = runtime("mirror", "--config", site.file)
    assert (result.exit_code, result.stderr.count("set archive.mirror")) == (2, 1)


def test_a_mirror_that_fails_does_no_harm(site: Site) -> None:
    """The store is a port on which nobody listens; its address has a password."""
    site.bring(LAST + 1, LAST + 1)
    config = _config(site, "ftp://me:SECRET@127.0.0.1:9/mirror")
    outcome = site.fill(None, None, f"archive.mirror={config.archive.mirror}")
    assert (outcome.exit_code, outcome.message) == (0, "")
    assert site.day_file(LAST + 1).exists()
    fault = mirror_fault(config)
    assert fault is not None
    assert site.said[-1] == f"warning: {fault}"
    assert fault.startswith("the mirror ftp://127.0.0.1:9/mirror: it cannot be opened (")
    assert "SECRET" not in str(site.said)
    assert mirror_fault(_config(site)) is None, "of another mirror nothing is known"
    with pytest.raises(MirrorFailed):
        update_mirror(config)
    update_mirror(_config(site))
    assert mirror_fault(_config(site)) is None
    assert _faults(_config(site)) == []


def test_a_store_that_is_too_slow_ends_the_update_and_not_the_run(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MirrorStore, "listing", lambda self: self._ask("it cannot be listed", lambda: time.sleep(60)))
    began = time.monotonic()
    outcome = site.fill(None, None, "archive.mirror=mirror", "policy.max_mirror_minutes=0.002")
    assert outcome.exit_code == 0
    assert "not there within 0.12 s (policy.max_mirror_minutes)" in site.said[-1]
    assert time.monotonic() - began < 10


@pytest.mark.slow
def test_an_update_that_ends_anywhere_shows_the_old_days_or_the_new_and_the_next_goes_on(
    site: Site, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _config(site, memory)
    update_mirror(config)
    truth = _truth(site)
    site.bring(LAST + 1, LAST + 1)
    site.fill()  # the new day changes those before it
    truth.note([*_published(site)])
    usual, asked, limit = MirrorStore._ask, 0, 0

    def failing(self: MirrorStore, *arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked > limit:
            raise MirrorFailed("on purpose")
        return usual(self, *arguments)

    monkeypatch.setattr(MirrorStore, "_ask", failing)
    failures, days = 0, set()
    while limit < 400:
        asked, limit = 0, limit + 5
        try:
            update_mirror(config)
        except MirrorFailed:
            seen = observe(memory)
            assert truth.faults(seen) == []
            days.add((len(seen["files"]), len(seen["cube"])))
            failures += 1
        else:
            break
    assert failures > 4
    assert days <= {(LAST + 1, LAST + 1), (LAST + 1, LAST + 2), (LAST + 2, LAST + 2)}
    assert len(observe(memory)["files"]) == LAST + 2
    limit = 10_000
    assert _faults(config) == []


def _published(site: Site) -> Iterator[Any]:
    with Catalog.open(site.paths.catalog, read_only=True) as catalog:
        yield from day_files(site.archive, catalog).values()


def test_a_mirror_that_was_emptied_or_damaged_is_whole_again(site: Site) -> None:
    config, folder = _config(site), site.folder / "mirror"
    update_mirror(config)
    (folder / "stac" / "collection.json").write_text("{}")
    (folder / "2020" / site.day_file(1).name).unlink()
    assert _faults(config) == [
        f"2020/{site.day_file(1).name}: is missing",
        "stac/collection.json: differs from the archive",
    ]
    assert sorted(planned_change(config).sent) == [f"2020/{site.day_file(1).name}", "stac/collection.json"]
    assert len(_faults(config)) == 2, "a dry run changes nothing"
    update_mirror(config)
    assert _faults(config) == []
    shutil.rmtree(folder)
    assert len(update_mirror(config).sent) == len(_files(folder))
    assert _faults(config) == []


def test_what_a_copied_archive_has_sent_is_not_sent_again(site: Site, make_site: MakeSite) -> None:
    url = f"file://{site.folder / 'mirror'}"
    update_mirror(_config(site, url))
    copy = make_site(name="copy")
    shutil.copytree(site.archive, copy.archive, copy_function=shutil.copy)  # with other times of change
    assert planned_change(_config(copy, url)).sent == []
    copy.paths.mirror_ledger.write_bytes(b"no database" * 1000)
    update_mirror(_config(copy, url))
    assert planned_change(_config(copy, url)).sent == []
    assert _faults(_config(copy, url)) == []


def test_a_withdrawn_day_leaves_the_indexes_first(site: Site, runtime: Runtime, puts: list[str]) -> None:
    config = _config(site)
    update_mirror(config)
    puts.clear()
    gone = site.day_file(LAST)
    gone.unlink()
    assert runtime("check", "--rebuild-catalog", "--rebuild-views", "--config", site.file).exit_code == 0
    update_mirror(config)
    removed = [f"-stac/2020/{gone.stem[-8:]}.json", f"-2020/{gone.name}"]
    assert puts[-2:] == removed
    assert puts[-5:-2] == ["stac/2020/catalog.json", "stac/collection.json", ".catalog/catalog.sqlite"]
    assert _truth(site).faults(observe(str(site.folder / "mirror"))) == []
    assert _faults(config) == []


def test_nothing_is_removed_because_the_catalog_was_lost(site: Site) -> None:
    config = _config(site)
    update_mirror(config)
    site.paths.catalog.unlink()
    assert update_mirror(config).removed == []
    assert len([*(site.folder / "mirror" / "2020").iterdir()]) == LAST + 1


def test_the_mirror_of_another_archive_is_left_alone(site: Site, make_site: MakeSite) -> None:
    url = f"file://{site.folder / 'mirror'}"
    update_mirror(_config(site, url))
    other = make_site(name="other", arrived=False)
    other.bring(0, 0)
    before = _files(site.folder / "mirror")
    other.fill(None, None, f"archive.mirror={url}")
    assert "has 3 days that this archive neither has nor has sent" in other.said[-1]
    assert _files(site.folder / "mirror") == before


@pytest.mark.parametrize("mirror", ["archive", "archive/mirror", "."])
def test_a_mirror_in_the_archive_is_refused(mirror: str, site: Site) -> None:
    with pytest.raises(ConfigError, match="overlap"):
        update_mirror(_config(site, mirror))


def test_a_damaged_file_is_not_sent(site: Site) -> None:
    config, file = _config(site), site.day_file(0)
    update_mirror(config)
    there = site.folder / "mirror" / "2020" / file.name
    file.write_bytes(b"damaged")
    assert update_mirror(config).sent == [], "the mirror has the day"
    assert _faults(config) == []
    there.unlink()
    with pytest.raises(ArchiveError, match="is not what was published, and is not sent"):
        update_mirror(config)
    assert not there.exists()


def test_a_copy_of_a_mirror_is_an_archive_again(site: Site) -> None:
    config = _config(site)
    update_mirror(config)
    before = _files(site.archive / "cube.zarr")
    shutil.rmtree(site.archive)
    shutil.copytree(site.folder / "mirror", site.archive, ignore=shutil.ignore_patterns("cube.zarr"))
    outcome = site.fill(None, None, "archive.mirror=mirror")
    assert (outcome.exit_code, outcome.filled) == (0, [])
    assert _files(site.archive / "cube.zarr") == before
    assert archive_faults(config, untracked) == _faults(config) == []


def test_an_archive_without_a_cube_has_none_in_the_mirror(site: Site) -> None:
    update_mirror(_config(site))
    change = update_mirror(_config(site, "mirror", "archive.cube=false"))
    assert change.removed[0] == "cube.zarr/zarr.json"
    assert not any(name.startswith("cube.zarr") for name in _files(site.folder / "mirror"))
