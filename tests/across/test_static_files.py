"""Files of a mount over real connections: what ``files/`` decides reaches the client."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from katana_asgi import StaticFiles, StaticRoute
from katana_asgi.testing import HttpPeer, running
from tests.raw_client import RawClient


@pytest.fixture
def assets(tmp_path):
    (tmp_path / "small.txt").write_bytes(b"small\n")
    (tmp_path / "large.bin").write_bytes(bytes(range(256)) * 8192)
    (tmp_path / ".hidden").write_bytes(b"secret")
    return tmp_path


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"application"})


def mounted(directory):
    return [StaticFiles("/assets", str(directory))]


async def ask(client: HttpPeer, line: bytes, *fields: bytes, method: str = "GET"):
    head = b"\r\n".join((line + b" HTTP/1.1", b"Host: a", *fields))
    await client.send(head + b"\r\n\r\n")
    return await client.response(method)


async def test_files_and_the_application_share_a_connection(assets, http):
    mounts = mounted(assets)
    async with running(application, http=http, static_dir=mounts) as server:
        async with await server.connect() as client:
            small = await ask(client, b"GET /assets/small.txt")
            assert (small.status, small.body) == (200, b"small\n")
            assert small.header(b"content-type") == b"text/plain; charset=utf-8"
            large = await ask(client, b"GET /assets/large.bin")
            assert large.body == bytes(range(256)) * 8192
            part = await ask(client, b"GET /assets/large.bin", b"Range: bytes=250-260")
            assert part.status == 206
            assert part.body == (bytes(range(256)) * 2)[250:261]
            etag = small.header(b"etag")
            assert etag is not None
            same = await ask(client, b"GET /assets/small.txt", b"If-None-Match: " + etag)
            assert (same.status, same.body) == (304, b"")
            head = await ask(client, b"HEAD /assets/large.bin", method="HEAD")
            assert head.header(b"content-length") == b"2097152"
            other = await ask(client, b"GET /other")
            assert other.body == b"application"


@pytest.mark.parametrize("path", [b"/assets/.hidden", b"/assets/..%2f..%2fetc/passwd"])
async def test_what_lies_outside_or_is_hidden_is_not_served(assets, http, path):
    async with running(application, http=http, static_dir=mounted(assets)) as server:
        async with await server.connect() as client:
            answer = await ask(client, b"GET " + path)
            assert answer.body == b"application"


# -- small files from memory, before the application is called


class Counting:
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, scope, receive, send):
        self.calls += 1
        await application(scope, receive, send)


@pytest.fixture
def settled(monkeypatch):
    """Changes count as settled at once, and memory is trusted for long."""
    monkeypatch.setattr("katana_asgi.files.mount.SETTLED", -1.0)
    monkeypatch.setattr("katana_asgi.files.mount.TRUSTED_FOR", 60.0)


async def test_a_file_in_memory_needs_no_call(assets, http, settled):
    app = Counting()
    async with running(app, http=http, lifespan="off", static_dir=mounted(assets)) as server:
        server.server.context.application = refuse_once(server.server.context)
        async with await server.connect() as client:
            answers = [await ask(client, b"GET /assets/small.txt") for _ in range(3)]
            tag = b"If-None-Match: " + answers[0].header(b"etag")
            same = await ask(client, b"GET /assets/small.txt", tag)
            head = await ask(client, b"HEAD /assets/small.txt", method="HEAD")
            part = await ask(client, b"GET /assets/small.txt", b"Range: bytes=1-2")
            once = server.server.context.application
    assert {answer.body for answer in answers} == {b"small\n"}
    assert [set(answer.headers) - {("date", 0)} for answer in answers[1:]] == [
        set(answers[0].headers)
    ] * 2
    assert (same.status, head.status, part.status) == (304, 200, 206)
    assert part.body == b"ma"
    assert app.calls == 0
    assert once.calls == 1


class refuse_once:  # noqa: N801 - reads as what it does
    """Counts how often the wrapped application is called."""

    def __init__(self, context) -> None:
        self._application = context.application
        self.calls = 0

    async def __call__(self, scope, receive, send):
        self.calls += 1
        await self._application(scope, receive, send)


async def test_the_same_read_again_gets_the_file_as_it_is_now(assets, http, monkeypatch):
    """Static routes remember the last read; a file that changes must not be remembered so."""
    monkeypatch.setattr("katana_asgi.files.mount.SETTLED", -1.0)
    monkeypatch.setattr("katana_asgi.files.mount.TRUSTED_FOR", 0.05)
    async with running(application, http=http, static_dir=mounted(assets)) as server:
        async with await server.connect() as client:
            for _ in range(3):
                assert (await ask(client, b"GET /assets/small.txt")).body == b"small\n"
            (assets / "small.txt").write_bytes(b"changed\n")
            await asyncio.sleep(0.06)
            assert (await ask(client, b"GET /assets/small.txt")).body == b"changed\n"
            (assets / "small.txt").unlink()
            await asyncio.sleep(0.06)
            assert (await ask(client, b"GET /assets/small.txt")).body == b"application"


async def test_static_routes_come_first_and_files_below_a_root_path(assets, http):
    route = StaticRoute("/assets/small.txt", body=b"route")
    settings = {
        "http": http,
        "static_dir": mounted(assets),
        "root_path": "/r",
    }
    async with running(application, static_route=[route], **settings) as server:
        async with await server.connect() as client:
            assert (await ask(client, b"GET /assets/small.txt")).body == b"route"
            assert (await ask(client, b"HEAD /assets/large.bin", method="HEAD")).header(
                b"content-length"
            ) == b"2097152"


async def test_pipelined_files_come_in_their_order(assets, http, settled):
    get = b"GET /assets/%b HTTP/1.1\r\nHost: a\r\n\r\n"
    names = [b"small.txt", b"large.bin", b"small.txt", b"none", b"small.txt"]
    async with running(application, http=http, static_dir=mounted(assets)) as server:
        async with await server.connect() as client:
            for _ in range(2):
                await client.send(b"".join(get % name for name in names))
                bodies = [(await client.response()).body for _ in names]
                large = bytes(range(256)) * 8192
                assert bodies == [b"small\n", large, b"small\n", b"application", b"small\n"]


async def test_requests_with_content_or_an_upgrade_are_not_answered_from_memory(
    assets, http, settled
):
    async with running(application, http=http, static_dir=mounted(assets)) as server:
        async with await server.connect() as client:
            await ask(client, b"GET /assets/small.txt")
            await client.send(
                b"GET /assets/small.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
            )
            assert (await client.response()).body == b"small\n"
            assert (await ask(client, b"POST /assets/small.txt")).body == b"application"


async def test_the_access_log_has_the_bytes_of_each_file(assets, http, settled, caplog):
    """From memory and by sendfile, whole, in part, not at all, and broken off."""
    with (assets / "huge.bin").open("wb") as file:
        file.truncate(64 * 2**20)
    settings = {
        "http": http,
        "static_dir": mounted(assets),
        "access_log": True,
        "access_log_format": "%(m)s %(s)s %(B)s",
    }
    large, part = b"GET /assets/large.bin", b"Range: bytes=5-104"
    with caplog.at_level("INFO", "katana_asgi.access"):
        async with running(application, **settings) as server:
            async with await server.connect() as client:
                for _ in range(2):
                    await ask(client, b"GET /assets/small.txt")
                    await ask(client, b"HEAD /assets/small.txt", method="HEAD")
                    await ask(client, b"GET /assets/small.txt", b"Range: bytes=1-2")
                    await ask(client, b"GET /assets/small.txt", b"If-None-Match: *")
                await ask(client, large)
                await ask(client, large, part)
                await ask(client, b"HEAD /assets/large.bin", method="HEAD")
                await ask(client, large, b"Range: bytes=9999999-")
            async with await RawClient.open(server.host, server.port) as leaving:
                await leaving.send(b"GET /assets/huge.bin HTTP/1.1\r\nHost: a\r\n\r\n")
                await leaving.read(100_000)
    small = ["GET 200 6", "HEAD 200 0", "GET 206 2", "GET 304 0"] * 2
    lines = [each.getMessage() for each in caplog.records if each.name == "katana_asgi.access"]
    assert lines[:-1] == [*small, "GET 200 2097152", "GET 206 100", "HEAD 200 0", "GET 416 0"]
    method, status, sent = lines[-1].split()
    assert (method, status) == ("GET", "499")
    assert 0 < int(sent) < 64 * 2**20


async def test_field_lines_of_one_name_are_one_list_of_conditions(assets, http, settled):
    async with running(application, http=http, static_dir=mounted(assets)) as server:
        async with await server.connect() as client:
            for name in (b"small.txt", b"large.bin"):
                line = b"GET /assets/" + name
                tag = (await ask(client, line)).header(b"etag")
                several = (b'If-None-Match: "a"', b"If-None-Match: " + tag)
                assert (await ask(client, line, *several)).status == 304
                several = (b'If-Match: "a"', b"If-Match: " + tag)
                assert (await ask(client, line, *several)).status == 200
                several = (b"Range: bytes=0-0", b"Range: bytes=1-1")
                assert (await ask(client, line, *several)).status == 200


async def test_a_body_and_an_expectation_do_not_disturb_a_file(assets, http, settled):
    async with running(application, http=http, static_dir=mounted(assets)) as server:
        async with await server.connect() as client:
            for name in (b"small.txt", b"large.bin"):
                size = (assets / name.decode()).stat().st_size
                line = b"GET /assets/" + name
                for _ in range(2):
                    head = line + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                    await client.send(head)
                    assert len((await client.response()).body) == size
                    chunked = b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                    await client.send(line + b" HTTP/1.1\r\nHost: a\r\n" + chunked)
                    assert len((await client.response()).body) == size
            await client.send(
                b"GET /assets/small.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                b"Expect: 100-continue\r\n\r\n"
            )
            assert (await client.response()).body == b"small\n"


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS"])
async def test_other_methods_are_the_applications_or_refused(assets, http, method):
    for fallback, expected in (("application", (200, None)), ("404", (405, b"GET, HEAD"))):
        mounts = [StaticFiles("/assets", str(assets), fallback=fallback)]
        async with running(application, http=http, static_dir=mounts) as server:
            async with await server.connect() as client:
                answer = await ask(client, method + b" /assets/small.txt", b"Content-Length: 0")
                assert (answer.status, answer.header(b"allow")) == expected


async def test_a_mount_shadows_the_application_and_leaves_it_the_rest(assets, http):
    (assets / "index.html").write_bytes(b"home")
    mounts = [StaticFiles("/", str(assets))]
    async with running(application, http=http, static_dir=mounts) as server:
        async with await server.connect() as client:
            for path, body in (
                (b"/", b"home"),
                (b"/small.txt", b"small\n"),
                (b"/x", b"application"),
            ):
                assert (await ask(client, b"GET " + path)).body == body


async def test_clients_that_do_not_read_cost_no_memory(assets, http):
    """No more than the kernel holds: nothing of the file is read for them."""
    with (assets / "huge.bin").open("wb") as file:
        file.truncate(64 * 2**20)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            running(application, http=http, static_dir=mounted(assets))
        )
        clients = [await RawClient.open(server.host, server.port) for _ in range(20)]
        before = resident()
        for client in clients:
            await stack.enter_async_context(client)
            await client.send(b"GET /assets/huge.bin HTTP/1.1\r\nHost: a\r\n\r\n")
            await client.read(100)
        assert resident() - before < len(clients) * 300_000


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
