"""Delivering a message to a webhook."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from pydantic import SecretStr

from service.webhook import NotDelivered, post_message
from tests.support.hook import DRIP, Hook

MESSAGE = {"event": "opened", "kind": "lag"}


def test_a_message_arrives(hook: Hook) -> None:
    post_message(SecretStr(hook.url), MESSAGE)
    assert hook.got == [MESSAGE]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_is_not_followed(status: int, hook: Hook) -> None:
    hook.answers = [status]
    with pytest.raises(NotDelivered, match=f"status {status}, a redirect"):
        post_message(SecretStr(hook.url), MESSAGE)
    assert (hook.methods, hook.got) == (["POST"], [])


def test_a_host_that_drips_is_left_at_the_deadline(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.webhook.DEADLINE_S", 0.5)
    hook.always, began = DRIP, time.monotonic()
    with pytest.raises(NotDelivered, match="no answer within 0.5 s"):
        post_message(SecretStr(hook.url), MESSAGE)
    assert time.monotonic() - began < 5
    assert [each.name for each in threading.enumerate() if each.name == "webhook deadline"] == []


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://127.0.0.1:{port}/secret", "status 500"),
        ("http://127.0.0.1:{free}/secret", "Connection refused"),
        ("https://127.0.0.1:{port}/secret", "TLS: "),
        ("http://secret.invalid/secret", "."),
        ("http://127.0.0.1:{port}/secret with spaces", "InvalidURL"),
        ("http://127.0.0.1:secret/", "InvalidURL"),
        ("secret", "ValueError"),
        ("ftp://secret/secret", "."),
    ],
)
def test_a_failure_is_explained_without_the_address(address: str, reason: str, hook: Hook) -> None:
    hook.always = 500
    with socket.create_server(("127.0.0.1", 0)) as free:
        unused = free.getsockname()[1]
    whole = address.format(port=hook.server_address[1], free=unused)
    with pytest.raises(NotDelivered, match=reason) as caught:
        post_message(SecretStr(whole), MESSAGE)
    assert str(caught.value)
    assert "secret" not in str(caught.value)
