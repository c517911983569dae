"""Folders in an object store, with a real server of its interface on loopback."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import fsspec
import pytest
from moto.server import ThreadedMotoServer

from runtime.common.sensors import PRODUCTS
from runtime.errors import FeedUnreachable
from runtime.inputs.feeds.base import GranuleFilter
from runtime.inputs.feeds.folder import FolderFeed
from tests.conftest import DAYS, START, MakeSite

pytestmark = pytest.mark.slow
WANTED = GranuleFilter(PRODUCTS["lprm-amsr2"], "descending")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of an object store with an empty bucket, `satellite`; log-in and address are in the environment."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "SECRET", "DEFAULT_REGION": "us-east-1"}
    settings["ENDPOINT_URL"] = f"http://{host}:{port}"
    for name, value in settings.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    boto3.client("s3").create_bucket(Bucket="satellite")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    yield settings["ENDPOINT_URL"]
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


def _put(folder: Path) -> None:
    client = boto3.client("s3")
    for file in sorted(folder.iterdir()):
        client.upload_file(str(file), "satellite", f"lprm/{file.name}")


def test_days_are_filled_from_an_object_store(store: str, make_site: MakeSite) -> None:
    site, here = make_site(), make_site(name="here")
    _put(site.folder / "incoming" / "lprm")
    assert FolderFeed("s3://satellite/lprm", WANTED).oldest() == START
    outcome = site.fill(None, None, "feeds.soil_moisture.0.path=s3://satellite/lprm")
    assert (outcome.exit_code, len(outcome.filled)) == (0, DAYS)
    here.fill()
    assert site.published() == here.published()


def test_a_store_without_the_bucket_or_that_does_not_answer(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FeedUnreachable) as raised:
        FolderFeed("s3://nowhere/lprm", WANTED).granules()
    assert "s3://nowhere/lprm" in str(raised.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(FeedUnreachable) as raised:
        FolderFeed("s3://satellite/lprm", WANTED).granules()
    assert "SECRET" not in str(raised.value)
