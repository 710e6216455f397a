"""The message trace: every message, no content, nothing where the level is another."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from katana_asgi.asgi.message_trace import describe_message
from katana_asgi.asgi.wrapping import wrap
from katana_asgi.config.model import Config
from katana_asgi.observe.logs import TRACE
from katana_asgi.testing import running


async def echo(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"secret")]})
    await send({"type": "http.response.body", "body": message["body"]})


async def test_messages_are_logged_by_their_lengths(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(TRACE, "katana_asgi.error")
    async with running(echo, log_level="trace", lifespan="off") as server:
        response = await server.exchange(
            b"POST /%0a HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nsecret"
        )
    assert response.body == b"secret"
    lines = [record.getMessage() for record in caplog.records if "ASGI" in record.getMessage()]
    assert lines[0].startswith("ASGI [1] started http POST /%0a from 127.0.0.1:")
    assert lines[1:] == [
        "ASGI [1] receive http.request body=<6 bytes> more_body=False",
        "ASGI [1] send http.response.start status=200 headers=<1 fields>",
        "ASGI [1] send http.response.body body=<6 bytes>",
        "ASGI [1] completed",
    ]
    assert "secret" not in caplog.text


async def test_a_failure_is_logged_and_still_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError

    caplog.set_level(TRACE, "katana_asgi.error")
    async with running(fail, log_level="trace", lifespan="off") as server:
        response = await server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert response.status == 500
    assert "ASGI [1] raised ValueError" in caplog.text


@pytest.mark.parametrize("level", ["debug", "info", "critical"])
def test_the_application_is_left_as_it_is_at_other_levels(level: str) -> None:
    assert wrap(echo, Config(log_level=level)) is echo


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"type": "websocket.send", "text": "äö"}, "websocket.send text=<2 characters>"),
        ({"type": "websocket.send", "bytes": None}, "websocket.send bytes=None"),
        ({"type": "a\nb"}, "a\\nb"),
        ({"type": "x", "headers": iter(())}, "x headers=<fields>"),
        (None, "NoneType"),
    ],
)
def test_messages_of_all_kinds(message: Any, text: str) -> None:
    assert describe_message(message) == text


async def test_a_slow_request_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "katana_asgi.error")
    async with running(echo, slow_request=1e-9, lifespan="off") as server:
        await server.exchange(b"GET /a?b\x7f HTTP/1.1\r\nHost: a\r\n\r\n")
        await server.exchange(b"GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n")
    assert "Slow request: GET /a?b took 0." in caplog.text
