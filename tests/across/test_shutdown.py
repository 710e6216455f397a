"""The end of a server: in order, and always in bounded time."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from katana_asgi import Server, StaticRoute
from katana_asgi.testing import HttpPeer, running
from katana_asgi.worker.drain import announce_end
from tests.applications import Probe, get, respond, start
from tests.support import within

MORE = {"type": "http.response.body", "body": b"o", "more_body": True}
LAST = {"type": "http.response.body", "body": b"k"}

ROUTES = {"static_route": (StaticRoute(path="/static", body=b"static"),)}

LONG = 3600.0
"""A budget that no test waits for."""


class Waiting:
    """An application that waits for a gate on ``/wait`` and streams on ``/stream``."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.events: list[str] = []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.events.append("shutdown")
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await self._answer(scope["path"], send)

    async def _answer(self, path, send):
        if path == "/stream":
            await start(send)
            await send(MORE)
        if path in ("/wait", "/stream"):
            self.begun.set()
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.events.append("cancelled")
                raise
        if path == "/stream":
            await send(LAST)
        else:
            await respond(send, path.encode())


def closing(server) -> asyncio.Future:
    """Begin to close."""
    return asyncio.ensure_future(server.server.close())


async def refused(host: str, port: int) -> bool:
    """Whether nobody listens."""
    try:
        async with await HttpPeer.open(host, port):
            return False
    except ConnectionRefusedError:
        return True


# -- in order


async def test_idle_connections_end_and_new_ones_are_refused(http):
    async with running(Waiting(), http=http, timeout_graceful_shutdown=LONG, **ROUTES) as server:
        async with (
            await server.connect() as fresh,
            await server.connect() as idle,
            await server.connect() as static,
        ):
            await idle.send(get("/"))
            await idle.response()
            await static.send(get("/static"))
            await static.response()
            await within(closing(server))
            for client in (fresh, idle, static):
                assert await client.closed()
        assert await refused(server.host, server.port)


@pytest.mark.parametrize("target", [None, "/", "/static"])
async def test_a_connection_accepted_in_the_last_moment_gets_one_answer_or_ends_soon(http, target):
    """The kernel had it in the queue already: its header timeout would hold up the end."""
    settings = {"timeout_header": LONG, "timeout_graceful_shutdown": LONG, **ROUTES}
    async with running(Waiting(), http=http, **settings) as server:
        server.server.context.draining = True  # as it is when the listener closes
        async with await server.connect() as client:
            if target is not None:
                await client.send(get(target))
                assert (await client.response()).header(b"connection") == b"close"
            assert await client.closed()
            client.writer.close()
            await within(closing(server))


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_response_under_way_is_finished_and_says_close(http, version):
    app = Waiting()
    async with (
        running(app, http=http, timeout_graceful_shutdown=LONG) as server,
        await server.connect() as client,
    ):
        await client.send(get("/wait", "Connection: keep-alive", version=version))
        await within(app.begun.wait())
        closed = closing(server)
        await asyncio.sleep(0)
        app.gate.set()
        response = await client.response()
        assert (response.status, response.body) == (200, b"/wait")
        assert response.header(b"connection") == b"close"
        assert await client.closed()
        client.writer.close()
        await within(closed)
    assert app.events == ["shutdown"]


async def test_a_stream_under_way_is_finished_and_the_connection_closed(http):
    app = Waiting()
    async with (
        running(app, http=http, timeout_graceful_shutdown=LONG) as server,
        await server.connect() as client,
    ):
        await client.send(get("/stream"))
        await client.head()
        closed = closing(server)
        await asyncio.sleep(0)
        app.gate.set()
        assert await client.rest() == b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n"
        client.writer.close()
        await within(closed)


@pytest.mark.parametrize("target", ["/", "/static"])
async def test_half_a_request_may_be_completed_and_its_answer_says_close(http, target):
    request = get(target)
    async with (
        running(Waiting(), http=http, timeout_graceful_shutdown=LONG, **ROUTES) as server,
        await server.connect() as client,
        await server.connect() as other,
    ):
        await client.send(request[:10])
        await other.send(get("/"))
        await other.response()  # the first has been read by now
        closed = closing(server)
        await asyncio.sleep(0)
        await client.send(request[10:])
        response = await client.response()
        assert response.status == 200
        assert response.header(b"connection") == b"close"
        assert await client.closed()
        client.writer.close()
        await within(closed)


