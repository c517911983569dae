"""Where the service's messages go, and how they look."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.runner import LOG_FORMAT_VARIABLE
from service.serve import listening
from tests.conftest import Site
from tests.service.conftest import web


@pytest.fixture
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_logging_as_before")
@pytest.mark.parametrize("by_environment", [False, True])
def test_a_failure_is_one_json_line_on_stderr(tmp_path: Path, by_environment: bool) -> None:
    options = [] if by_environment else ["--log-format", "json"]
    environment = {LOG_FORMAT_VARIABLE: "json" if by_environment else None}
    result = CliRunner().invoke(app, ["--config", str(tmp_path / "none.toml"), *options], env=environment)
    assert (result.exit_code, result.stdout) == (2, "")
    entry = json.loads(result.stderr)
    assert (entry["level"], entry["logger"]) == ("error", "service.cli")
    assert "none.toml" in entry["message"]


def test_the_web_server_logs_as_the_service_does(varied: Site, caplog: pytest.LogCaptureFixture) -> None:
    with web(varied) as application, listening(varied.config(), application) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 10) as connection:
            connection.sendall(b"no request\r\n\r\n")
            connection.recv(1000)
    records = [(record.name, record.levelname) for record in caplog.records]
    assert records == [("uvicorn.error", "WARNING")]
    assert logging.getLogger("uvicorn.error").handlers == logging.getLogger("uvicorn").handlers == []
