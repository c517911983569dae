"""A server on loopback that behaves like the Climate Data Store, as far as its own client uses it.

The files below a folder are its days. `CdsServer.faults` says which wrong answers it gives.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.serving import in_a_thread

KEY = "01234567-89ab-cdef-0123-456789abcdef"
DATASET = "satellite-soil-moisture"
QUOTA = "Number queued requests for this dataset is temporarily limited. Please configure your scripts accordingly"
LICENCE = "Not all the required licences have been accepted; please visit the page of the dataset to accept them."

_FIXED = {
    "variable": ["surface_soil_moisture_volumetric", "root_zone_soil_moisture_volumetric"],
    "type_of_sensor": ["passive", "combined"],
    "time_aggregation": ["daily", "monthly"],
}


class CdsServer(ThreadingHTTPServer):
    """Queue requests for the files of a folder.

    Attributes
    ----------
    faults : dict of str to list of int or str
        The next answers to a question, one after the other. Questions are ``constraints``, ``submit``, ``job``,
        ``result``, ``login`` and ``download``; answers are an HTTP status, or ``quota``, ``licence``, ``invalid``,
        ``failed``, ``silent``, ``drip``, ``redirect``, ``html``, ``odd``, ``bomb``, ``huge``, ``cut``,
        ``short`` or ``expired``.
    polls : int
        How often the state of a request is asked for before it is ready.
    record : tuple of str
        Record and version of the days.
    renamed : dict of str to str
        New names of keywords.
    zips : list of bytes
        What the next requests give instead of the files.
    asked : Counter of str
        Number of questions of each kind.
    requests : list of dict
        The requests that were queued.
    leads_elsewhere : bool
        Whether the links of a request lead to another server.
    keys : dict of str to set of str
        The keys that came, by path.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _CdsHandler)
        self.folder = folder
        self.faults: dict[str, list[int | str]] = {}
        self.polls, self.record, self.renamed = 2, ("icdr", "v202312"), dict[str, str]()
        self.more_offers: list[dict[str, list[str]]] = []
        self.zips: list[bytes] = []
        self.asked: Counter[str] = Counter()
        self.requests: list[dict[str, Any]] = []
        self.keys: dict[str, set[str]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.elsewhere, self.leads_elsewhere = "http://localhost:1", False
        self.is_closing = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing about clients that close the connection."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def settings(self) -> list[str]:
        """Return overrides that make a configuration use this server, with short waits."""
        return [
            'feeds.soil_moisture.0.kind="cds"',
            f'cds.url="{self.url}/api"',
            'cds.request={type_of_sensor="passive"}',
            "cds.wait_s=0.01",
            "cds.poll_s=0.02",
            "cds.timeout_s=2",
            "cds.attempts=3",
        ]

    def files(self) -> dict[dt.date, Path]:
        found = {}
        for path in sorted(self.folder.rglob("*.nc*")):
            match = re.search(r"[-_](\d{4})(\d\d)(\d\d)\d{6}", path.name)
            assert match
            found[dt.date(*map(int, match.groups()))] = path
        return found

    def offers(self) -> list[dict[str, list[str]]]:
        """Return the list of what goes together, an entry for each month."""
        record, version = self.record
        months: dict[tuple[str, str], list[str]] = {}
        for date in self.files():
            months.setdefault((f"{date:%Y}", f"{date:%m}"), []).append(f"{date:%d}")
        entries = [
            _FIXED | {"type_of_record": [record], "version": [version], "year": [y], "month": [m], "day": days}
            for (y, m), days in months.items()
        ]
        return [{self.renamed.get(k, k): v for k, v in e.items()} for e in [*entries, *self.more_offers]]

    def make_zip(self, inputs: dict[str, Any]) -> bytes:
        if self.zips:
            return self.zips.pop(0)
        files = self.files()
        dates = [dt.date(int(inputs["year"][0]), int(inputs["month"][0]), int(day)) for day in inputs["day"]]
        return zip_of({files[date].name: files[date].read_bytes() for date in dates if date in files})


def zip_of(members: dict[str, bytes]) -> bytes:
    """Return a zip with these files."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return body.getvalue()


class _CdsHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CdsServer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._route("GET", {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._route("POST", json.loads(body) if body else {})

    def _route(self, method: str, body: dict[str, Any]) -> None:
        url = urlsplit(self.path)
        key = self.headers.get("PRIVATE-TOKEN")
        if key:
            self.server.keys.setdefault(url.path, set()).add(key)
        kinds = {
            rf"GET /api/catalogue/v1/collections/{DATASET}": self._collection,
            rf"GET /api/catalogue/v1/collections/{DATASET}/constraints.json": self._constraints,
            r"POST /api/profiles/v1/account/verification/pat": self._login,
            rf"GET /api/retrieve/v1/processes/{DATASET}": lambda: self._json(200, {"id": DATASET, "links": []}),
            rf"POST /api/retrieve/v1/processes/{DATASET}/execution": lambda: self._submit(body["inputs"]),
            r"GET /api/retrieve/v1/jobs": lambda: self._jobs(parse_qs(url.query)),
            r"GET /api/retrieve/v1/jobs/([\w-]+)": self._job,
            r"GET /api/retrieve/v1/jobs/([\w-]+)/results": self._results,
            r"GET /store/([\w-]+)\.zip": self._download,
        }
        for pattern, answer in kinds.items():
            match = re.fullmatch(pattern, f"{method} {url.path}")
            if match:
                is_private = "/retrieve/" in url.path or "/profiles/" in url.path
                if is_private and key != KEY:
                    self._problem(401, "authentication required", "Operation not permitted: invalid key")
                else:
                    answer(*match.groups())
                return
        self._problem(404, "not found", url.path)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _json(self, status: int, document: object) -> None:
        self._answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _problem(self, status: int, title: str, detail: str) -> None:
        self._json(status, {"type": "problem", "title": title, "status": status, "detail": detail})

    def _fault(self, question: str) -> int | str | None:
        """Count a question; give a wrong answer that is the same for all of them, or return the next one."""
        self.server.asked[question] += 1
        waiting = self.server.faults.get(question)
        fault = waiting.pop(0) if waiting else None
        if isinstance(fault, int):
            headers = {"Retry-After": "1"} if fault == 429 else {}
            self._answer(fault, b'{"title": "busy", "detail": "try later"}', headers)
        elif fault in ("silent", "drip"):
            if fault == "drip":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n")
            while not self.server.is_closing.wait(0.05):
                self.wfile.write(b" " if fault == "drip" else b"")
            self.close_connection = True
        elif fault == "redirect":
            self._answer(302, b"", {"Location": f"{self.server.elsewhere}/stolen"})
        elif fault == "odd":
            self._json(200, ["not", "that"])
        elif fault == "html":
            self._answer(200, b"<html>down for maintenance</html>")
        elif fault == "bomb":
            self._answer(200, b'"' + b" " * (65 << 20) + b'"')
        else:
            return fault
        return "answered"

    def _collection(self) -> None:
        self._json(200, {"id": DATASET, "links": [], "title": "Soil moisture"})

    def _constraints(self) -> None:
        if self._fault("constraints") is None:
            self._json(200, self.server.offers())

    def _login(self) -> None:
        if self._fault("login") is None:
            self._json(200, {"id": 1, "email": "someone@example.org"})

    def _submit(self, inputs: dict[str, Any]) -> None:
        fault = self._fault("submit")
        if fault == "answered":
            return
        if fault == "licence":
            self._problem(403, "required licences not accepted", LICENCE)
            return
        known = {self.server.renamed.get(name, name) for name in (*_FIXED, "type_of_record", "version")}
        unknown = sorted(set(inputs) - known - {"year", "month", "day", "format"})
        if fault == "invalid" or unknown:
            self._problem(400, "invalid request", f"Unknown keyword: {', '.join(unknown) or 'variable'}")
            return
        name = f"job-{len(self.server.jobs)}"
        self.server.requests.append(inputs)
        state = {"quota": "rejected", "failed": "failed"}.get(str(fault), "")
        self.server.jobs[name] = {"inputs": inputs, "polls": 0, "state": state}
        self._json(201, self._describe(name))

    def _describe(self, name: str) -> dict[str, Any]:
        job, here = self.server.jobs[name], f"{self.server.url}/api/retrieve/v1/jobs/{name}"
        if self.server.leads_elsewhere:
            here = f"{self.server.elsewhere}/api/retrieve/v1/jobs/{name}"
        status = job["state"] or (
            "successful" if job["polls"] >= self.server.polls else "running" if job["polls"] else "accepted"
        )
        links = [{"rel": "self", "href": here}, {"rel": "monitor", "href": here}]
        return {
            "jobID": name,
            "processID": DATASET,
            "status": status,
            "links": [*links, {"rel": "results", "href": f"{here}/results"}] if status == "successful" else links,
            "metadata": {"request": {"ids": job["inputs"]}, "log": []},
        }

    def _jobs(self, query: dict[str, list[str]]) -> None:
        known = [self._describe(name) for name in reversed(self.server.jobs)]
        found = [job for job in known if job["status"] in query["status"]]
        self._json(200, {"jobs": found[: int(query["limit"][0])], "links": []})

    def _job(self, name: str) -> None:
        if self._fault("job") != "answered":
            document = self._describe(name)
            self.server.jobs[name]["polls"] += 1
            self._json(200, document)

    def _results(self, name: str) -> None:
        job = self.server.jobs[name]
        fault = self._fault("result")
        if fault == "answered":
            return
        if job["state"] == "rejected":
            self._json(400, {"type": "job rejected", "title": "The job has been rejected", "traceback": QUOTA})
        elif job["state"] == "failed":
            self._json(400, {"type": "job failed", "title": "The job has failed", "traceback": "ValueError: no data"})
        else:
            body = job.setdefault("zip", self.server.make_zip(job["inputs"]))
            size = 1 << 40 if fault == "huge" else len(body)
            if fault == "expired":
                self._problem(404, "results expired", name)
                return
            asset = {"href": f"{self.server.url}/store/{name}.zip", "file:size": size, "type": "application/zip"}
            self._json(200, {"asset": {"value": asset}})

    def _download(self, name: str) -> None:
        body = self.server.jobs[name]["zip"]
        fault = self._fault("download")
        if fault == "cut":
            self._answer(200, body[: len(body) // 2], {"Content-Length": str(len(body))})
            self.close_connection = True
        elif fault == "short":  # a proxy that ends too early and gives the shorter length
            self._answer(200, body[: len(body) // 2])
        elif fault != "answered":
            self._answer(200, body)


@contextmanager
def serve_cds(folder: Path) -> Iterator[CdsServer]:
    """Run a server until the end of the block."""
    server = CdsServer(folder)
    with in_a_thread(server):
        try:
            yield server
        finally:
            server.is_closing.set()
