"""``Server`` and ``serve`` as a program uses them."""

from __future__ import annotations

import asyncio
import socket

import pytest

from katana_asgi import Config, Server, serve
from katana_asgi.errors import ConfigurationError, StartupError
from katana_asgi.testing import HttpPeer, running
from tests.applications import get, respond
from tests.ports import free_port
from tests.support import within


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    await respond(send, b"ok")


async def test_a_server_is_made_of_settings_or_of_a_configuration():
    config = Config(app=app, port=0, access_log=False)
    async with Server(app, port=0, access_log=False) as one, Server(config) as two:
        assert one.config == two.config
        assert one.addresses != two.addresses
    changed = Server(config, http="h11")
    assert (changed.config.http, changed.parser) == ("h11", "h11")


async def test_settings_that_are_not_allowed_are_refused_before_anything_starts():
    with pytest.raises(ConfigurationError):
        Server(app, port=-1)
    with pytest.raises(ConfigurationError, match="workers"):
        await serve(app, port=0, workers=2)


async def test_a_server_says_where_it_listens_and_how_it_goes():
    async with running(app) as running_server:
        server = running_server.server
        assert server.started
        assert server.addresses == [("127.0.0.1", running_server.port)]
        assert server.places == [f"http://127.0.0.1:{running_server.port}"]
        assert (server.requests, server.connections) == (0, 0)
        async with await running_server.connect() as client:
            await client.send(get() * 3)
            for _ in range(3):
                await client.response()
            assert (server.requests, server.connections) == (3, 1)
    assert not server.started


async def test_a_server_that_has_not_started_has_nothing_to_say():
    server = Server(app, port=0)
    assert (server.started, server.requests, server.connections) == (False, 0, 0)
    assert (server.addresses, server.places, server.lag) == ([], [], 0.0)
    server.stop()
    await within(server.serve(signals=False))


async def test_sockets_of_the_program_are_used_and_left_to_it():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server = Server(app, access_log=False)
        await server.start([sock])
        assert server.addresses == [sock.getsockname()]
        async with await HttpPeer.open(*sock.getsockname()) as client:
            await client.send(get())
            assert (await client.response()).body == b"ok"
        await server.close()


async def test_an_address_in_use_is_a_startup_error_and_nothing_is_left_behind():
    async with running(app) as first:
        second = Server(app, port=first.port, access_log=False)
        with pytest.raises(StartupError, match="in use") as raised:
            await second.start()
        assert raised.value.status == 1
        assert (await first.exchange(get())).body == b"ok"


async def test_an_application_that_cannot_be_found_is_a_startup_error():
    with pytest.raises(StartupError, match="could not import"):
        await within(Server("no_such_module:app", port=0).serve(signals=False))


async def test_the_application_may_be_loaded_before_the_start():
    server = Server("no_such_module:app", port=0)
    with pytest.raises(StartupError, match="could not import"):
        server.load()


async def test_serve_runs_beside_other_tasks_until_it_is_cancelled():
    port = free_port()
    serving = asyncio.ensure_future(serve(app, port=port, access_log=False))
    while True:
        try:
            client = await HttpPeer.open("127.0.0.1", port)
            break
        except ConnectionRefusedError:
            await asyncio.sleep(0)
    async with client:
        await client.send(get())
        assert (await client.response()).body == b"ok"
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(serving)


async def test_two_servers_share_a_loop_and_nothing_else():
    async def other(scope, receive, send):
        await respond(send, b"other")

    async with running(app) as one, running(other, lifespan="off") as two:
        assert (await one.exchange(get())).body == b"ok"
        assert (await two.exchange(get())).body == b"other"
        assert (one.server.requests, two.server.requests) == (1, 1)


async def test_a_server_that_ends_cancels_its_own_requests_and_nobody_elses():
    begun, gate = asyncio.Semaphore(0), asyncio.Event()
    cancelled = []

    def waiting(name):
        async def application(scope, receive, send):
            begun.release()
            try:
                await gate.wait()
            except asyncio.CancelledError:
                cancelled.append(name)
                raise
            await respond(send, name)

        return application

    async with (
        running(waiting(b"going on"), lifespan="off") as going_on,
        running(waiting(b"ending"), lifespan="off", timeout_graceful_shutdown=0.1) as ending,
        await going_on.connect() as one,
        await ending.connect() as two,
    ):
        for client in (one, two):
            await client.send(get())
            await within(begun.acquire())
        await within(ending.server.close())
        assert (await two.response()).status == 500
        gate.set()
        assert (await one.response()).body == b"going on"
    assert cancelled == [b"ending"]
