"""The page's types and constants, made from the OpenAPI schema of the application.

``python -m service.schema`` writes ``static/schema.js``; a test fails when that file is out of date.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from runtime.common.clock import today
from runtime.config import Config, Service
from service.metrics import ArchiveCollector
from service.routes.files import STATIC
from service.runner import Runner
from service.schedule import FillSchedule
from service.web import application

TYPES_FILE = STATIC / "schema.js"

_HEADER = """\
// Types and constants of what the service answers, made from its OpenAPI schema by `python -m service.schema`.
// Do not edit: change service/models.py and run that command again.
"""
_OF_FASTAPI = ("HTTPValidationError", "ValidationError")
_TYPES = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_LINE_LENGTH = 120


def openapi_schema() -> dict[str, Any]:
    """Return the OpenAPI schema of the application with all its routes."""
    config, runner = Config(service=Service(token=SecretStr("any"))), Runner([])
    schedule = FillSchedule(config, runner)
    return application(config, runner, schedule, ArchiveCollector(config, runner, today)).openapi()


def types_javascript(schema: dict[str, Any]) -> str:
    """Return the types and constants of a schema as a JavaScript module.

    Parameters
    ----------
    schema : dict
        An OpenAPI schema.

    Returns
    -------
    str
        A JSDoc ``@typedef`` for each component; for an enumeration also a frozen object with its members, and for each
        entry of a property's ``x-constants`` a frozen constant.
    """
    components = schema["components"]["schemas"]
    blocks = [
        block
        for name, component in sorted(components.items())
        if name not in _OF_FASTAPI
        for block in (_enumeration(name, component) if "enum" in component else _object(name, component))
    ]
    return "\n".join([_HEADER, *blocks])


def _enumeration(name: str, component: dict[str, Any]) -> Iterator[str]:
    """Yield the type of an enumeration and its members."""
    values = component["enum"]
    union = " | ".join(json.dumps(value) for value in values)
    yield _comment([*_lines(component.get("description", "")), f"@typedef {{{union}}} {name}"])
    yield _constant(name, {re.sub(r"\W", "_", value).upper(): value for value in values})


def _object(name: str, component: dict[str, Any]) -> Iterator[str]:
    """Yield the type of an object, and the constants of its properties."""
    properties = component.get("properties", {})
    lines = [*_lines(component.get("description", "")), f"@typedef {{Object}} {name}"]
    for key, value in properties.items():
        label = key if key in component.get("required", ()) else f"[{key}]"
        lines += _lines(f"@property {{{_type(value)}}} {label} {value.get('description', '')}", "  ")
    yield _comment(lines)
    for value in properties.values():
        for constant, content in value.get("x-constants", {}).items():
            yield _constant(constant, content)


def _type(value: dict[str, Any]) -> str:
    """Return the JSDoc type of a property."""
    if "$ref" in value:
        return str(value["$ref"]).rpartition("/")[2]
    if "anyOf" in value:
        return " | ".join(_type(choice) for choice in value["anyOf"])
    if value["type"] == "array":
        item = _type(value["items"])
        return f"({item})[]" if " " in item else f"{item}[]"
    if value["type"] == "object":
        return f"Record<string, {_type(value['additionalProperties'])}>"
    return _TYPES[value["type"]]


def _constant(name: str, content: Any) -> str:
    """Return the definition of a frozen constant."""
    if isinstance(content, dict):
        entries = "".join(f"  {key}: {json.dumps(value)},\n" for key, value in content.items())
        return f"export const {name} = Object.freeze({{\n{entries}}});\n"
    if isinstance(content, list) and isinstance(content[0], dict):
        entries = "".join(f"  {json.dumps(value)},\n" for value in content)
        return f"export const {name} = Object.freeze([\n{entries}]);\n"
    value = json.dumps(content)
    return f"export const {name} = {f'Object.freeze({value})' if isinstance(content, list) else value};\n"


def _comment(lines: list[str]) -> str:
    """Return lines as a JSDoc comment."""
    return "\n".join(["/**", *(f" * {line}".rstrip() for line in lines), " */\n"])


def _lines(text: str, indent: str = "") -> list[str]:
    """Return text as lines that fit into a comment; further lines are indented."""
    return textwrap.wrap(" ".join(text.split()), _LINE_LENGTH - len(" * "), subsequent_indent=indent)


def write_types(file: Path = TYPES_FILE) -> None:
    """Write the module of types and constants."""
    file.write_text(types_javascript(openapi_schema()))


if __name__ == "__main__":
    write_types()