async def test_requests_behind_the_present_one_are_not_begun(http):
    app = Waiting()
    probe = Probe(app)
    async with (
        running(probe, http=http, lifespan="off", timeout_graceful_shutdown=LONG) as server,
        await server.connect() as client,
    ):
        await client.send(get("/wait") + get("/2") + get("/3"))
        await within(app.begun.wait())
        closed = closing(server)
        await asyncio.sleep(0)
        app.gate.set()
        assert (await client.response()).body == b"/wait"
        assert await client.closed()
        client.writer.close()
        await within(closed)
    assert [scope["path"] for scope in probe.scopes] == ["/wait"]


async def test_unread_content_does_not_hold_up_the_end(http):
    async with (
        running(Waiting(), http=http, timeout_graceful_shutdown=LONG) as server,
        await server.connect() as client,
    ):
        await client.send(get("/", "Content-Length: 10", method="POST") + b"abc")
        assert (await client.response()).status == 200
        closed = closing(server)
        assert await client.closed()
        client.writer.close()
        await within(closed)


async def test_an_application_that_goes_on_after_its_response_is_waited_for(http):
    gate, answered = asyncio.Event(), asyncio.Event()
    events = []

    async def app(scope, receive, send):
        await respond(send)
        answered.set()
        await gate.wait()
        events.append("ended")

    async with (
        running(app, http=http, lifespan="off", timeout_graceful_shutdown=LONG) as server,
        await server.connect() as client,
    ):
        await client.send(get())
        await client.response()
        closed = closing(server)
        assert await client.closed()
        assert not closed.done()
        gate.set()
        await within(closed)
    assert events == ["ended"]


async def test_closing_twice_is_closing_once(http):
    app = Waiting()
    async with running(app, http=http) as server:
        await within(closing(server))
        await within(closing(server))
    assert app.events == ["shutdown"]


# -- in bounded time


async def test_what_is_left_after_the_budget_is_cancelled(http, caplog):
    app = Waiting()
    async with (
        running(app, http=http, timeout_graceful_shutdown=0.05) as server,
        await server.connect() as waiting,
        await server.connect() as streaming,
    ):
        await waiting.send(get("/wait"))
        await within(app.begun.wait())
        await streaming.send(get("/stream"))
        await streaming.head()
        closed = closing(server)
        assert (await waiting.response()).status == 500
        assert await waiting.closed()
        assert await streaming.rest() == b"1\r\no\r\n"  # and no last chunk
        await within(closed)
    assert app.events == ["cancelled", "cancelled", "shutdown"]
    assert "Cancelling 2 running requests" in caplog.text


async def test_a_connection_without_a_request_cannot_outstay_the_budget(http):
    async with (
        running(Waiting(), http=http, timeout_graceful_shutdown=0.05) as server,
        await server.connect() as client,
        await server.connect() as other,
    ):
        await client.send(b"GET / HT")
        await other.send(get("/"))
        await other.response()
        await within(closing(server))
        assert await client.closed()


async def test_a_client_that_does_not_read_cannot_outstay_the_budget(http):
    begun = asyncio.Event()

    async def app(scope, receive, send):
        await start(send)
        while True:
            sending = asyncio.ensure_future(
                send({"type": "http.response.body", "body": bytes(2**18), "more_body": True})
            )
            await asyncio.sleep(0)
            if not sending.done():
                begun.set()
            await sending

    probe = Probe(app)
    async with running(probe, http=http, lifespan="off", timeout_graceful_shutdown=0.05) as server:
        client = await server.connect()
        client.writer.transport.pause_reading()
        await client.send(get())
        await within(begun.wait())
        await within(closing(server))
        assert isinstance(await probe.end(), asyncio.CancelledError)
        assert server.server.connections == 0
        client.reset()


