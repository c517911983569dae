"""Filling from the Earthdata feed, with a server on loopback: what is fetched, what is not, and what fails half-way."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from netCDF4 import Dataset

from runtime.archive.catalog import Catalog
from runtime.archive.record import DayRecord
from runtime.common.vocabulary import RAIN_TODAY
from runtime.errors import LoginRefused
from runtime.pipeline.plan import Action
from runtime.pipeline.run import Outcome
from tests.conftest import DAYS, START, FillOnce, MakeSite, Runtime, Site
from tests.runtime.inputs.feeds.conftest import sample
from tests.support.earthdata import TOKEN, Server, serve


def _fill(remote: tuple[Site, Server], *overrides: str) -> Outcome:
    site, server = remote
    return site.fill(None, None, *server.settings(), *overrides)


def test_a_remote_archive_is_the_local_one(
    remote: tuple[Site, Server], make_site: MakeSite, fill_once: FillOnce
) -> None:
    local = make_site(name="local")
    fill_once(local)
    outcome = _fill(remote)
    assert (outcome.exit_code, len(outcome.filled)) == (0, DAYS)
    assert remote[0].published() == local.published()
    before = dict(remote[1].requests)
    assert _fill(remote).filled == []
    again = {name for name, count in remote[1].requests.items() if count != before[name]}
    assert again == {"search"}, "nothing is fetched twice"


@pytest.mark.slow_but_the_first
@pytest.mark.parametrize(
    ("token", "message"), [(None, "no Earthdata log-in: set EARTHDATA_TOKEN"), ("old", "the token has expired")]
)
def test_without_credentials(
    token: str | None, message: str, remote: tuple[Site, Server], monkeypatch: pytest.MonkeyPatch, runtime: Runtime
) -> None:
    site, server = remote
    _fill(remote, "archive.start=2020-04-01", "policy.max_lag_days=99")
    before = site.published()
    site.lprm(5).write_bytes(site.lprm(5).read_bytes() + b" ")
    if token:
        monkeypatch.setenv("EARTHDATA_TOKEN", token)
    else:
        monkeypatch.delenv("EARTHDATA_TOKEN")
    sets = [part for item in server.settings() for part in ("--set", item)]
    result = runtime("fill", "--config", site.file, *sets)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert site.published() == before
    monkeypatch.setenv("EARTHDATA_TOKEN", TOKEN)
    assert _fill(remote).exit_code == 0


@pytest.mark.slow
def test_no_network(remote: tuple[Site, Server], runtime: Runtime) -> None:
    site, server = remote
    _fill(remote)
    before = site.published()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = [*server.settings(), f'earthdata.cmr_url="http://127.0.0.1:{unused.getsockname()[1]}/search/"']
        sets = [part for item in nowhere for part in ("--set", item)]
        result = runtime("fill", "--config", site.file, *sets)
        assert result.exit_code == 3
        assert "cannot be searched" in result.stderr
        assert "check the network, then run again" in result.stderr
        assert site.published() == before
        site.day_file(6).unlink()
        offline = runtime("fill", "--offline", "--config", site.file, *sets)
        assert offline.exit_code == 0, offline.output
    assert site.published() == before, "what had arrived was enough"


@pytest.mark.slow
def test_one_file_that_will_not_come_holds_up_its_day_only(remote: tuple[Site, Server]) -> None:
    site, server = remote
    server.faults[sample(remote, 5)] = [500] * 9
    outcome = _fill(remote, "policy.max_lag_days=0")
    assert outcome.exit_code == 3
    assert "did not come in 3 tries" in outcome.message
    assert outcome.planned[site.date(5)].action == Action.WAIT, "not an outage: the file exists"
    assert len(outcome.filled) == DAYS - 1
    server.faults.clear()
    assert site.date(5) in _fill(remote, "policy.max_lag_days=0").filled


@pytest.mark.slow
@pytest.mark.parametrize("checksums", [True, False])
def test_a_republished_granule_is_noticed_by_content(checksums: bool, remote: tuple[Site, Server]) -> None:
    site, server = remote
    server.checksums = checksums
    _fill(remote)
    before = site.published()
    path = site.lprm(5)
    with Dataset(path, "a") as file:
        file.history = "same field, other bytes"
    asked = server.requests[path.name]
    assert _fill(remote).filled == []
    assert server.requests[path.name] == asked + 1
    assert site.published() == before
    with Dataset(path, "a") as file:
        file.set_auto_maskandscale(False)
        values = file["soil_moisture_x"][:]
        file["soil_moisture_x"][:] = values + (values > 0)
    assert _fill(remote).filled == [site.date(n) for n in range(1, 10)]
    with Catalog.open(site.paths.catalog, read_only=True) as catalog:
        versions = [a.sha256 for a in catalog.granules("lprm-amsr2", site.date(5), site.date(5))]
    assert len(set(versions)) == 3


@pytest.mark.slow
def test_fetch_goes_on_where_it_was(remote: tuple[Site, Server], runtime: Runtime) -> None:
    site, server = remote
    sets = [part for item in server.settings() for part in ("--set", item)]
    days = ["--from", START, "--to", site.date(DAYS - 1)]
    dry = runtime("fetch", *days, "--dry-run", "--config", site.file, *sets)
    assert "28 files to fetch" in dry.stdout
    assert set(server.requests) == {"search"}
    server.faults[sample(remote, 5)] = [500] * 9
    broken = runtime("fetch", *days, "--config", site.file, *sets)
    assert broken.exit_code == 3
    assert "did not come in 3 tries" in broken.stderr
    server.faults.clear()
    server.requests.clear()
    assert runtime("fetch", *days, "--config", site.file, *sets).exit_code == 0
    assert set(server.requests) == {"search", sample(remote, 5)}
    assert "0 files asked for" in runtime("fetch", "--config", site.file, *sets).stdout
    assert len(_fill(remote, "archive.start=2020-04-01").filled) == DAYS
    assert server.requests[sample(remote, 4)] == 0
    listed = runtime("inbox", "--config", site.file)
    assert listed.stdout.count(" current ") == 28


def test_a_day_in_the_middle_of_a_chain_fetches_what_its_replay_reads(make_site: MakeSite) -> None:
    """The days before it are not published; without their files the state would be that of days without observation."""
    local = make_site("sgdsm2-amsr2-x", "local")
    local.fill(6, 6)
    remote = make_site("sgdsm2-amsr2-x", "remote")
    with serve(remote.folder / "incoming") as server:
        outcome = remote.fill(6, 6, *server.settings())
    assert outcome.filled == [remote.date(6)]
    assert remote.published() == local.published()
    assert remote.snapshots() == local.snapshots()


def test_plan_asks_and_fetches_nothing(remote: tuple[Site, Server], runtime: Runtime) -> None:
    site, server = remote
    sets = [part for item in server.settings() for part in ("--set", item)]
    result = runtime("plan", "--config", site.file, *sets)
    assert "14 to fill" in result.stdout
    assert "new (to be fetched)" in result.stdout
    assert set(server.requests) == {"search"}


@pytest.mark.slow
def test_a_refused_file_is_set_aside_and_fetched_once_more_on_demand(
    remote: tuple[Site, Server], runtime: Runtime
) -> None:
    site, server = remote
    sound = site.lprm(5).read_bytes()
    with Dataset(site.lprm(5), "a") as file:
        file.renameVariable("soil_moisture_x", "sm")
    server.checksums = False
    outcome = _fill(remote)
    assert outcome.exit_code == 4
    (aside,) = (site.archive / ".inbox" / "quarantine").glob("20200406-*/*.nc4")
    assert "no variable soil_moisture_x" in aside.with_name(aside.name + ".reason.txt").read_text()
    assert str(aside) in outcome.message
    asked = server.requests[site.lprm(5).name]
    assert _fill(remote).exit_code == 4
    assert server.requests[site.lprm(5).name] == asked, "not on every run"
    stamp = site.lprm(5).stat()
    site.lprm(5).write_bytes(sound)
    os.utime(site.lprm(5), ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    sets = [part for item in server.settings() for part in ("--set", item)]
    fetched = runtime("fetch", "--date", site.date(5), "--config", site.file, *sets, "--set", "earthdata.parallel=1")
    assert fetched.exit_code == 0, fetched.output
    assert site.date(5) in _fill(remote).filled


@pytest.mark.slow
def test_the_inbox_keeps_to_its_budget(remote: tuple[Site, Server]) -> None:
    """Files that the archive may still read are kept; deleted ones are fetched again when they are needed."""
    site, _ = remote
    site.today = site.date(DAYS - 1)
    small = ["policy.inbox_gib=0", "policy.max_refill_days=2", "archive.start=2020-04-01"]
    assert len(_fill(remote, *small).filled) == DAYS
    before = site.published()
    kept = sorted(p.name for p in (site.archive / ".inbox").rglob("*.nc4"))
    assert 0 < len(kept) < 2 * DAYS
    assert not any("20200403" in name for name in kept)
    assert any(f"{site.date(8):%Y%m%d}" in name for name in kept)
    site.day_file(2).unlink()
    assert site.fill(2, 2, *remote[1].settings(), *small).filled == [site.date(2)]
    assert site.published() == before


def test_rain_runs_are_three_collections(remote: tuple[Site, Server]) -> None:
    site, _ = remote
    late = site.imerg(8)
    late.rename(late.with_name(late.name.replace("3B-DAY-L", "3B-DAY-E")))
    _fill(remote)
    rain = DayRecord.from_file(site.day_file(8)).inputs[RAIN_TODAY]
    assert rain
    assert rain.run == "early"


def _command(site: Site, server: Server, *more: str) -> list[str]:
    sets = [part for item in server.settings() for part in ("--set", item)]
    last = str(site.date(DAYS - 1))
    return [
        sys.executable,
        "-m",
        "runtime",
        "fill",
        "--from",
        str(START),
        "--to",
        last,
        "--config",
        str(site.file),
        *sets,
        *more,
    ]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_fills_while_fetching(remote: tuple[Site, Server]) -> None:
    site, server = remote
    inbox = site.folder / "inbox"
    inbox.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(inbox)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        done = subprocess.run(
            _command(site, server, "--set", f"paths.inbox={inbox}"), capture_output=True, text=True, check=False
        )
        assert done.returncode == 1, done.stderr
        assert "cannot be written" in done.stderr
        assert "check permissions and free disk space" in done.stderr
        assert done.stderr.count("\n") == 1
        assert site.published() == {}
        assert not list(inbox.rglob("*.part"))
    finally:
        subprocess.run(["umount", str(inbox)], check=True)
    healed = subprocess.run(_command(site, server, "--set", f"paths.inbox={inbox}"), check=False)
    assert healed.returncode == 0
    assert len(site.published()) == DAYS


@pytest.mark.slow
def test_an_inbox_that_cannot_be_written(remote: tuple[Site, Server]) -> None:
    site, server = remote
    (site.folder / "inbox").write_text("a file where a folder should be")
    done = subprocess.run(
        _command(site, server, "--set", f"paths.inbox={site.folder / 'inbox'}"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "cannot be written (Not a directory); check permissions and free disk space" in done.stderr
    assert done.stderr.count("\n") == 1
    (site.folder / "inbox").unlink()
    assert len(_fill(remote, f"paths.inbox={site.folder / 'inbox'}").filled) == DAYS


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "code"), [(401, 2), (500, 3)])
def test_what_fails_half_way_is_taken_up_again(fault: int, code: int, remote: tuple[Site, Server]) -> None:
    """When the token expires or the server fails after half of the files, none of these is fetched again."""
    site, server = remote
    late = [site.lprm(n).name for n in range(7, DAYS)]
    server.faults = {name: [fault] * 99 for name in late}
    done = subprocess.run(_command(site, server), capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    here = {p.name for p in (site.archive / ".inbox").rglob("*.nc4")}
    assert 0 < len(here) < 2 * DAYS
    server.faults.clear()
    server.requests.clear()
    assert _fill(remote).exit_code == 0
    assert len(site.published()) == DAYS
    assert not here & set(server.requests)


def test_the_token_goes_to_no_host_that_is_not_listed(
    remote: tuple[Site, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a password that netrc has for any host."""
    site, server = remote
    (tmp_path / "netrc").write_text("default login me password secret\n")
    with serve(site.folder / "incoming") as other:
        server.data_url = other.data_url
        outcome = _fill(remote)
        assert outcome.exit_code == 3
        assert "wants a log-in (401), which is sent only with https and to the hosts in earthdata" in outcome.message
        server.data_url = other.store_url  # needs no log-in
        assert len(_fill(remote).filled) == DAYS
        assert (server.log_ins, other.log_ins) == ({}, {})


