"""The client of the Climate Data Store (CDS) within our limits, and the key that it sends.

The client (``ecmwf-datastores-client``) knows the interface: what is offered, how a request is queued, and where its
result lies. It would send its key wherever an answer or a redirect leads, and take an answer of any size; with the
session that it is given here it does not.
"""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from ecmwf.datastores import Client

from runtime.common.deadline import Deadline
from runtime.common.urls import without_secrets
from runtime.errors import LoginRefused
from runtime.inputs.feeds.http import RequestFailed, WebSession, copy_body, may_have_token, refuse_busy

_MAX_ANSWER = 64 << 20
"""Largest answer that is no file; the list of what is offered has some MiB."""
_SHOWN = 120
"""Characters of an address that a message shows."""


class QuietClient(Client):
    """The client without the question for messages that it asks, and warns about, when it is made."""

    def __attrs_post_init__(self) -> None:
        return None


class GuardedSession(WebSession):
    """A session that asks one server only, follows no redirect, and takes no endless answer."""

    def __init__(self, host: str, deadline: Deadline) -> None:
        super().__init__()
        self._host, self._deadline = host, deadline
        self.auth = lambda request: request  # else requests looks for a password in netrc

    def send(self, request: requests.PreparedRequest, **settings: Any) -> requests.Response:
        """Send a request, and read the answer."""
        url = request.url or ""
        if not may_have_token(url, {self._host}):
            raise RequestFailed(
                f"it leads to {without_secrets(url)[:_SHOWN]}, where the key is not sent; set cds.url if the service "
                "has moved",
                is_final=True,
            )
        if urlsplit(url).scheme == "http":
            settings["proxies"] = {}
        self._deadline.check()
        with super().send(request, **settings | {"stream": True}) as answer:
            refuse_busy(answer)
            if answer.is_redirect:
                raise RequestFailed(
                    f"redirected to {without_secrets(answer.headers['location'])[:_SHOWN]}", is_final=True
                )
            body = io.BytesIO()
            copy_body(answer, body.write, _MAX_ANSWER, self._deadline)
            body.seek(0)
            answer.raw = body
            answer.content  # noqa: B018 - reads it into the answer
            return answer


def read_cds_key(host: str) -> str:
    """Return the personal access token, from CDSAPI_KEY or from the file ~/.cdsapirc (or CDSAPI_RC).

    Parameters
    ----------
    host : str
        The server that the key will be sent to.

    Raises
    ------
    LoginRefused
        There is none, it is no key, or the file says that it belongs to another server.
    """
    key, source = os.environ.get("CDSAPI_KEY", ""), "CDSAPI_KEY"
    if not key:
        source, lines = os.environ.get("CDSAPI_RC") or "~/.cdsapirc", dict[str, str]()
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # RuntimeError: nobody knows where ~ is
            text = Path(source).expanduser().read_text()
            lines = dict(line.strip().split(":", 1) for line in text.splitlines() if ":" in line)
        key = lines.get("key", "")
        owner = urlsplit(lines.get("url", "").strip()).netloc
        if key and owner and owner.lower() != host.lower():
            raise LoginRefused(
                f"{source}: its key is for {owner}, and is not sent to {host}; set cds.url or CDSAPI_KEY"
            )
    key = key.strip()
    if not key:
        raise LoginRefused(
            f"no CDS key: set CDSAPI_KEY, or write it into ~/.cdsapirc; it is shown at https://{host}/profile "
            "(docs/operating.md, A CDS account)"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise LoginRefused(f"the CDS key of {source} has a space, a line break or a letter in it that no key has")
    return key
