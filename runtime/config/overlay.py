"""Reading the configuration: a TOML file, overlaid by the environment, overlaid by ``--set``.

Every key may come as ``SEAMLESS_SM__MODEL__ENGINE=cpu`` or ``--set model.engine=cpu``. Relative paths are relative to
the file. An unknown key is refused with the names that would be valid; a message names the source of the faulty value.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from runtime.config.feeds import Feeds
from runtime.config.schema import Config, Paths
from runtime.errors import ConfigError

DEFAULT_FILE = Path("seamless-sm.toml")
_PREFIX = "SEAMLESS_SM__"
_SECRETS = ("token",)
"""Keys whose value is text even if it looks like a number: 0042 is a token."""


class Overlay:
    """Nested values, and for each of them the source it came from."""

    def __init__(self, values: dict[str, Any], source: str) -> None:
        self.values = values
        self._source = source
        self._origins: dict[tuple[str, ...], str] = {}

    def set_option(self, option: str, example: str) -> None:
        """Set one value as ``--set section.key=value`` gives it.

        Raises
        ------
        ConfigError
            The option has no ``=``, or its key does not name a single value.
        """
        key, equals, text = option.partition("=")
        if not equals:
            begin = re.match(r"[\w.]*", option)  # what follows may be a secret
            raise ConfigError(f"--set {begin and begin[0]}: wanted section.key=value, for example --set {example}")
        self.set_value(key.strip().split("."), text.strip(), f"--set {key.strip()}")

    def set_value(self, keys: list[str], text: str, source: str) -> None:
        """Set one nested value; a number in the key is an index into a list.

        Raises
        ------
        ConfigError
            The keys do not name a single value.
        """
        here: Any = self.values
        try:
            for key, following in zip(keys, [*keys[1:], None], strict=True):
                index: Any = int(key) if isinstance(here, list) and key.isdecimal() else key
                if isinstance(here, list) and isinstance(index, int) and index == len(here):
                    here.append({})
                if following is None:
                    here[index] = text if key in _SECRETS else _parse_toml(text)
                else:
                    fresh: Any = [] if following.isdecimal() else {}
                    here = here.setdefault(index, fresh) if isinstance(here, dict) else here[index]
        except (IndexError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"{source}: {'.'.join(keys)} does not name a single value") from error
        self._origins[tuple(keys)] = source

    def origin(self, location: Sequence[int | str]) -> str:
        """Return the source of a value; of a whole section the sources of everything in it."""
        where = tuple(map(str, location))
        for keys, source in reversed(self._origins.items()):
            if where[: len(keys)] == keys:
                return source
        inside = [source for keys, source in self._origins.items() if keys[: len(where)] == where]
        return " with ".join([self._source, *inside])

    def explain(self, error: ValidationError, model: type[BaseModel]) -> str:
        """Return every problem in one line, each after its source, with the valid names where a name is unknown."""
        by_source: dict[str, list[str]] = {}
        for problem in error.errors():
            by_source.setdefault(self.origin(problem["loc"]), []).append(_explain_problem(problem, model))
        return "; ".join(f"{source}: {'; '.join(problems)}" for source, problems in by_source.items())


def load_config(
    file: Path | None = None, overrides: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Config:
    """Read the configuration.

    Parameters
    ----------
    file : Path, optional
        Default: ``seamless-sm.toml`` in the working directory; without it, the defaults.
    overrides : sequence of str
        ``section.key=value``; they win over the environment, which wins over the file.
    environment : mapping, optional
        Environment variables; default those of this process.

    Raises
    ------
    ConfigError
        The file is missing or does not parse, or a key or value is not valid.
    """
    chosen = file or DEFAULT_FILE
    values: dict[str, Any] = {}
    if file or chosen.is_file():
        try:
            values = tomllib.loads(chosen.read_text())
        except OSError as error:
            raise ConfigError(f"{chosen}: cannot be read ({error.strerror}); `runtime init` writes one") from error
        except (ValueError, RecursionError) as error:  # also bytes that are no text, and a number with too many digits
            raise ConfigError(f"{chosen}: is not valid TOML: {error}") from error
    overlay = Overlay(values, str(chosen) if values else "configuration")
    environment = os.environ if environment is None else environment
    for name, text in sorted(environment.items()):
        if name.startswith(_PREFIX):
            overlay.set_value(name[len(_PREFIX) :].lower().split("__"), text, name)
    for option in overrides:
        overlay.set_option(option, "model.engine=cpu")
    try:
        config = Config.model_validate(overlay.values)
    except ValidationError as error:
        raise ConfigError(overlay.explain(error, Config)) from None  # its traceback would print the values
    return _anchor(config, chosen.absolute().parent)


def _parse_toml(text: str) -> Any:
    """Read a value as TOML does; text that is no TOML value is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _explain_problem(problem: Mapping[str, Any], model: type[BaseModel]) -> str:
    *above, last = problem["loc"] or ("",)
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        section = ".".join(str(part) for part in above)
        return f"unknown key {where}; valid in {section or 'the file'}: {', '.join(_valid_names(model, above))}"
    message = re.sub(r"^Value error, ", "", problem["msg"])
    given = problem["input"]
    is_secret = isinstance(given, dict | list) or any(map(_holds_secrets, _models(model, problem["loc"])))
    return f"{where or last}: {message}" + ("" if is_secret else f" (got {_shortened(given)})")


