"""Log lines for a person, a log file and a machine."""

import json
import logging
import re

import pytest

from runtime.common.logs import LogFormat, configure_logging
from tests.conftest import Runtime, Site


@pytest.fixture(autouse=True)
def _no_handler_stays() -> object:
    yield
    root = logging.getLogger()
    for handler in [h for h in root.handlers if type(h).__name__ == "_StderrHandler"]:
        root.removeHandler(handler)


@pytest.mark.parametrize(
    ("form", "line"),
    [
        (LogFormat.TEXT, r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ warning: a file is late\n"),
        (LogFormat.AUTO, r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ warning: a file is late\n"),
    ],
)
def test_a_line_has_time_level_and_message(form: LogFormat, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(form)
    logging.getLogger("runtime.pipeline.day").warning("a file is late")
    assert re.fullmatch(line, capsys.readouterr().err)


def test_json_lines_say_the_same_and_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogFormat.JSON)
    configure_logging(LogFormat.JSON)
    logging.getLogger("service.runner").info("done", extra={"fields": {"exit_code": 0}})
    entry = json.loads(capsys.readouterr().err)
    assert (entry["level"], entry["logger"], entry["message"]) == ("info", "service.runner", "done")
    assert entry["exit_code"] == 0


def test_other_libraries_are_heard_from_warnings_on(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogFormat.TEXT)
    logging.getLogger("elsewhere").info("chatter")
    logging.getLogger("elsewhere").warning("trouble")
    assert capsys.readouterr().err.count("\n") == 1


def test_a_fill_for_machines(window_site: Site, runtime: Runtime) -> None:
    days = ["--from", "2020-04-06", "--to", "2020-04-07", "--config", window_site.file]
    done = runtime("fill", *days, "--log-format", "json", "--json")
    entries = [json.loads(line) for line in done.stderr.splitlines()]
    published = [entry for entry in entries if "tier" in entry]
    assert [entry["date"] for entry in published] == ["2020-04-06", "2020-04-07"]
    assert published[0]["message"].startswith("2020-04-06 published, consolidated")
    assert json.loads(done.stdout)["filled"] == ["2020-04-06", "2020-04-07"]
