"""Folders in an object store, with a real server of its interface on loopback."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from runtime.common.sensors import PRODUCTS
from runtime.errors import FeedUnreachable
from runtime.inputs.feeds.base import GranuleFilter
from runtime.inputs.feeds.folder import FolderFeed
from tests.conftest import DAYS, START, MakeSite
from tests.support.s3 import SECRET, S3Server, serve_s3

pytestmark = pytest.mark.slow
WANTED = GranuleFilter(PRODUCTS["lprm-amsr2"], "descending")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    with serve_s3(monkeypatch, tmp_path) as server:
        yield server


def test_days_are_filled_from_an_object_store_that_loses_connections(store: S3Server, make_site: MakeSite) -> None:
    site, here = make_site(), make_site(name="here")
    client = boto3.client("s3")
    for file in sorted((site.folder / "incoming" / "lprm").iterdir()):
        client.upload_file(str(file), store.bucket, f"lprm/{file.name}")
    url = f"s3://{store.bucket}/lprm"
    assert FolderFeed(url, WANTED).oldest() == START
    store.share = 0.1
    outcome = site.fill(None, None, f"feeds.soil_moisture.0.path={url}")
    assert (outcome.exit_code, len(outcome.filled)) == (0, DAYS), outcome.message
    here.fill()
    assert site.published() == here.published()


def test_a_store_without_the_bucket_or_that_does_not_answer(store: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FeedUnreachable, match="s3://nowhere/lprm"):
        FolderFeed("s3://nowhere/lprm", WANTED).granules()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(FeedUnreachable) as raised:
        FolderFeed(f"s3://{store.bucket}/lprm", WANTED).granules()
    assert SECRET not in str(raised.value)
