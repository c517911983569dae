"""Where log messages go: one line each on stderr, for a person, a log file or a machine.

The packages log with ``logging.getLogger(__name__)``; results go to stdout, everything else comes here.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import re
import sys
from enum import StrEnum
from typing import TextIO

_ERROR = re.compile(r"\S+Z error: ")
"""Begin of a line of `LogFormat.TEXT` that reports an error."""

_PACKAGES = ("runtime", "service", "training", "export")


class LogFormat(StrEnum):
    """How a log line looks."""

    AUTO = "auto"
    """On a terminal the message alone, elsewhere as `TEXT`."""
    TEXT = "text"
    """The time (UTC) and the message."""
    JSON = "json"
    """One JSON object a line, with ``time``, ``level``, ``logger`` and ``message``."""


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at that moment: a progress bar, or a test, may have replaced it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class MessageFormatter(logging.Formatter):
    """``warning: message``, in one line; messages that only inform have no prefix."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the message without its traceback, line breaks as in Python's source."""
        return super().formatMessage(record).replace("\n", "\\n").replace("\r", "\\r")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        text = super().format(record)
        return text if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {text}"


class _TextFormatter(MessageFormatter):
    """The time, then as `MessageFormatter`."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{_time(record)} {super().format(record)}"


class _JsonFormatter(logging.Formatter):
    """One JSON object; the fields given as ``extra={"fields": {...}}`` are part of it."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        entry = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        return json.dumps(entry | {"message": super().format(record)} | fields, default=str)


def _time(record: logging.LogRecord) -> str:
    moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def logged_error(line: str) -> str:
    """Return the message of a line that `configure_logging` has written, if it is an error; empty for other lines."""
    if line.startswith("{"):
        try:
            entry = json.loads(line)
        except ValueError:
            return ""
        return str(entry.get("message", "")) if entry.get("level") == "error" else ""
    return line.partition(" error: ")[2].strip() if _ERROR.match(line) else ""


def configure_logging(form: LogFormat = LogFormat.AUTO) -> None:
    """Send the log of this process to stderr; a second call replaces the first.

    Parameters
    ----------
    form : LogFormat
        How the lines look.
    """
    if form is LogFormat.AUTO and not sys.stderr.isatty():
        form = LogFormat.TEXT
    formatter = {LogFormat.AUTO: MessageFormatter, LogFormat.TEXT: _TextFormatter, LogFormat.JSON: _JsonFormatter}
    handler = _StderrHandler()
    handler.setFormatter(formatter[form]())
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _StderrHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for package in _PACKAGES:
        logging.getLogger(package).setLevel(logging.INFO)
