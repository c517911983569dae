"""What happens to every request and every answer, whichever route it is for."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.config import Service

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}

MAX_BODY = 1024 * 1024
"""Bytes of a request's body: the polygon of ``POST /api/area``, or the days of ``POST /api/runs``."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOST_AND_PORT = re.compile(r"(?P<host>\[[^\[\]]+\]|[^\[\]:@/\\]+)(:\d*)?")


@dataclass(frozen=True)
class CommonHeaders:
    """Adds the headers that every answer has."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                headers.setdefault("Cache-Control", "no-cache")  # the page's files must all be of one version
            await send(message)

        await self.app(scope, receive, send_with_headers)


@dataclass(frozen=True)
class HostCheck:
    """Refuses requests that are addressed to another server.

    A page of another site can make a browser ask this server under that site's name, and then read the answer (DNS
    rebinding). Starlette's own check does not say which key has to be changed.
    """

    app: ASGIApp
    allowed: Collection[str]
    """Names and addresses, as `allowed_hosts` returns them."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        app = self.app
        if scope["type"] == "http" and "*" not in self.allowed:
            given = Headers(scope=scope).get("host", "")
            match = _HOST_AND_PORT.fullmatch(given)
            if not (match and _plain_host(match["host"]) in self.allowed):
                detail = f"this server is not known as {given[:200]!r}; add the name to service.hosts if it is right"
                app = JSONResponse({"detail": detail}, status_code=400)
        await app(scope, receive, send)


def allowed_hosts(service: Service) -> frozenset[str]:
    """Return the names and addresses that requests may be addressed to.

    Parameters
    ----------
    service : Service
        Its `host` and `hosts`.

    Returns
    -------
    frozenset of str
        ``*`` stands for any.
    """
    is_everywhere = _plain_host(service.host) in ("", "0.0.0.0", "::")  # noqa: S104 - it is compared, not bound
    if is_everywhere and not service.hosts:
        return frozenset("*")
    return frozenset(map(_plain_host, (*_LOOPBACK, service.host, *service.hosts)))


def _plain_host(host: str) -> str:
    """Return a host without brackets, in the form in which it can be compared."""
    plain = host.removeprefix("[").removesuffix("]").removesuffix(".").lower()
    try:
        return str(ipaddress.ip_address(plain))
    except ValueError:
        return plain


@dataclass(frozen=True)
class HeadAsGet:
    """Answers HEAD as GET; the server sends the headers alone."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        is_head = scope.get("method") == "HEAD"
        await self.app({**scope, "method": "GET"} if is_head else scope, receive, send)


@dataclass(frozen=True)
class BodyLimit:
    """Refuses requests with a large body."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        size = 0

        async def receive_little() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MAX_BODY:
                raise HTTPException(413, f"the body has more than {MAX_BODY} bytes")
            return message

        await self.app(scope, receive_little, send)
