"""Folders over SFTP, with a real server on loopback: G-Portal's way of giving files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.common.sensors import PRODUCTS
from runtime.errors import FeedUnreachable, LoginRefused
from runtime.inputs.feeds.base import GranuleFilter
from runtime.inputs.feeds.folder import FolderFeed
from tests.conftest import DAYS, START, MakeSite, Site
from tests.support.sftp import PASSWORD, serve_sftp

WANTED = GranuleFilter(PRODUCTS["lprm-amsr2"], "descending")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory without keys and known hosts, and the password in the environment."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FSSPEC_SFTP_PASSWORD", PASSWORD)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path / "home"


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site()


def test_days_are_filled_from_an_sftp_server(site: Site, home: Path) -> None:
    with serve_sftp(site.folder / "incoming") as server:
        server.known(home)
        outcome = site.fill(None, None, f"feeds.soil_moisture.0.path={server.url}/lprm")
        assert (outcome.exit_code, len(outcome.filled)) == (0, DAYS)
        feed = FolderFeed(f"{server.url}/lprm", WANTED)
        assert feed.oldest() == START
        port = server.port
    with serve_sftp(site.folder / "incoming", port) as server:
        server.known(home)
        assert len(FolderFeed(f"{server.url}/lprm", WANTED).granules()) == DAYS, "an ended connection is not used again"


@pytest.mark.parametrize("password", ["wrong-SECRET", None])
def test_a_password_that_is_not_accepted(
    password: str | None, site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FSSPEC_SFTP_PASSWORD")
    if password:
        monkeypatch.setenv("FSSPEC_SFTP_PASSWORD", password)
    with serve_sftp(site.folder / "incoming") as server:
        server.known(home)
        with pytest.raises(LoginRefused, match="does not accept the log-in .*set FSSPEC_SFTP_PASSWORD") as raised:
            FolderFeed(f"{server.url}/lprm", WANTED).granules()
    assert "SECRET" not in str(raised.value)


def test_a_server_that_is_not_known_is_not_given_the_password(site: Site, home: Path) -> None:
    with serve_sftp(site.folder / "incoming") as server:
        with pytest.raises(FeedUnreachable, match=r"is not in ~/.ssh/known_hosts.*ssh-keyscan -p \d+ 127.0.0.1"):
            FolderFeed(f"{server.url}/lprm", WANTED).granules()
    with serve_sftp(site.folder / "incoming", server.port) as other:
        server.known(home)
        with pytest.raises(FeedUnreachable, match="has another key than in ~/.ssh/known_hosts"):
            FolderFeed(f"{other.url}/lprm", WANTED).granules()


@pytest.mark.slow
def test_a_file_over_sftp_that_is_too_large_is_stopped(site: Site, home: Path, tmp_path: Path) -> None:
    with serve_sftp(site.folder / "incoming") as server:
        server.known(home)
        feed = FolderFeed(f"{server.url}/lprm", WANTED)
        granule = feed.granules()[START][0]
        os.truncate(site.lprm(0), 200 << 20)
        with pytest.raises(FeedUnreachable, match="has more than 128 MiB"):
            feed.fetch(granule, tmp_path / "got")
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize(
    ("url", "module", "extra"), [("sftp://me:SECRET@host/lprm", "paramiko", "sftp"), ("s3://bucket/lprm", "s3fs", "s3")]
)
def test_a_missing_package_is_named_with_what_to_install(url: str, module: str, extra: str) -> None:
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from runtime.common.sensors import PRODUCTS\nfrom runtime.errors import ConfigError\n"
        "from runtime.inputs.feeds.base import GranuleFilter\nfrom runtime.inputs.feeds.folder import FolderFeed\n"
        f"try: FolderFeed({url!r}, GranuleFilter(PRODUCTS['lprm-amsr2'])).granules()\n"
        "except ConfigError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert f"pip install 'seamless-sm[{extra}]'" in said
    assert said.count("\n") == 1
    assert "SECRET" not in said
