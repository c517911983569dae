"""Reading the configuration: file, environment, ``--set``."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from runtime.config.schema import Config, Feeds, Paths
from runtime.errors import ConfigError

DEFAULT_FILE = Path("seamless-sm.toml")


_PREFIX = "SEAMLESS_SM__"


def load_config(
    file: Path | None = None, overrides: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Config:
    """Read the configuration.

    Parameters
    ----------
    file : Path, optional
        Default: ``seamless-sm.toml`` in the working directory; without it, the defaults.
    overrides : sequence of ``a.b=c``
        Win over the environment, which wins over the file.

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
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{chosen}: is not valid TOML: {error}") from error
    origin = {"source": str(chosen) if values else "configuration"}
    environment = os.environ if environment is None else environment
    for name, text in sorted(environment.items()):
        if name.startswith(_PREFIX):
            put(values, name[len(_PREFIX) :].lower().split("__"), text, name)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override}: wanted section.key=value, for example --set model.engine=cpu")
        put(values, key.strip().split("."), text.strip(), f"--set {override}")
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{origin['source']}: {explain(error, Config)}") from error
    return _anchor(config, chosen.absolute().parent)


def put(values: dict[str, Any], keys: list[str], text: str, source: str) -> None:
    """Set one nested value; a number in the key indexes a list."""
    here: Any = values
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        index: Any = int(key) if isinstance(here, list) and key.isdigit() else key
        if isinstance(here, list) and isinstance(index, int) and index == len(here):
            here.append({})
        if following is None:
            try:
                here[index] = text if key == "token" else _parse(text)  # 0042 is a token, not a number
            except (TypeError, IndexError) as error:
                raise ConfigError(f"{source}: {'.'.join(keys)} does not name a single value") from error
            return
        fresh: Any = [] if following.isdigit() else {}
        try:
            here = here.setdefault(index, fresh) if isinstance(here, dict) else here[index]
        except (IndexError, TypeError, AttributeError) as error:
            raise ConfigError(f"{source}: {'.'.join(keys)} does not name a single value") from error


def _parse(text: str) -> Any:
    """Read a value the way TOML would; what is no TOML value is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Say every problem of a configuration in one line, with the valid names where a name is unknown."""
    parts = []
    for problem in error.errors():
        *above, last = problem["loc"]
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            section = ".".join(str(part) for part in above)
            parts.append(
                f"unknown key {where}; valid in {section or 'the file'}: {', '.join(_valid_names(model, above))}"
            )
        else:
            message = re.sub(r"^Value error, ", "", problem["msg"])
            parts.append(f"{where or last}: {message} (got {problem['input']!r})")
    return "; ".join(parts)


def _valid_names(model: Any, path: Sequence[int | str]) -> list[str]:
    for part in path:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        model = next((a for a in getattr(annotation, "__args__", ()) if a is not Ellipsis), annotation)
    return [field.alias or name for name, field in model.model_fields.items()]


def _anchor(config: Config, folder: Path) -> Config:
    """Make relative paths relative to the configuration's folder."""

    def anchored(path: Path | None) -> Path | None:
        return path if path is None else folder / path.expanduser()

    def anchored_url(url: str) -> str:
        return url if "://" in url else str(folder / Path(url).expanduser())

    feeds = Feeds(
        soil_moisture=tuple(f.model_copy(update={"path": anchored_url(f.path)}) for f in config.feeds.soil_moisture),
        precipitation=config.feeds.precipitation.model_copy(
            update={"path": anchored_url(config.feeds.precipitation.path)}
        ),
    )
    bundle = config.model.bundle
    if (folder / bundle / "bundle.json").is_file():
        bundle = str(folder / bundle)
    return config.model_copy(
        update={
            "archive": config.archive.model_copy(update={"path": anchored(config.archive.path)}),
            "paths": Paths(**{name: anchored(path) for name, path in config.paths}),
            "model": config.model.model_copy(update={"bundle": bundle}),
            "feeds": feeds,
        }
    )
