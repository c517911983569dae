"""Telling somebody: one message when something goes wrong, one when it is over."""

from __future__ import annotations

import datetime as dt
import json
import threading
import urllib.request

from runtime.archive.catalog import Catalog
from runtime.config import Config
from runtime.errors import ArchiveBusy, InputRefused, InputsMissing, ResultRefused, SeamlessError

EXPECTED = (0, InputsMissing.exit_code, InputRefused.exit_code, ResultRefused.exit_code, ArchiveBusy.exit_code)
"""Exit codes of a run that did what it could; the days it left say why."""

_TIMEOUT_S = 15


class Alerts:
    """Compares what is wrong with what somebody was told, and tells the difference.

    What was told is kept in the catalog: a service that is restarted does not say it again. A message that cannot be
    delivered is tried again at the next look.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._looking = threading.Lock()  # both the end of a run and the clock look
        self.exit_code: int | None = None
        """Of the last run; None before the first."""

    def look(self) -> None:
        """Look, and tell; a service without a webhook prints."""
        with self._looking:
            self._look(dt.datetime.now(dt.UTC))

    def _look(self, now: dt.datetime) -> None:
        try:
            with Catalog.open(self._config.catalog_path) as catalog:
                wrong, known = self._wrong(catalog, now.date()), catalog.incidents()
                for kind in wrong.keys() - known.keys():
                    if self._tell("opened", kind, wrong[kind], now):
                        catalog.open_incident(kind, wrong[kind], now.isoformat(timespec="seconds"))
                for kind in known.keys() - wrong.keys():
                    if not self._is_undecided(kind) and self._tell("closed", kind, known[kind][0], now):
                        catalog.close_incident(kind)
        except SeamlessError as error:
            print(f"warning: alerts could not be looked after: {error}", flush=True)

    def _is_undecided(self, kind: str) -> bool:
        """Whether nobody can say yet that an incident is over: no run has ended since the service started."""
        return kind == "run failed" and self.exit_code in (None, ArchiveBusy.exit_code)

    def _wrong(self, catalog: Catalog, today: dt.date) -> dict[str, str]:
        """Return what is wrong now, by kind."""
        found = {}
        span, limit = catalog.span(), self._config.policy.max_lag_days
        if span and (today - span[1]).days > limit:
            found["lag"] = f"the newest day is {span[1]}, {(today - span[1]).days} days ago; {limit} are normal"
        elif span is None and self.exit_code is not None:
            found["lag"] = f"no day has been published yet; the first run ended with exit code {self.exit_code}"
        for problem in catalog.problems().values():
            if problem.kind in ("refused", "result refused"):
                found[f"{problem.kind} {problem.date}"] = problem.reason
        if self.exit_code is not None and self.exit_code not in EXPECTED:
            found["run failed"] = f"runtime fill ended with exit code {self.exit_code}; its log says why"
        return found

    def _tell(self, event: str, kind: str, message: str, now: dt.datetime) -> bool:
        """Deliver a message; return whether it arrived."""
        text = f"{self._config.archive.path}: {kind}: {message}" if event == "opened" else f"over: {kind}: {message}"
        print(f"alert: {text}", flush=True)
        if not self._config.service.webhook:
            return True
        content = {
            "event": event,
            "kind": kind,
            "message": message,
            "archive": str(self._config.archive.path),
            "at": now.isoformat(timespec="seconds"),
            "text": text,
        }
        request = urllib.request.Request(
            self._config.service.webhook,
            json.dumps(content).encode(),
            {"Content-Type": "application/json", "User-Agent": "seamless-sm"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S):
                return True
        except (OSError, ValueError) as error:
            print(f"warning: the webhook does not take it ({error}); tried again at the next look", flush=True)
            return False
