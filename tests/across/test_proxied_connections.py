"""Connections that begin with a PROXY header, on the wire."""

from __future__ import annotations

import asyncio
import json
import socket
import struct

import pytest

from katana_asgi.net.proxy_protocol import NOT_SPOKEN, NOT_TRUSTED, SIGNATURE
from katana_asgi.testing import HttpPeer, running
from tests.applications import get, respond
from tests.support import within

V1 = b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n"
IPV4 = struct.pack("!4s4sHH", bytes((192, 0, 2, 1)), bytes((198, 51, 100, 1)), 4711, 443)
TLS = b"\x20\x00\x12\x01\0\0\0\1\x21\x00\x07TLSv1.3" + b"\x23\x00\x00"


def v2(block: bytes = IPV4, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block


async def who(scope, receive, send):
    told = {name: scope[name] for name in ("client", "server", "scheme")}
    told["proxy"] = sorted(scope["extensions"].get("proxy_protocol", ()))
    scope["extensions"].get("proxy_protocol", {}).clear()  # must not reach the next request
    await respond(send, json.dumps(told).encode())


SERVER = ["198.51.100.1", 443]
CLIENT = ["192.0.2.1", 4711]


def proxied(http, **settings):
    settings = {"lifespan": "off", "proxy_headers": False, **settings}
    return running(who, http=http, proxy_protocol=True, **settings)


@pytest.mark.parametrize("header", [V1, v2(), v2(IPV4 + TLS)])
@pytest.mark.parametrize("split", ["whole", "bytes"])
async def test_client_and_server_are_those_of_the_header(http, header, split):
    data = header + get()
    async with proxied(http) as server, await server.connect() as connection:
        await connection.send(*([data] if split == "whole" else [bytes((b,)) for b in data]))
        first = json.loads((await connection.response()).body)
        await connection.send(get())
        second = json.loads((await connection.response()).body)
    assert (first["client"], first["server"]) == (CLIENT, SERVER)
    assert first["scheme"] == ("https" if TLS in header else "http")
    assert "version" in first["proxy"]
    assert first == second


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", v2(b"", 0x20, 0), v2(b"", 0x21, 0)])
async def test_without_addresses_those_of_the_connection_hold(http, header):
    async with proxied(http) as server, await server.connect() as connection:
        await connection.send(header + get())
        told = json.loads((await connection.response()).body)
        assert told["client"] == list(connection.writer.get_extra_info("sockname"))
        assert told["server"] == [server.host, server.port]


async def test_a_unix_client_has_no_address(http):
    block = struct.pack("!108s108s", b"/run/client", b"/run/balancer")
    async with proxied(http) as server, await server.connect() as connection:
        await connection.send(v2(block, family=0x31) + get())
        told = json.loads((await connection.response()).body)
    assert (told["client"], told["server"]) == (None, ["/run/balancer", None])


async def test_the_client_of_the_header_is_a_proxy_where_it_is_trusted(http):
    settings = {"proxy_headers": True, "forwarded_allow_ips": ["127.0.0.1", "192.0.2.1"]}
    request = get("/", "X-Forwarded-For: 203.0.113.9")
    async with proxied(http, **settings) as server, await server.connect() as connection:
        await connection.send(V1 + request)
        assert json.loads((await connection.response()).body)["client"][0] == "203.0.113.9"
    async with proxied(http, proxy_headers=True) as server, await server.connect() as connection:
        await connection.send(V1 + request)
        assert json.loads((await connection.response()).body)["client"] == CLIENT


async def test_behind_a_header_a_client_that_is_not_trusted_is_believed_about_nothing(http):
    claims = ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "Forwarded: for=1.1.1.1")
    settings = {"proxy_headers": True, "forwarded_fields": "all"}
    async with proxied(http, **settings) as server:
        for header in (V1, v2()):
            async with await server.connect() as connection:
                await connection.send(header + get("/", *claims))
                told = json.loads((await connection.response()).body)
            assert (told["client"], told["scheme"]) == (CLIENT, "http")


@pytest.mark.parametrize("data", [get(), b"PROXY TCP4 nobody\r\n", v2(IPV4[:-1])])
async def test_a_trusted_peer_without_a_proper_header_is_closed(http, data):
    async with proxied(http) as server, await server.connect() as connection:
        await connection.send(data)
        assert await connection.closed()


async def test_a_header_that_does_not_come_is_not_waited_for_without_end(http):
    async with proxied(http, timeout_proxy_header=0.1) as server:
        async with await server.connect() as connection:
            await connection.send(V1[:-1])
            assert await connection.closed()


