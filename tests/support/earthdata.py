"""A server on loopback that behaves like NASA Earthdata: it can be searched like CMR, and sends files like an archive.

The files below a folder are its granules. `Server.faults` says which wrong answers it gives.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.serving import in_a_thread

TOKEN = "a-good-token"
PAGE = 2000
"""Largest number of records that CMR returns at once."""

LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Earthdata Login</title></head><body>Log in</body></html>"
EULA_PAGE = b"<html><body>You have not authorized the application NASA GESDISC DATA ARCHIVE</body></html>"
NOT_FOUND_PAGE = b"<!DOCTYPE html><html><body>The requested granule cannot be served right now</body></html>"

_COLLECTIONS = {
    "LPRM_AMSR2_D_SOILM3": re.compile(r"LPRM-AMSR2_L3_D_"),
    "LPRM_AMSR2_A_SOILM3": re.compile(r"LPRM-AMSR2_L3_A_"),
    "GPM_3IMERGDE": re.compile(r"3B-DAY-E\."),
    "GPM_3IMERGDL": re.compile(r"3B-DAY-L\."),
    "GPM_3IMERGDF": re.compile(r"3B-DAY\."),
    "SPL3SMP": re.compile(r"SMAP_L3_SM_P_\d"),
    "SPL3SMP_E": re.compile(r"SMAP_L3_SM_P_E_\d"),
}


class Server(ThreadingHTTPServer):
    """Serve the files of a folder.

    Attributes
    ----------
    faults : dict of str to list of int or str
        The next answers for a file name, one after the other: an HTTP status, or ``slow``, ``in parts``,
        ``truncated``, ``short``, ``html``, ``json``, ``login`` or ``redirect``; or, also for searches, whose name is
        ``search``, ``silent``, ``drip``, ``drip headers``, ``loop``, ``later`` or ``gzip bomb``.
    requests : Counter of str
        Number of requests for each file, and for ``search``.
    asked_at : list of float
        When each request came, seconds of a monotonic clock.
    more : list of Path
        Names of granules that searches return although there is no file.
    checksums : bool
        Whether records have a checksum.
    data_url : str
        Address of the files in the records.
    store_url : str
        Address of the files that a redirect leads to.
    more_links : list of dict
        Links of each record before that to the file; ``{name}`` in them is the file's name.
    search_answer : tuple of (str, bytes)
        Number of hits and document that searches return instead of the records.
    log_ins : dict of str to set of str
        What came as ``Authorization``, by the path that was asked for.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.checksums = folder, True
        self.more: list[Path] = []
        self.faults: dict[str, list[int | str]] = {}
        self.requests: Counter[str] = Counter()
        self.asked_at: list[float] = []
        self.data_url, self.store_url = f"{self.url}/data", f"{self.url}/store"
        self.search_answer: tuple[str, bytes] | None = None
        self.more_links: list[dict[str, str]] = []
        self.log_ins: dict[str, set[str]] = {}
        self.is_closing = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing about clients that close the connection."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def settings(self, feeds: int = 1) -> list[str]:
        """Return overrides that make a configuration use this server, with short waits."""
        return [
            *(f'feeds.soil_moisture.{n}.kind="earthdata"' for n in range(feeds)),
            'feeds.precipitation.kind="earthdata"',
            f'earthdata.cmr_url="{self.url}/search/"',
            f'earthdata.edl_host="127.0.0.1:{self.server_address[1]}"',
            f'earthdata.token_hosts=["127.0.0.1:{self.server_address[1]}"]',
            "earthdata.wait_s=0.01",
            "earthdata.timeout_s=2",
            "earthdata.attempts=3",
        ]

    def records(self, name: str, temporal: str | None) -> list[dict[str, object]]:
        files = sorted(
            p
            for p in [*self.folder.rglob("*.nc*"), *self.folder.rglob("*.h5"), *self.more]
            if _COLLECTIONS[name].match(p.name)
        )
        first, last = temporal.split(",") if temporal else ("0", "9")
        return [self._record(name, p) for p in files if first[:10] <= _day(p) <= last[:10]]

    def _record(self, collection: str, path: Path) -> dict[str, object]:
        digest = hashlib.md5(path.read_bytes() if path.exists() else b"").hexdigest()
        file: dict[str, object] = {"Name": path.name}
        if self.checksums:
            file["Checksum"] = {"Value": digest, "Algorithm": "MD5"}
        return {
            "meta": {
                "concept-id": f"G{path.name}",
                "revision-id": int(path.stat().st_mtime_ns) if path.exists() else 1,
            },
            "umm": {
                "GranuleUR": path.name,
                "CollectionReference": {"ShortName": collection, "Version": "001"},
                "DataGranule": {"ArchiveAndDistributionInformation": [file]},
                "TemporalExtent": {"RangeDateTime": {"BeginningDateTime": f"{_day(path)}T00:00:00Z"}},
                "RelatedUrls": [
                    *({k: v.format(name=path.name) for k, v in link.items()} for link in self.more_links),
                    {"URL": f"https://disc/opendap/{path.name}.html", "Type": "USE SERVICE API"},
                    {"URL": f"{self.data_url}/{path.name}", "Type": "GET DATA"},
                ],
            },
        }


