"""The key of the CDS: where it is read, where it is sent, and what is said of one that cannot be used."""

from pathlib import Path

import pytest

from runtime.config import Cds
from runtime.errors import FeedUnreachable, LoginRefused
from runtime.inputs.feeds.cds import CdsFeed
from tests.conftest import Site
from tests.runtime.inputs.feeds.conftest import CDS_DAYS, cds_feed, first_day
from tests.support.cds import KEY, CdsServer, serve_cds


@pytest.mark.parametrize(
    ("key", "file", "message"),
    [
        ("wrong", "", r"does not accept the key \(401\); copy the one at http://127.0.0.1:\d+/profile into CDSAPI_KEY"),
        ("", "", "no CDS key: set CDSAPI_KEY, or write it into ~/.cdsapirc"),
        ("two words", "", "has a space, a line break or a letter in it"),
        (
            "",
            f"url: https://elsewhere.example.org/api\nkey: {KEY}\n",
            "its key is for elsewhere.example.org, and is not",
        ),
    ],
)
def test_a_key_that_cannot_be_used(
    key: str, file: str, message: str, cds: tuple[Site, CdsServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, server = cds
    monkeypatch.setenv("CDSAPI_KEY", key)
    (tmp_path / "cdsapirc").write_text(file)
    feed = cds_feed(server)
    for call in (lambda: feed.check_login({}), lambda: feed.fetch(first_day(feed), tmp_path / "got")):
        with pytest.raises(LoginRefused, match=message) as raised:
            call()
        assert KEY not in str(raised.value)
        assert "two words" not in str(raised.value)


def test_the_key_is_read_from_the_file_of_the_client_and_goes_to_one_server_only(
    cds: tuple[Site, CdsServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, server = cds
    monkeypatch.delenv("CDSAPI_KEY")
    (tmp_path / "cdsapirc").write_text(f"url: {server.url}/api\nkey: {KEY}\n")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password SECRET\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    feed = cds_feed(server)
    assert feed.check_login({}) == "key accepted"
    feed.fetch(first_day(feed), tmp_path / "got")
    assert set().union(*server.keys.values()) == {KEY}
    assert not any(path.startswith(("/store", "/api/catalogue")) for path in server.keys)


def test_the_key_is_not_sent_where_an_answer_leads(cds: tuple[Site, CdsServer], tmp_path: Path) -> None:
    _, server = cds
    with serve_cds(tmp_path) as other:
        server.elsewhere, server.leads_elsewhere = other.url, True
        feed = cds_feed(server)
        with pytest.raises(FeedUnreachable, match=f"leads to {other.url}/.*, where the key is not sent"):
            feed.fetch(first_day(feed), tmp_path / "got")
        server.leads_elsewhere, server.faults["login"] = False, ["redirect"]
        with pytest.raises(FeedUnreachable, match=f"redirected to {other.url}/stolen"):
            feed.check_login({})
        assert other.keys == {}


def test_the_key_is_not_sent_without_https() -> None:
    feed = CdsFeed(Cds(url="http://cds.example.org/api", request={"type_of_sensor": "passive"}, attempts=1), CDS_DAYS)
    with pytest.raises(FeedUnreachable, match="leads to http://cds.example.org/.*where the key is not sent"):
        feed.check_login({})