def _shortened(value: object) -> str:
    """Return a value as text that fits into a message."""
    try:
        text = repr(value)
    except ValueError:  # hexadecimal, and too long for Python to write in decimal
        return "a number with thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _models(model: type[BaseModel], path: Sequence[int | str]) -> Iterator[type[BaseModel]]:
    """Yield the sections that a path leads through, below the whole file, the last one last."""
    for part in path:
        field = model.model_fields.get(str(part))
        annotation: Any = field.annotation if field else None
        for kind in (annotation, *getattr(annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                model = kind
                yield model


def _holds_secrets(section: type[BaseModel]) -> bool:
    """Whether a section has a key whose value must not be printed; a value may stand behind the wrong key."""
    annotations = (field.annotation for field in section.model_fields.values())
    return any(SecretStr in (kind, *getattr(kind, "__args__", ())) for kind in annotations)


def _valid_names(model: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    *_, section = model, *_models(model, path)
    return [field.alias or name for name, field in section.model_fields.items()]


def _anchor(config: Config, folder: Path) -> Config:
    """Make relative paths relative to the configuration's folder."""

    def anchored(path: Path | None) -> Path | None:
        try:
            return path if path is None else folder / path.expanduser()
        except RuntimeError as error:
            raise ConfigError(f"{path}: there is no such user; give the path without ~") from error

    def anchored_url(url: str) -> str:
        return url if "://" in url else str(anchored(Path(url)))

    def anchored_bundle(name: str) -> str:
        if os.path.isfile(folder / name / "bundle.json"):  # noqa: PTH113 - Path.is_file fails with a name too long
            return str(folder / name)
        return name

    feeds = Feeds(
        soil_moisture=tuple(
            f.model_copy(update={"path": anchored_url(f.path), "bundle": f.bundle and anchored_bundle(f.bundle)})
            for f in config.feeds.soil_moisture
        ),
        precipitation=config.feeds.precipitation.model_copy(
            update={"path": anchored_url(config.feeds.precipitation.path)}
        ),
    )
    return config.model_copy(
        update={
            "archive": config.archive.model_copy(
                update={
                    "path": anchored(config.archive.path),
                    "mirror": config.archive.mirror and anchored_url(config.archive.mirror),
                }
            ),
            "paths": Paths(**{name: anchored(path) for name, path in config.paths}),
            "model": config.model.model_copy(update={"bundle": anchored_bundle(config.model.bundle)}),
            "feeds": feeds,
        }
    )
