"""Write the pages and figures that are generated from the code when the site is built."""

from __future__ import annotations

import importlib
import inspect
from enum import Enum
from pathlib import Path
from typing import Any

import figures
import typer.main
from pydantic import BaseModel
from typer.cli import get_docs_for_click

from runtime.config import Config

PROGRAMS = (
    ("runtime", "runtime.cli"),
    ("python -m service", "service.cli"),
    ("python -m export", "export.cli"),
    ("python -m training", "training.cli"),
)


def command_lines() -> str:
    """Return the reference of all commands, made from their `--help`."""
    parts = ["# Command line", "", "Every command has `--help` with examples.", ""]
    for name, module in PROGRAMS:
        command = typer.main.get_command(importlib.import_module(module).app)
        context = command.make_context(name, [], resilient_parsing=True)
        for each in getattr(command, "commands", {}).values():
            each.short_help = str(each.help).partition("\n\n")[0]  # the list of commands cuts a longer help
        parts.append(
            get_docs_for_click(obj=command, ctx=context, name=name).replace("\n# ", "\n## ").replace("\\*", "*")
        )
    text = "\n".join(parts)
    return "\n".join(f"#{line}" if line.startswith("#") and n > 3 else line for n, line in enumerate(text.splitlines()))


def configuration() -> str:
    """Return the reference of the configuration file, made from the classes that read it."""
    from runtime.config.template import TEMPLATE

    parts = [
        "# Configuration",
        "",
        "One TOML file, `--config FILE` (default `./seamless-sm.toml`). Every key can also be set with",
        "`--set section.key=value`, or with `SEAMLESS_SM__SECTION__KEY=value` in the environment. Others are refused.",
        "",
        "`runtime init` writes:",
        "",
        "```toml",
        TEMPLATE.rstrip(),
        "```",
        "",
    ]
    parts += _section(Config, "")
    return "\n".join(parts) + "\n"


def _section(model: type[BaseModel], name: str) -> list[str]:
    lines, below = [], []
    for field, info in model.model_fields.items():
        key = info.alias or field
        nested = _nested(info.annotation)
        if nested:
            inner, many = nested
            path = f"{name}.{key}" if name else key
            is_table_of = getattr(info.annotation, "__origin__", None) is dict
            below += _section(inner, f"{path}.NAME" if is_table_of else f"[{path}]" if many else path)
            continue
        kind = _type(info.annotation)
        default = "" if info.is_required() else f"`{_toml(info.default)}`"
        lines.append(f"| `{key}` | {kind} | {default} | {' '.join((info.description or '').split())} |")
    head = [f"## [{name}]", "", "| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    text = (inspect.getdoc(model) or "").partition("\n\n")[2].replace("``", "`")
    about = [head[0], "", text, *head[1:]] if text else head
    return [*(about if lines and name else []), *lines, "", *below]


def _nested(annotation: Any) -> tuple[type[BaseModel], bool] | None:
    inner = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type)]
    for kind, many in ((annotation, False), *((each, True) for each in inner)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind, many
    return None


def _type(annotation: Any) -> str:
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    if isinstance(annotation, type):
        return {"str": "text", "SecretStr": "text", "float": "number", "int": "whole number"}.get(
            annotation.__name__, annotation.__name__.lower()
        )
    choices = [str(a) for a in getattr(annotation, "__args__", ()) if isinstance(a, str | int)]
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    known = [_type(a) for a in getattr(annotation, "__args__", ()) if a not in (type(None), Ellipsis)]
    return (
        " of ".join(["list", *dict.fromkeys(known)]) if getattr(annotation, "__origin__", None) is tuple else known[0]
    )


def _toml(value: Any) -> str:
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    return (
        '"' + str(value) + '"'
        if isinstance(value, str | Path)
        else str(list(value) if isinstance(value, tuple) else value)
    )


def write(docs: Path) -> None:
    """Write the pages and figures into `docs`, where git ignores them."""
    for name, text in (("command-line", command_lines()), ("configuration", configuration())):
        path = docs / "reference" / f"{name}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    figures.draw_all(docs / "figures")