def _day(path: Path) -> str:
    match = re.search(r"[_.](\d{4})(\d\d)(\d\d)", path.name)
    assert match
    return "-".join(match.groups())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if "Authorization" in self.headers:
            self.server.log_ins.setdefault(url.path, set()).add(self.headers["Authorization"])
        if url.path.startswith("/search/granules"):
            self._search(parse_qs(url.query))
        else:
            self._file(url.path)

    def _fault(self, name: str) -> int | str | None:
        self.server.requests[name] += 1
        self.server.asked_at.append(time.monotonic())
        waiting = self.server.faults.get(name)
        return waiting.pop(0) if waiting else None

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def _misbehave(self, fault: int | str | None) -> bool:
        """Answer as no server should, without end; return whether that was asked for."""
        parts = {
            "silent": (b"", b""),
            "drip headers": (b"HTTP/1.1 200 OK\r\nX-More: ", b"1"),
            "drip": (b"HTTP/1.1 200 OK\r\nCMR-Hits: 1\r\nContent-Length: 9999999\r\n\r\n\x89HDF\r\n\x1a\n", b" "),
        }
        if fault in parts:
            begin, part = parts[str(fault)]
            self.wfile.write(begin)
            while not self.server.is_closing.wait(0.05):
                self.wfile.write(part)
            self.close_connection = True
        elif fault == "loop":
            self._answer(302, b"", {"Location": self.path})
        elif fault == "later":
            self._answer(503, b"", {"Retry-After": "3600"})
        elif fault == "gzip bomb":
            self._answer(200, gzip.compress(bytes(300 << 20), 1), {"Content-Encoding": "gzip", "CMR-Hits": "1"})
        else:
            return False
        return True

    def _search(self, query: dict[str, list[str]]) -> None:
        fault = self._fault("search")
        if self._misbehave(fault):
            return
        if self.server.search_answer:
            hits, document = self.server.search_answer
            self._answer(200, document, {"CMR-Hits": hits, "Content-Type": "application/json"})
            return
        if isinstance(fault, int):
            self._answer(fault, b'{"errors": ["busy"]}', {"Retry-After": "1"} if fault == 429 else {})
            return
        temporal = next(iter(query.get("temporal[]", query.get("temporal", []))), None)
        found = self.server.records(query["short_name"][0], temporal)
        size = min(int(query.get("page_size", ["10"])[0]), PAGE)
        begin = int(self.headers.get("CMR-Search-After", "0"))
        items = found[begin : begin + size]
        headers = {"CMR-Hits": str(len(found)), "Content-Type": "application/json"}
        if items:
            headers["CMR-Search-After"] = str(begin + len(items))
        self._answer(200, json.dumps({"hits": len(found), "items": items}).encode(), headers)

    def _file(self, path: str) -> None:
        name = path.rsplit("/", 1)[-1]
        if not path.startswith("/store/"):
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._answer(401, b"HTTP Basic: Access denied")
                return
            fault = self._fault(name)
        else:
            fault = None
        file = next(self.server.folder.rglob(name), None)
        body = file.read_bytes() if file else b""
        if self._misbehave(fault):
            return
        if isinstance(fault, int):
            page = EULA_PAGE if fault == 403 else b"no"
            self._answer(fault, page, {"Retry-After": "1"} if fault == 429 else {})
        elif fault == "redirect":
            self._answer(302, b"", {"Location": f"{self.server.store_url}/{name}"})
        elif fault in ("html", "login", "json"):
            self._answer(200, {"html": NOT_FOUND_PAGE, "login": LOGIN_PAGE}.get(fault, b'{"error": "not available"}'))
        elif fault == "truncated":
            self._answer(200, body[: len(body) // 2], {"Content-Length": str(len(body))})
            self.close_connection = True
        elif fault == "short":  # a proxy that ends too early and gives the shorter length
            self._answer(200, body[: len(body) // 2])
        elif fault == "slow":
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:100])
            self.wfile.flush()
            time.sleep(4)
            self.close_connection = True
        elif fault == "in parts":  # 2.6 seconds, never silent for long
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for number in range(130):
                self.wfile.write(body[len(body) * number // 130 : len(body) * (number + 1) // 130])
                time.sleep(0.02)
        elif file is None:
            self._answer(404, b"not here")
        else:
            self._answer(200, body)


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """Run a server until the end of the block."""
    server = Server(folder)
    with in_a_thread(server):
        try:
            yield server
        finally:
            server.is_closing.set()
