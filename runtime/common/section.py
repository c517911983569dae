"""What every part of a TOML file shares: immutable, no unknown key, no unusable text, no secret printed."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

_PATHS = ("path", "state", "inbox", "engines", "bundle", "mirror")
"""Keys that name a file or a folder; empty, they would be the folder of the configuration."""


class TomlSection(BaseModel):
    """A table of a TOML file."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # a section may hold secrets, and a traceback prints the error
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_usable_text(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse text that no path or file can hold, and empty paths."""
        if isinstance(value, str):
            if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
                raise ValueError("holds a character that cannot be written (NUL, or a byte that is not UTF-8)")
            if info.field_name in _PATHS and not value.strip():
                raise ValueError('is empty; give a path, "." for the folder of the configuration')
        return value
