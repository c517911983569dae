import pytest

from runtime.config import Earthdata, load_config
from runtime.errors import ConfigError
from runtime.inputs.feeds.http import may_have_token

HOSTS = ("data.gesdisc.earthdata.nasa.gov", "other.org:8443", "127.0.0.1:81", "[::1]", "localhost", "plain.org")


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://data.gesdisc.earthdata.nasa.gov/a.nc4", True),
        ("https://DATA.gesdisc.earthdata.nasa.gov:444/a.nc4", True),
        ("https://other.org:8443/a", True),
        ("https://other.org/a", False),
        ("http://data.gesdisc.earthdata.nasa.gov/a.nc4", False),
        ("http://plain.org/a", False),
        ("https://data.gesdisc.earthdata.nasa.gov.evil.org/a", False),
        ("https://evil-data.gesdisc.earthdata.nasa.gov/a", False),
        ("https://data.gesdisc.earthdata.nasa.gov@evil.org/a", False),
        ("https://evil.org/data.gesdisc.earthdata.nasa.gov", False),
        ("https://evil.org#@data.gesdisc.earthdata.nasa.gov/a", False),
        ("http://127.0.0.1:81/a", True),
        ("http://127.0.0.1:82/a", False),
        ("http://[::1]:5/a", True),
        ("http://localhost:5/a", True),
        ("ftp://localhost/a", False),
        ("https://[/a", False),
        ("https://other.org:99999999/a", False),
    ],
)
def test_the_token_goes_to_listed_hosts_only_and_over_https_only(url: str, may: bool) -> None:
    assert may_have_token(url, HOSTS) is may


def test_only_the_hosts_of_ges_disc_may_have_the_token_unless_told_otherwise() -> None:
    hosts = Earthdata().token_hosts
    assert may_have_token("https://data.gesdisc.earthdata.nasa.gov/data/x.nc4", hosts)
    assert not may_have_token("https://cmr.earthdata.nasa.gov/search", hosts)
    assert not may_have_token("http://127.0.0.1/x", hosts)


@pytest.mark.parametrize("host", ["https://a.org", "a.org/path", "*.org", "", "a b", "me@a.org"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="token_hosts: .* is no host; wanted a name like data.gesdisc"):
        load_config(None, [f'earthdata.token_hosts=["{host}"]'], {})
