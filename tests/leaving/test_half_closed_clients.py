"""Real clients that end their sending side read a stream whole, whatever the server sends to probe.

A silent stream to a peer that sends no more gets a zero in front of its next chunk size from time
to time (RFC 9112 §7.1: leading zeros change nothing).
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from importlib.util import find_spec

from katana_asgi.testing import running
from tests.applications import get, start
from tests.support import within


def piece(body, more=True):
    return {"type": "http.response.body", "body": body, "more_body": more}


async def paused_stream(_scope, _receive, send):
    """Two pieces with a silence between them that is worth several probes."""
    await start(send)
    await send(piece(b"before "))
    await asyncio.sleep(2.2)
    await send(piece(b"x" * 5000))
    await asyncio.sleep(0.6)
    await send(piece(b"", more=False))


CONTENT = b"before " + b"x" * 5000

NODE = """
const socket = require('net').connect(%d, '127.0.0.1');
require('http').get({createConnection: () => socket}, response => {
    socket.end();
    response.on('data', data => process.stdout.write(data));
});
"""

HTTPX = """
import socket, sys, httpx
with httpx.Client(trust_env=False) as client:
    with client.stream("GET", "http://127.0.0.1:%d/") as response:
        response.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_WR)
        for data in response.iter_raw():
            sys.stdout.write(data.decode())
"""

STANDARD = """
import http.client, socket, sys
connection = http.client.HTTPConnection("127.0.0.1", %d)
connection.request("GET", "/")
connection.sock.shutdown(socket.SHUT_WR)
sys.stdout.write(connection.getresponse().read().decode())
"""

AIOHTTP = """
import asyncio, aiohttp, socket, sys
async def main():
    async with aiohttp.ClientSession() as session:
        async with session.get("http://127.0.0.1:%d/") as response:
            response.connection.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
            sys.stdout.write((await response.read()).decode())
asyncio.run(main())
"""

PROGRAMS = {"node": NODE, "httpx": HTTPX, "http.client": STANDARD, "aiohttp": AIOHTTP}


async def output_of(name, port):
    """What a client writes, in the end its errors."""
    command = [shutil.which("node"), "-e"] if name == "node" else [sys.executable, "-c"]
    process = await asyncio.create_subprocess_exec(
        *command, PROGRAMS[name] % port, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    return b"".join(await within(process.communicate()))


async def raw(server):
    async with await server.connect() as client:
        await client.send(get())
        client.half_close()
        return (await client.response()).body


async def test_half_closed_clients_read_their_streams_whole():
    names = [name for name in PROGRAMS if (shutil.which if name == "node" else installed)(name)]
    async with running(paused_stream, lifespan="off") as server:
        outputs = await asyncio.gather(
            raw(server), *(output_of(name, server.port) for name in names)
        )
    assert dict(zip(["raw", *names], outputs, strict=True)) == dict.fromkeys(
        ["raw", *names], CONTENT
    )


def installed(name):
    return find_spec(name) is not None
