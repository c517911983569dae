"""The log-in at NASA Earthdata."""

from __future__ import annotations

import threading

from earthaccess.auth import Auth
from earthaccess.exceptions import LoginAttemptFailure, LoginStrategyUnavailable
from earthaccess.system import PROD, System

from runtime.common.deadline import Deadline
from runtime.config import Earthdata
from runtime.errors import FeedUnreachable, LoginRefused
from runtime.inputs.feeds.http import cause


class EarthdataLogin:
    """Logs in when a token is first needed, once; a log-in host that does not answer is not asked again."""

    def __init__(self, settings: Earthdata) -> None:
        self._settings, self._lock = settings, threading.Lock()
        self._token: str | None = None
        self._failure: str | None = None

    def token(self, deadline: Deadline) -> str:
        """Return the bearer token.

        Raises
        ------
        LoginRefused
            There are no credentials, or Earthdata does not accept them.
        FeedUnreachable
            Earthdata does not answer before the deadline, or did not before.
        """
        with self._lock:
            if self._failure:
                raise FeedUnreachable(self._failure)
            if self._token is None:
                try:
                    self._token = deadline.call(_log_in, self._settings)
                except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:  # also a strange answer
                    self._failure = (
                        f"Earthdata ({self._settings.edl_host}) does not answer ({cause(error)}); check the network, "
                        "then run again"
                    )
                    raise FeedUnreachable(self._failure) from error
            return self._token


def _log_in(settings: Earthdata) -> str:
    """Return a token, with the credentials from the environment or from netrc.

    In the environment these are EARTHDATA_TOKEN, or EARTHDATA_USERNAME and EARTHDATA_PASSWORD.
    """
    system = System(settings.cmr_url, PROD.status_url, PROD.status_api_url, settings.edl_host)  # type: ignore[arg-type]
    auth = Auth()
    for strategy in ("environment", "netrc"):
        try:
            auth.login(strategy=strategy, system=system)
        except (LoginStrategyUnavailable, FileNotFoundError):
            continue
        except LoginAttemptFailure as error:
            raise LoginRefused(
                f"Earthdata ({settings.edl_host}) does not accept the log-in from the {strategy} ({cause(error)}); "
                "check user name and password, or set EARTHDATA_TOKEN"
            ) from error
        if auth.token:
            return _sound_token(auth.token["access_token"].strip())
    raise LoginRefused(
        f"no Earthdata log-in: set EARTHDATA_TOKEN, or put {settings.edl_host} into ~/.netrc; a token is made at "
        f"https://{settings.edl_host}/users/profile (docs/operating.md, Earthdata account)"
    )


def _sound_token(token: str) -> str:
    """Return a token that a header can hold; requests would print another one in its error message."""
    if not token or not token.isascii() or not token.isprintable():
        raise LoginRefused("the Earthdata token is empty, or has a line break or a letter in it that no token has")
    return token
