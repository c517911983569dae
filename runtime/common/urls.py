"""URLs as they may be shown and kept: without what gives access."""

from __future__ import annotations

import re

_USER = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?:[^/\s?#]*@"
    r"|[^/\s?#@:\[]*:(?!\d+(?:/|\s|$))[^\s@]*@)",  # a password that should have been quoted
    re.IGNORECASE,
)
_QUERY = re.compile(r"\?\S+")
_FRAGMENT = re.compile(r"(?P<before>://[^\s#]*)#\S*")


def without_secrets(text: str) -> str:
    """Return a URL, or a text with URLs in it, without user names, passwords, query strings and fragments.

    A signed URL has its signature in the query string. The result is one line.
    """
    shown = _QUERY.sub("", _USER.sub(r"\g<scheme>", text))
    return " ".join(_FRAGMENT.sub(r"\g<before>", shown).split())
