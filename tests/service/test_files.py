"""The published files, as the service sends them."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pystac
import pytest

from service.serve import listening
from tests.conftest import Site
from tests.service.conftest import web


@pytest.mark.parametrize(
    "path",
    [
        "../seamless-sm.toml",
        "%2e%2e/seamless-sm.toml",
        "2020/../../seamless-sm.toml",
        "2020/..%2f..%2fseamless-sm.toml",
        "stac/../.catalog/catalog.sqlite",
        ".catalog/catalog.sqlite",
        ".inbox/x",
        "cube.zarr/../.catalog/catalog.sqlite",
        "cube.zarr/%2e%2e/%2e%2e/seamless-sm.toml",
        "//etc/passwd",
        "/etc/passwd",
        "2020",
        "2020/link.nc",
        "stac/link.json",
        "cube.zarr/%00",
        "",
    ],
)
def test_no_path_leaves_what_is_published(path: str, varied: Site, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    links = [varied.archive / "2020" / "link.nc", varied.archive / "stac" / "link.json"]
    for link in links:
        link.symlink_to(secret)
    try:
        with web(varied) as app, listening(varied.config(), app) as address:
            host, port = address.removeprefix("http://").split(":")
            raw = f"GET /archive/{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"  # sent as it is
            answer = _raw(host, int(port), raw)
    finally:
        for link in links:
            link.unlink()
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400"))
    assert b"secret" not in answer
    assert b"[archive]" not in answer


def _raw(host: str, port: int, request: str) -> bytes:
    with socket.create_connection((host, port), 10) as connection:
        connection.sendall(request.encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_published_files_stac_and_cube_can_be_read_from_afar(varied: Site) -> None:
    with web(varied) as app, listening(varied.config(), app) as address:
        day = httpx.get(f"{address}/archive/2020/{varied.day_file(5).name}")
        assert day.content == varied.day_file(5).read_bytes()
        assert httpx.get(f"{address}/api/days/{varied.date(5)}/file").content == day.content
        collection = pystac.Collection.from_file(f"{address}/archive/stac/collection.json")
        item = next(iter(collection.get_items(recursive=True)))
        assert httpx.get(item.assets["data"].get_absolute_href() or "").content.startswith(b"\x89HDF")
        part = httpx.get(f"{address}/archive/cube.zarr/zarr.json", headers={"Range": "bytes=0-9"})
        assert (part.status_code, len(part.content)) == (206, 10)
