"""Every example runs as its docstring says, in a process of its own, and does what it shows."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import sys
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import InvalidStatus

from tests.ports import free_port
from tests.support import ROOT, TIMEOUT, ServerProcess, within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

EXAMPLES = ROOT / "examples"


@contextmanager
def command(*arguments: str) -> Iterator[tuple[ServerProcess, str]]:
    """Run ``katana-asgi ARGUMENTS`` from the root of the project; yields it and its URL."""
    with ServerProcess(*arguments, cwd=ROOT) as server:
        yield server, server.wait_listening()


@contextmanager
def script(name: str, port: int) -> Iterator[ServerProcess]:
    """Run ``python examples/NAME PORT``."""
    line = (sys.executable, f"examples/{name}", str(port))
    with ServerProcess(command=line, cwd=ROOT, port=False) as server:
        yield server


@asynccontextmanager
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT) as http:
        yield http


async def reachable(url: str) -> httpx.Response:
    """The answer of a server that is about to start and does not say when it has."""
    async with client(url) as http:
        async with asyncio.timeout(TIMEOUT):
            while True:
                try:
                    return await http.get("/")
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_bare(workers: str) -> None:
    with command("examples.bare:app", "--workers", workers) as (server, url):
        async with client(url) as http:
            assert (await http.get("/")).text == "hello from a bare application\n"
            content = bytes(200_000)
            echo = await http.post("/echo", content=content, headers={"content-type": "a/b"})
            assert (echo.content, echo.headers["content-type"]) == (content, "a/b")
        async with websocket(url.replace("http", "ws")) as socket_:
            for message in ("text", b"bytes"):
                await socket_.send(message)
                assert await within(socket_.recv()) == message
        assert server.stop() == 0
    assert "Traceback" not in server.stderr


async def test_welcome() -> None:
    with command("examples.welcome:app") as (server, url):
        async with client(url) as http:
            page = await http.get("/")
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            assert page.text.endswith("</html>\n")
            assert 'href="/json"' in page.text
            assert 'href="/events"' in page.text
            seen = (await http.get("/json?a=b")).json()
            assert (seen["method"], seen["path"], seen["query"]) == ("GET", "/json", "a=b")
            assert (await http.get("/elsewhere")).status_code == 404
            assert (await http.post("/")).headers["allow"] == "GET, HEAD"
            assert (await http.head("/")).headers["content-length"] == str(len(page.content))
            async with http.stream("GET", "/events") as events:
                assert events.headers["content-type"] == "text/event-stream"
                first = await anext(events.aiter_lines())
                assert first == "id: 0"
        assert server.stop() == 0
    assert "ERROR" not in server.stderr
    assert "Traceback" not in server.stderr


async def test_live() -> None:
    """The same page in a browser: tests/browser."""
    quick = ("--timeout-graceful-shutdown", "500ms")
    with command("examples.live:app", *quick) as (server, url):
        async with client(url) as http:
            assert "new WebSocket(" in (await http.get("/")).text
            assert (await http.get("/elsewhere")).status_code == 404
            async with http.stream("GET", "/events") as events:
                lines = events.aiter_lines()
                assert [await anext(lines) for _ in range(3)] == [
                    "retry: 200",
                    "event: numbers",
                    'data: {"present": 0, "lines": 0}',
                ]
                async with websocket(url.replace("http", "ws") + "/socket") as one:
                    await one.send("  hello\n")
                    assert await within(one.recv()) == '{"line": "hello"}'
                    async with websocket(url.replace("http", "ws") + "/socket") as two:
                        assert await within(two.recv()) == '{"line": "hello"}'
                    numbers = 'data: {"present": 2, "lines": 1}'
                    while await within(anext(lines)) != numbers:
                        pass
            with pytest.raises(InvalidStatus):
                await websocket(url.replace("http", "ws") + "/elsewhere")
        assert server.stop() == 0
    assert "Traceback" not in server.stderr


async def test_fastapi_app() -> None:
    content = b"0123456789abcdef" * 10_000
    with command("examples.fastapi_app:app") as (server, url):
        async with client(url) as http:
            assert "thread" in (await http.get("/")).json()["thread"].lower()
            missing = await http.get("/documents/a.txt")
            assert (missing.status_code, missing.json()) == (404, {"error": "no document a.txt"})
            receipt = await http.post("/documents", files={"document": ("a.txt", content)})
            assert receipt.status_code == 201
            assert receipt.json() == {
                "name": "a.txt",
                "size": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        assert server.stop() == 0  # a background task is part of the exchange: it is waited for
    assert "Traceback" not in server.stderr


async def test_a_background_task_of_fastapi_app_counts_the_document() -> None:
    with command("examples.fastapi_app:app") as (_, url):
        async with client(url) as http:
            await http.post("/documents", files={"document": ("a.txt", b"x")})
            async with asyncio.timeout(TIMEOUT):
                while (again := await http.get("/documents/a.txt")).status_code != 200:
                    pass
            assert again.json() == {"times": 1}


async def test_starlette_app() -> None:
    with command("examples.starlette_app:app") as (server, url):
        async with client(url) as http:
            numbers = await http.get("/numbers/1000")
            assert numbers.text.split() == [str(number) for number in range(1, 1001)]
            async with http.stream("GET", "/events") as events:
                lines = events.aiter_lines()
                assert await anext(lines) == ": welcome"
                posted = await http.post("/notices", content="news")
                assert (posted.status_code, posted.text) == (202, "1 listening\n")
                assert await anext(lines) == ""
                assert await anext(lines) == "data: news"
            async with asyncio.timeout(TIMEOUT):  # each notice is a write that may find out
                while (await http.post("/notices", content="?")).text != "0 listening\n":
                    pass
        assert server.stop() == 0
    assert "Traceback" not in server.stderr


async def test_embedded() -> None:
    port = free_port()
    with script("embedded.py", port) as server:
        first = await reachable(f"http://127.0.0.1:{port}")
        async with asyncio.timeout(TIMEOUT):  # the program's own task goes on meanwhile
            while int((await reachable(f"http://127.0.0.1:{port}")).text) <= int(first.text):
                pass
        server.signal(signal.SIGINT)
        assert server.finish() == 0
    *lines, last = server.stdout.splitlines()
    assert last.startswith("stopped at ")
    assert all(' - "GET / HTTP/1.1" 200 OK' in line for line in lines)
    assert "Traceback" not in server.stderr


async def test_embedded_anyio() -> None:
    with script("embedded_anyio.py", 0) as server:
        async with client(server.wait_listening()) as http:
            answers = [(await http.get("/")).text for _ in range(10)]
        assert answers[::9] == ["request 1 of 10\n", "request 10 of 10\n"]
        assert server.finish() == 0
    *lines, last = server.stdout.splitlines()
    assert (len(lines), last) == (10, "served 10 requests")


@contextmanager
def static_routes_from_code() -> Iterator[tuple[ServerProcess, str]]:
    with script("static_routes.py", 0) as server:
        yield server, server.wait_listening()


@contextmanager
def static_routes_from_a_file() -> Iterator[tuple[ServerProcess, str]]:
    with command("--config", "examples/katana.toml") as started:
        yield started


@pytest.mark.parametrize("start", [static_routes_from_code, static_routes_from_a_file])
async def test_static_routes(start) -> None:
    with start() as (server, url):
        async with client(url) as http:
            assert (await http.get("/healthz")).text == "ok\n"
            assert (await http.post("/healthz")).status_code == 405
            hello = await http.get("/hello/<you>")
            assert hello.text == "<p>Hello, &lt;you&gt;!</p>\n"
            assert hello.headers["content-type"] == "text/html; charset=utf-8"
            moved = await http.get("/old")
            assert (moved.status_code, moved.headers["location"]) == (308, "/new")
            robots = await http.get("/robots.txt")
            assert robots.headers["cache-control"] == "max-age=86400"
            tag = {"if-none-match": robots.headers["etag"]}
            assert (await http.get("/robots.txt", headers=tag)).status_code == 304
            assert (await http.get("/new")).text == "the application answers /new\n"
        assert server.stop() == 0
    assert server.stdout.count(" HTTP/1.1") == 7


def test_every_example_is_run_here() -> None:
    source = "".join(each.read_text() for each in Path(__file__).parent.parent.rglob("test_*.py"))
    for example in EXAMPLES.iterdir():
        if example.suffix in (".py", ".toml"):
            assert example.name in source or f"examples.{example.stem}:app" in source