async def test_a_client_that_has_gone_with_the_last_turn_does_not_disturb_the_end(http, caplog):
    sent = asyncio.Event()

    async def app(scope, receive, send):
        await respond(send, bytes(32 * 1024))
        sent.set()

    async with running(app, http=http, lifespan="off") as server:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(get())
            await within(sent.wait())
            await asyncio.sleep(0)  # ... and it leaves the outbox
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The reset has arrived, and the event loop has not been told.
        await within(server.server.close())
        assert server.server.connections == 0
    assert caplog.records == []


async def test_a_forced_stop_does_not_wait_for_the_budget(http):
    app = Waiting()
    async with (
        running(app, http=http, timeout_graceful_shutdown=LONG) as server,
        await server.connect() as client,
    ):
        await client.send(get("/wait"))
        await within(app.begun.wait())
        closed = closing(server)
        await asyncio.sleep(0)
        assert not closed.done()
        server.server.stop(force=True)
        await within(closed)
        assert (await client.response()).status == 500
    assert app.events[0] == "cancelled"


async def test_a_lifespan_that_never_shuts_down_ends_with_the_budget(http, caplog):
    ends = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cancelled")

    async with running(app, http=http, timeout_lifespan_shutdown=0.05) as server:
        await within(closing(server))
    assert "Lifespan shutdown did not end in time" in caplog.text
    await asyncio.sleep(0)
    assert ends == ["cancelled"]


async def test_an_application_that_swallows_its_cancellation_cannot_stop_the_end():
    ignored = asyncio.Event()

    async def app(scope, receive, send):
        while not ignored.is_set():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ignored.set()
        await held.wait()

    held = asyncio.Event()
    probe = Probe(app)
    async with running(probe, lifespan="off", timeout_graceful_shutdown=0.05) as server:
        async with await server.connect() as client:
            await client.send(get())
            closed = closing(server)
            await within(ignored.wait())
            await within(closed)
            assert await client.closed()
    held.set()
    await probe.end()


# -- serve()


async def test_serve_returns_after_stop(http):
    app = Waiting()
    server = Server(app, port=0, http=http, access_log=False)
    serving = asyncio.ensure_future(server.serve(signals=False))
    await within(server.wait_started())
    assert server.started
    server.stop()
    await within(serving)
    assert not server.started
    assert app.events == ["shutdown"]


async def test_serve_ends_in_order_when_it_is_cancelled(http):
    app = Waiting()
    server = Server(app, port=0, http=http, access_log=False, timeout_graceful_shutdown=LONG)
    serving = asyncio.ensure_future(server.serve(signals=False))
    await within(server.wait_started())
    async with await HttpPeer.open(*server.addresses[0]) as client:
        await client.send(get("/wait"))
        await within(app.begun.wait())
        serving.cancel()
        app.gate.set()
        assert (await client.response()).body == b"/wait"
        client.writer.close()
        with pytest.raises(asyncio.CancelledError):
            await within(serving)
    assert app.events == ["shutdown"]


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_a_server_may_be_stopped_before_its_startup_is_complete(http, how):
    begun = asyncio.Event()
    ends = []

    async def app(scope, receive, send):
        await receive()
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("ended")

    server = Server(app, port=0, http=http, timeout_graceful_shutdown=LONG)
    serving = asyncio.ensure_future(server.serve(signals=False))
    await within(begun.wait())
    server.stop() if how == "stop" else serving.cancel()
    await within(asyncio.wait({serving}))
    assert serving.cancelled() is (how == "cancel")
    await asyncio.sleep(0)
    assert ends == ["ended"]
    assert not server.started


async def test_known_static_requests_in_one_read_get_a_static_answer_at_the_end_too(http):
    """Idle connections stay for a while where a successor has the socket already."""
    app = Waiting()
    async with (
        running(app, http=http, lifespan="off", **ROUTES) as server,
        await server.connect() as client,
    ):
        for _ in range(2):
            await client.send(get("/static") * 2)
            expected = [(await client.response()).body for _ in range(2)]
        announce_end(server.server.context, LONG)
        await client.send(get("/static") * 2)
        response = await client.response()
        assert response.header(b"connection") == b"close"
        assert response.body == expected[0]
        assert await client.closed()
