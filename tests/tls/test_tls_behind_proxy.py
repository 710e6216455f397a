"""A PROXY header before the handshake, on both loops: who the client is, and who is believed."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import struct
from contextlib import suppress

import pytest

from katana_asgi.net.proxy_protocol import SIGNATURE
from katana_asgi.testing import HttpPeer, running
from tests.applications import get, respond
from tests.support import TIMEOUT

V1 = b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n"
BLOCK = struct.pack("!4s4sHH", bytes((192, 0, 2, 1)), bytes((198, 51, 100, 1)), 4711, 443)
V2 = SIGNATURE + struct.pack("!BBH", 0x21, 0x11, len(BLOCK)) + BLOCK


async def who(scope, receive, send):
    told = {name: scope[name] for name in ("client", "server", "scheme")}
    told["extensions"] = sorted(scope["extensions"])
    await respond(send, json.dumps(told).encode())


def behind(site, **settings):
    settings = {"lifespan": "off", "proxy_protocol": True, **site.settings, **settings}
    return running(who, **settings)


async def connect(server, site, *chunks: bytes) -> HttpPeer:
    """A TLS connection on a socket through which the chunks have gone before."""
    loop = asyncio.get_running_loop()
    sock = socket.create_connection((server.host, server.port), TIMEOUT)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for chunk in chunks:
        await loop.sock_sendall(sock, chunk)
        await asyncio.sleep(0)
    opening = asyncio.open_connection(sock=sock, ssl=site.trust, server_hostname="localhost")
    return HttpPeer(*await asyncio.wait_for(opening, TIMEOUT))


@pytest.mark.parametrize("header", [V1, V2])
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("settings", [{}, {"statsd": "127.0.0.1:9"}])  # the second one counts
async def test_the_client_is_the_one_of_the_header_and_the_scheme_https(
    site, header, split, settings
):
    chunks = [bytes((byte,)) for byte in header] if split else [header]
    async with behind(site, **settings) as server:
        async with await connect(server, site, *chunks) as client:
            for _ in range(2):
                await client.send(get())
                told = json.loads((await client.response()).body)
                assert told["client"] == ["192.0.2.1", 4711]
                assert told["server"] == ["198.51.100.1", 443]
                assert told["scheme"] == "https"
                assert {"tls", "proxy_protocol"} <= set(told["extensions"])


async def test_header_and_handshake_may_come_in_one_segment(site):
    async with behind(site) as server, await server.connect() as client:
        outgoing = ssl.MemoryBIO()
        peer = site.trust.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
        with suppress(ssl.SSLWantReadError):
            peer.do_handshake()
        await client.send(V2 + outgoing.read())
        assert await client.reader.readexactly(1) == b"\x16"  # its side of the handshake


async def test_a_header_without_addresses_leaves_those_of_the_connection(site):
    async with behind(site) as server:
        async with await connect(server, site, b"PROXY UNKNOWN\r\n") as client:
            await client.send(get())
            told = json.loads((await client.response()).body)
            assert told["client"] == list(client.writer.get_extra_info("sockname"))


async def test_a_peer_that_is_not_trusted_begins_with_its_handshake(site):
    async with behind(site, forwarded_allow_ips=["203.0.113.1"]) as server:
        async with await connect(server, site) as client:
            await client.send(get())
            told = json.loads((await client.response()).body)
            assert told["client"][0] == "127.0.0.1"
            assert "proxy_protocol" not in told["extensions"]
        async with await server.connect() as client:
            await client.send(V1)
            assert (await client.response()).status == 400


def redirects(server) -> int:
    return int(server.server.redirects.rpartition(":")[2])


@pytest.mark.parametrize("header", [V1, V2])
async def test_a_redirect_comes_behind_a_header_too_and_is_logged_for_its_client(
    site, header, caplog
):
    caplog.set_level(logging.INFO, "katana_asgi.access")
    settings = {"redirect_bind": "127.0.0.1:0", "access_log": True}
    async with behind(site, **settings) as server:
        async with await HttpPeer.open("127.0.0.1", redirects(server)) as client:
            await client.send(*(bytes((byte,)) for byte in header), get("/x"))
            response = await client.response()
            assert response.status == 308
            assert response.header(b"location") == b"https://example:%d/x" % server.port
    assert "192.0.2.1:4711" in caplog.text


async def test_a_redirect_waits_for_the_header_of_a_trusted_peer_and_no_longer(site):
    settings = {"redirect_bind": "127.0.0.1:0", "timeout_proxy_header": 0.2}
    async with behind(site, **settings) as server:
        for data in (V1[:9], get("/x")):
            async with await HttpPeer.open("127.0.0.1", redirects(server)) as client:
                await client.send(data)
                assert await client.closed()


async def test_a_redirect_for_a_peer_that_is_not_trusted_needs_no_header(site):
    settings = {"redirect_bind": "127.0.0.1:0", "forwarded_allow_ips": ["203.0.113.1"]}
    async with behind(site, **settings) as server:
        for data, status in ((get("/x"), 308), (V1 + get("/x"), 400)):
            async with await HttpPeer.open("127.0.0.1", redirects(server)) as client:
                await client.send(data)
                assert (await client.response()).status == status


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x00\x05hello", b"PROXY TCP4 nobody\r\n", get()])
async def test_a_trusted_peer_without_a_proper_header_is_closed(site, data, caplog):
    async with behind(site) as server:
        async with await server.connect() as client:
            await client.send(data)
            assert await client.closed()
    assert "A connection of a trusted proxy was closed" in caplog.text


@pytest.mark.parametrize("begin", [b"", V1[:9], V1])
async def test_neither_header_nor_handshake_is_waited_for_without_end(site, begin):
    settings = {"timeout_proxy_header": 0.2, "ssl_handshake_timeout": 0.2}
    async with behind(site, **settings) as server, await server.connect() as client:
        await client.send(begin)
        assert await client.closed()


async def test_a_health_check_that_only_sends_a_header_is_no_event(site, caplog):
    async with behind(site) as server:
        async with await server.connect() as client:
            await client.send(SIGNATURE + struct.pack("!BBH", 0x20, 0, 0))
            client.half_close()
            assert await client.closed()
    assert caplog.text == ""
