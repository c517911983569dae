import pytest

from runtime.common.urls import without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://host/a/b.nc4?X-Amz-Signature=abc&token=SECRET", "https://host/a/b.nc4"),
        ("https://me:SECRET@host:8443/a.nc4#SECRET", "https://host:8443/a.nc4"),
        ("sftp://SECRET@host/a", "sftp://host/a"),
        ("sftp://me:SEC/RET@host/a", "sftp://host/a"),
        ("http://me:SEC@RET@host/a", "http://host/a"),
        ("http://me:SEC?RET@host/a", "http://host/a"),
        ("404, url='http://me:SECRET@host/a?b=SECRET'", "404, url='http://host/a"),
        ("failed with url: /data/x.nc4?sig=SECRET (Caused by", "failed with url: /data/x.nc4 (Caused by"),
        ("https://host/a\n?SECRET", "https://host/a"),
        ("http://host:8080/a@b/c.nc4", "http://host:8080/a@b/c.nc4"),
        ("http://[::1]:80/a@b/c.nc4", "http://[::1]:80/a@b/c.nc4"),
        ("s3://bucket/2015/a.nc4 is gone; is it there? no", "s3://bucket/2015/a.nc4 is gone; is it there? no"),
    ],
)
def test_what_gives_access_is_not_shown(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
