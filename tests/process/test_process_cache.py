"""The response caches of several workers, which are invalidated together."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from katana_asgi.testing import HttpPeer
from tests.support import ServerProcess, within

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION = """
import os
from katana_asgi.cache import invalidate

calls = 0

FORGET = {
    "/forget-tag": {"tag": "all-of-them"},
    "/forget-path": {"url": "/a"},
    "/forget-address": {"url": "http://X:80/a"},
    "/forget-prefix": {"prefix": "http://x/"},
    "/forget-all": {},
}

async def app(scope, receive, send):
    global calls
    if scope["type"] == "lifespan":
        raise RuntimeError
    headers = [(b"cache-control", b"public, max-age=600"), (b"cache-tag", b"all-of-them")]
    if scope["path"] in FORGET:
        invalidate(**FORGET[scope["path"]])
        headers = []
    elif scope["method"] == "GET":
        calls += 1
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"%d %d" % (os.getpid(), calls)})
"""


async def bodies(url: str, count: int) -> set[bytes]:
    """What a number of connections get, which the kernel spreads over the workers."""
    host, port = url.removeprefix("http://").split(":")

    async def body() -> bytes:
        async with await HttpPeer.open(host, int(port)) as client:
            await client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            return (await client.response()).body

    return set(await asyncio.gather(*[body() for _ in range(count)]))


async def ask(url: str, line: bytes) -> None:
    host, port = url.removeprefix("http://").split(":")
    async with await HttpPeer.open(host, int(port)) as client:
        await client.send(line + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert (await client.response()).status == 200


async def until(url: str, calls: bytes) -> set[bytes]:
    """Ask until both workers have called the application so often; what both say."""
    seen: set[bytes] = set()
    while sum(each.endswith(b" " + calls) for each in seen) < 2:
        seen |= await bodies(url, 8)
    return {each for each in seen if each.endswith(b" " + calls)}


async def test_an_invalidation_reaches_all_workers(tmp_path: Path) -> None:
    (tmp_path / "cached.py").write_text(APPLICATION)
    arguments = ("cached:app", "--app-dir", str(tmp_path), "--workers", "2", "--cache", "1MiB")
    with ServerProcess(*arguments) as process:
        url = process.wait_listening()
        await within(until(url, b"1"))
        assert len(await bodies(url, 16)) <= 2  # all of them are hits
        await ask(url, b"POST /a")  # an unsafe method that succeeds, at one of the workers
        await within(until(url, b"2"))
        for number, way in enumerate((b"tag", b"path", b"address", b"prefix", b"all"), 3):
            await ask(url, b"GET /forget-" + way)
            await within(until(url, b"%d" % number))
        assert process.stop() == 0


DRAINED = """
import asyncio
from pathlib import Path

calls = 0

async def app(scope, receive, send):
    global calls
    if scope["type"] == "lifespan":
        raise RuntimeError
    calls += 1
    number = calls
    headers = [(b"cache-control", b"public, max-age=1, stale-while-revalidate=600")]
    if scope["path"] == "/stale":
        headers = [(b"cache-control", b"public, max-age=10, stale-while-revalidate=600"),
                   (b"age", b"9")]
        if number > 1:
            Path("refreshing").touch()
            await asyncio.sleep(3600)
    else:
        Path("called").touch()
        while not Path("go").exists():
            await asyncio.sleep(0.01)
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"%d" % number})
"""


async def open_to(url: str) -> HttpPeer:
    host, port = url.removeprefix("http://").split(":")
    return await HttpPeer.open(host, int(port))


async def test_a_worker_that_drains_answers_all_who_wait_for_one_call(tmp_path: Path) -> None:
    (tmp_path / "drained.py").write_text(DRAINED)
    with ServerProcess("drained:app", "--cache", "1MiB", cwd=tmp_path) as process:
        url = process.wait_listening()
        clients = [await open_to(url) for _ in range(10)]
        for client in clients:
            await client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        while not (tmp_path / "called").exists():
            await asyncio.sleep(0.01)
        process.signal(signal.SIGTERM)
        process.wait_for("Received SIGTERM")
        (tmp_path / "go").touch()
        answers = [await client.response() for client in clients]
        assert {answer.status for answer in answers} == {200}
        for client in clients:
            client.writer.close()
        assert process.finish() == 0


async def test_a_refresh_in_the_background_holds_up_no_stop(tmp_path: Path) -> None:
    (tmp_path / "drained.py").write_text(DRAINED)
    with ServerProcess("drained:app", "--cache", "1MiB", cwd=tmp_path) as process:
        url = process.wait_listening()
        while not (tmp_path / "refreshing").exists():
            async with await open_to(url) as client:
                await client.send(b"GET /stale HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await client.response()).body == b"1"
            await asyncio.sleep(0.05)
        assert process.stop() == 0
    assert "Traceback" not in process.stderr
    assert "never retrieved" not in process.stderr
