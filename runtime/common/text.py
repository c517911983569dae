"""Numbers as words of a message."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, for example ``1 day`` and ``3 days``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