def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(
    remote: tuple[Site, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "SECRET\nX-Other: 1")
    with pytest.raises(LoginRefused, match="has a line break") as raised:
        _fill(remote)
    assert "SECRET" not in str(raised.value)
    monkeypatch.setenv("EARTHDATA_TOKEN", f"{TOKEN}\n")
    assert _fill(remote).exit_code == 0


@pytest.mark.slow
def test_a_signed_address_is_used_and_not_shown(remote: tuple[Site, Server], runtime: Runtime) -> None:
    site, server = remote
    make, port = server.records, server.server_address[1]

    def signed(name: str, temporal: str | None) -> list[dict[str, Any]]:
        records = make(name, temporal)
        for record in records:
            link = record["umm"]["RelatedUrls"][1]  # type: ignore[index]
            link["URL"] = link["URL"].replace("//", "//me:SECRET@") + "?X-Amz-Signature=SECRET&who=SECRET#SECRET"
        return records

    server.records = signed  # type: ignore[method-assign]
    server.faults = {sample(remote, day): [fault] * 99 for day, fault in ((3, 500), (4, "html"), (5, 404))}
    sets = [part for item in server.settings() for part in ("--set", item)]
    shown = [runtime("fetch", *dry, "--config", site.file, *sets).output for dry in (["--dry-run"], ["--json"])]
    fill = runtime("fill", "--config", site.file, *sets)
    assert fill.exit_code == 3
    shown += [fill.output, runtime("inbox", "--json", "--config", site.file).output]
    assert f"http://127.0.0.1:{port}/data/{sample(remote, 6)}" in shown[0]
    assert not any("SECRET" in text for text in shown)
    assert b"SECRET" not in b"".join(path.read_bytes() for path in site.archive.rglob("catalog*"))
    server.faults.clear()
    assert _fill(remote).exit_code == 0
    assert len(site.published()) == DAYS
    asked = dict(server.requests)
    assert _fill(remote).filled == []
    assert server.requests[sample(remote, 6)] == asked[sample(remote, 6)] == 1, "another signature is no other file"
