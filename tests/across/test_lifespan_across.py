"""The life of the application around its requests (ASGI lifespan 2.0)."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import asynccontextmanager

import pytest

from katana_asgi import Server
from katana_asgi.errors import LocalProtocolError, StartupError
from katana_asgi.testing import HttpPeer, running
from tests.applications import get, raised_by, respond
from tests.support import within


def listening_socket() -> socket.socket:
    """A bound socket that does not listen yet."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


async def refused(sock: socket.socket) -> bool:
    """Whether nobody listens at the address of a bound socket."""
    try:
        async with await HttpPeer.open(*sock.getsockname()):
            return False
    except ConnectionRefusedError:
        return True


class Life:
    """An application that notes what it lives through; ``answers`` are its lifespan answers."""

    def __init__(self, *answers: dict) -> None:
        self.events: list[str] = []
        self.scope = None
        self._answers = answers or (
            {"type": "lifespan.startup.complete"},
            {"type": "lifespan.shutdown.complete"},
        )

    async def __call__(self, scope, receive, send):
        self.events.append(scope["type"])
        if scope["type"] == "lifespan":
            self.scope = scope
            for answer in self._answers:
                self.events.append((await receive())["type"])
                await send(answer)
        else:
            await respond(send, b"ok")


@asynccontextmanager
async def starting(app, http, **settings):
    """A server that has a socket and is on its way through startup."""
    sock = listening_socket()
    server = Server(app, http=http, access_log=False, **settings)
    task = asyncio.ensure_future(server.start([sock]))
    try:
        yield server, sock, task
    finally:
        await asyncio.gather(task, return_exceptions=True)
        await server.close()
        sock.close()


async def test_startup_comes_before_the_first_request_and_shutdown_after_the_last(http):
    life = Life()
    async with running(life, http=http) as server:
        await server.exchange(get())
    assert life.events == ["lifespan", "lifespan.startup", "http", "lifespan.shutdown"]


async def test_the_lifespan_scope_has_its_own_spec_version_and_a_state(http):
    life = Life()
    async with running(life, http=http):
        notice = life.scope["state"]["katana.shutdown"]
        assert not notice.is_set()
    assert notice.is_set()
    assert life.scope == {
        "type": "lifespan",
        "asgi": {"version": "3.0", "spec_version": "2.0"},
        "state": {"katana.shutdown": notice},
    }


async def test_nothing_is_accepted_before_startup_is_complete(http):
    asked, gate = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            asked.set()
            await gate.wait()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await respond(send, b"ok")

    async with starting(app, http) as (server, sock, task):
        await within(asked.wait())
        assert await refused(sock)
        assert not server.started
        gate.set()
        await within(task)
        assert server.started
        async with await HttpPeer.open(*server.addresses[0]) as connection:
            await connection.send(get())
            assert (await connection.response()).body == b"ok"


async def test_a_failed_startup_has_a_message_and_a_status_and_accepts_nothing(http):
    life = Life({"type": "lifespan.startup.failed", "message": "no database"})
    async with starting(life, http) as (server, sock, task):
        with pytest.raises(StartupError, match="no database") as raised:
            await within(task)
        assert raised.value.status == 3
        assert await refused(sock)
        assert not server.started
    assert life.events == ["lifespan", "lifespan.startup"]


async def test_a_failed_startup_needs_no_message(http):
    life = Life({"type": "lifespan.startup.failed"})
    async with starting(life, http) as (_, _, task):
        with pytest.raises(StartupError, match=r"startup failed$"):
            await within(task)


@pytest.mark.parametrize("when", ["on the scope", "after receive"])
async def test_an_application_without_lifespan_is_served_and_hears_no_shutdown(http, when):
    calls = []

    async def app(scope, receive, send):
        calls.append(scope["type"])
        if scope["type"] == "lifespan":
            if when == "after receive":
                await receive()
            raise NotImplementedError("no lifespan here")
        await respond(send, b"ok")

    async with running(app, http=http) as server:
        assert (await server.exchange(get())).body == b"ok"
    assert calls == ["lifespan", "http"]


async def test_an_application_that_returns_from_lifespan_is_served(http):
    calls = []

    async def app(scope, receive, send):
        calls.append(scope["type"])
        if scope["type"] == "http":
            await respond(send, b"ok")

    async with running(app, http=http) as server:
        assert (await server.exchange(get())).body == b"ok"
    assert calls == ["lifespan", "http"]


async def test_with_lifespan_on_an_application_that_raises_does_not_start(http, caplog):
    async def app(scope, receive, send):
        raise NotImplementedError("no lifespan here")

    async with starting(app, http, lifespan="on") as (_, sock, task):
        with pytest.raises(StartupError) as raised:
            await within(task)
        assert raised.value.status == 3
        assert await refused(sock)
    assert "no lifespan here" in caplog.text


async def test_with_lifespan_off_the_application_never_hears_of_it(http):
    life = Life()
    async with running(life, http=http, lifespan="off") as server:
        await server.exchange(get())
    assert life.events == ["http"]


async def test_shutdown_is_sent_after_all_requests_have_ended(http):
    events = []
    begun, gate = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            events.append("shutdown")
            await send({"type": "lifespan.shutdown.complete"})
            return
        begun.set()
        await gate.wait()
        await respond(send, b"done")
        await asyncio.sleep(0)  # an application may go on after its response
        events.append("request ended")

    async with running(app, http=http) as server, await server.connect() as connection:
        await connection.send(get())
        await within(begun.wait())
        closing = asyncio.ensure_future(server.server.close())
        await asyncio.sleep(0)
        assert events == []
        gate.set()
        assert (await connection.response()).body == b"done"
        await within(closing)
    assert events == ["request ended", "shutdown"]


async def test_a_failed_shutdown_is_logged_and_the_server_still_ends(http, caplog):
    life = Life(
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.failed", "message": "left the tap on"},
    )
    async with running(life, http=http):
        pass
    assert "left the tap on" in caplog.text


async def test_an_exception_during_shutdown_is_logged_and_the_server_still_ends(http, caplog):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise RuntimeError("fell down the stairs")

    async with running(app, http=http):
        pass
    assert "fell down the stairs" in caplog.text


async def test_an_application_that_leaves_lifespan_early_is_served_on(http, caplog):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            raise RuntimeError("no patience")
        await respond(send, b"ok")

    with caplog.at_level(logging.ERROR, "katana_asgi.error"):
        async with running(app, http=http) as server:
            assert (await server.exchange(get())).body == b"ok"
    assert "no patience" in caplog.text


@pytest.mark.parametrize(
    "message",
    [
        {"type": "lifespan.shutdown.complete"},
        {"type": "http.response.start", "status": 200},
        {"type": "nonsense"},
        {},
    ],
)
async def test_an_unexpected_lifespan_message_raises_in_the_application(http, message):
    errors = []

    async def app(scope, receive, send):
        await receive()
        errors.append(await raised_by(send, message))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async with running(app, http=http):
        pass
    assert isinstance(errors[0], LocalProtocolError | KeyError)
