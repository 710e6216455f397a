"""The first promise: a request gets its response."""

from __future__ import annotations

from katana_asgi.testing import running


async def hello(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def test_a_request_gets_its_response(http):
    async with running(hello, http=http, lifespan="off") as server:
        response = await server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (response.status, response.reason, response.body) == (200, b"OK", b"hello")
