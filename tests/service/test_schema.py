"""The types and constants that the page shares with the service, and where they come from."""

from __future__ import annotations

import re

from runtime.archive.variables import QUALITY, SOURCE, VARIABLES
from runtime.output.colours import SCALES
from service.calendar import CalendarState
from service.maps import LayerName
from service.routes.files import STATIC
from service.schema import TYPES_FILE, openapi_schema, types_javascript


def test_the_pages_types_are_those_of_the_service() -> None:
    expected = types_javascript(openapi_schema())
    assert TYPES_FILE.read_text() == expected, "run `python -m service.schema` and commit static/schema.js"


def test_every_json_answer_has_a_schema() -> None:
    without = [
        f"{method} {path}"
        for path, methods in openapi_schema()["paths"].items()
        for method, operation in methods.items()
        for code, response in operation["responses"].items()
        if code in ("200", "202") and response.get("content", {}).get("application/json", {}).get("schema") == {}
    ]
    assert without == []


def test_the_layers_are_the_published_variables() -> None:
    assert list(LayerName) == [*SCALES, "flag", QUALITY.name]
    derived = {LayerName.SOIL_MOISTURE_ANOMALY}
    assert {*LayerName, SOURCE.name} - derived == set(VARIABLES), "bits of sensors have no colours"


def test_the_style_sheet_has_every_state_of_the_calendar() -> None:
    styles = (STATIC / "page.css").read_text()
    for state in CalendarState:
        assert re.search(rf"^\.{state.name.lower()} \{{", styles, re.MULTILINE), state


def test_the_scripts_write_no_shared_value_by_hand() -> None:
    """Layers come from `LayerName`, letters of the calendar from `CalendarState`, both of schema.js."""
    layers = "|".join(set(LayerName) - {LayerName.FLAG})
    by_hand = re.compile(rf"\b({layers})\b|['\"](flag|[{''.join(CalendarState)}])['\"]")
    for script in STATIC.glob("*.js"):
        if script != TYPES_FILE:
            assert by_hand.findall(script.read_text()) == [], script.name