async def test_a_peer_that_is_not_trusted_is_served_and_its_header_is_not_believed(http):
    async with proxied(http, forwarded_allow_ips=["203.0.113.1"]) as server:
        told = json.loads((await server.exchange(get())).body)
        assert told["client"][0] == "127.0.0.1"
        assert told["proxy"] == []
        assert (await server.exchange(V1 + get())).status == 400


HEADERS = [V1, b"PROXY UNKNOWN\r\n", v2(), v2(b"", 0x20, 0)]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("request_behind", [get(), b""])
async def test_a_header_from_an_address_that_is_not_trusted_is_named_as_one(
    http, header, request_behind
):
    async with proxied(http, forwarded_allow_ips=["203.0.113.1"]) as server:
        response = await server.exchange(header + request_behind)
    assert (response.status, response.body) == (400, NOT_TRUSTED.encode() + b"\n")


@pytest.mark.parametrize("header", HEADERS)
async def test_a_header_where_the_protocol_is_off_is_named_as_one(http, header):
    async with running(who, http=http, lifespan="off") as server:
        response = await server.exchange(header + get())
    assert (response.status, response.body) == (400, NOT_SPOKEN.encode() + b"\n")


async def test_a_unix_peer_is_trusted_by_name(http, tmp_path):
    path = str(tmp_path / "s")
    async with proxied(http, uds=path, forwarded_allow_ips=["unix"]):
        async with await HttpPeer.open_unix(path) as connection:
            await connection.send(V1 + get())
            assert json.loads((await connection.response()).body)["client"] == CLIENT


async def test_a_limit_of_requests_counts_behind_a_header_too(http):
    async with proxied(http, limit_keep_alive_requests=2) as server:
        async with await server.connect() as connection:
            await connection.send(V1 + get())
            assert (await connection.response()).header(b"connection") is None
            await connection.send(get())
            assert (await connection.response()).header(b"connection") == b"close"
            assert await connection.closed()


async def test_a_connection_limit_holds_for_those_that_only_connect(http):
    async with proxied(http, limit_connections=2) as server:
        waiting = [await server.connect() for _ in range(4)]
        async with await server.connect() as connection:
            await connection.send(V1 + get())
            assert (await connection.response()).status == 200
        for each in waiting:
            each.writer.close()


async def test_a_header_on_its_way_when_the_end_begins_is_still_served(http):
    async with proxied(http) as server, await server.connect() as connection:
        await connection.send(V1[:5])
        while not server.server.connections:
            await asyncio.sleep(0)
        closing = asyncio.create_task(server.server.close())
        while server.server.started:
            await asyncio.sleep(0)
        await connection.send(V1[5:] + get())
        assert (await connection.response()).header(b"connection") == b"close"
        await within(closing)


async def test_a_header_that_is_awaited_does_not_hold_up_the_end(http):
    async with proxied(http, timeout_graceful_shutdown=60.0) as server:
        connection = await server.connect()
        await connection.send(V1[:5])
        while not server.server.connections:
            await asyncio.sleep(0)
        await within(server.server.close())
        assert await connection.closed()
        connection.writer.close()


async def test_websockets_have_the_client_of_the_header(http):
    told = []

    async def app(scope, receive, send):
        told.append((scope["client"], scope["scheme"], "proxy_protocol" in scope["extensions"]))
        await receive()
        await send({"type": "websocket.close"})

    handshake = get(
        "/",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    async with running(app, http=http, proxy_protocol=True, lifespan="off") as server:
        async with await server.connect() as connection:
            await connection.send(v2(IPV4 + TLS) + handshake)
            assert (await connection.response()).status == 403
    assert told == [(tuple(CLIENT), "wss", True)]


async def test_an_idle_balancer_that_resets_leaves_nothing(http):
    async with proxied(http) as server:
        connection = await server.connect()
        await connection.send(b"PRO")
        connection.reset()
        while server.server.connections:
            await asyncio.sleep(0)


async def test_a_client_that_has_gone_at_once_is_not_taken_for_a_balancer_on_a_unix_socket(http):
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        await respond(send)

    settings = {"forwarded_allow_ips": ("unix",), "lifespan": "off", "proxy_protocol": True}
    async with running(app, http=http, **settings) as server:
        for _ in range(3):
            # Sent and reset before the server, in this very loop, comes to accept it.
            with socket.create_connection((server.host, server.port)) as client:
                client.sendall(V1 + get())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await server.exchange(get("/last"))
    assert [scope["path"] for scope in scopes] == ["/last"]
