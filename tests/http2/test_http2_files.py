"""Files, stored responses and ASGI's extensions over HTTP/2: the same as over HTTP/1.1."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from katana_asgi import StaticFiles
from katana_asgi.files.disk import Disk
from katana_asgi.files.sending import RangeReader
from katana_asgi.testing import running
from tests.http2.client import Client
from tests.messages import bytes_of, sends, start_message
from tests.support import within

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    App = Callable[[Any, Any, Any], Awaitable[None]]

MIB = 1024 * 1024
INTERNAL_ERROR = 2


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send(start_message())
    await send({"type": "http.response.body", "body": b"application"})


SETTINGS: dict[str, Any] = {"http2": True, "lifespan": "off"}


async def test_extensions_are_offered() -> None:
    seen: list[set[str]] = []

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        seen.append(set(scope["extensions"]))
        await application(scope, receive, send)

    async with running(noting, **SETTINGS) as server:
        async with await Client.open(server.host, server.port) as client:
            await client.get("/")
            await client.get("/", ("te", "trailers"))
    files = {"http.response.pathsend", "http.response.zerocopysend"}
    hints, trailers = "http.response.early_hint", "http.response.trailers"
    assert seen == [files | {hints}, files | {hints, trailers}]


async def test_hints_content_and_trailers_come_in_their_order() -> None:
    messages = sends(
        {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]},
        start_message(trailers=True),
        {"type": "http.response.body", "body": b"hello"},
        {"type": "http.response.trailers", "headers": [(b"X-A", b"1")]},
    )
    async with running(messages, **SETTINGS) as server:
        async with await Client.open(server.host, server.port) as client:
            stream = await client.get("/", ("te", "trailers"))
    assert stream.informational == [(103, {b"link": b"</a.css>; rel=preload"})]
    assert (stream.content, stream.trailers) == (b"hello", {b"x-a": b"1"})


@pytest.mark.parametrize("size", [0, 65537, 2 * MIB + 1])
async def test_a_file_by_path_and_by_descriptor(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes_of(size))
    by_path = sends(start_message(), {"type": "http.response.pathsend", "path": str(path)})
    with path.open("rb") as file:
        part = {"type": "http.response.zerocopysend", "file": file, "offset": size // 2}
        by_file = sends(start_message(), part)
        for app, expected in (
            (by_path, bytes_of(size)),
            (by_file, bytes_of(size)[size // 2 :]),
        ):
            async with running(app, **SETTINGS) as server:
                async with await Client.open(server.host, server.port) as client:
                    streams = [client.begin(f"/{number}") for number in range(3)]
                    for stream in streams:
                        await client.finish(stream)
                    head = await client.get("/", method="HEAD")
            assert [stream.content for stream in streams] == [expected] * 3
            assert head.fields[b"content-length"] == b"%d" % len(expected)


@pytest.mark.parametrize(
    "messages",
    [
        [start_message(), {"type": "http.response.pathsend", "path": "relative"}],
        [start_message(), {"type": "http.response.pathsend", "path": "/does/not/exist"}],
        [start_message(), {"type": "http.response.pathsend", "path": "/dev/zero"}],
        [
            start_message((b"content-length", b"3")),
            {"type": "http.response.pathsend", "path": __file__},
        ],
        [start_message(), {"type": "http.response.early_hint", "links": [b"<a>"]}],
    ],
)
async def test_what_an_application_must_not_send_is_a_500(messages: Any) -> None:
    async with running(sends(*messages), **SETTINGS) as server:
        async with await Client.open(server.host, server.port) as client:
            assert (await client.get("/")).status == 500


async def test_files_of_a_mount(tmp_path: Path) -> None:
    (tmp_path / "small.txt").write_bytes(b"small\n")
    (tmp_path / "large.bin").write_bytes(bytes_of(2 * MIB))
    mounts = [StaticFiles("/assets", str(tmp_path))]
    async with running(application, static_dir=mounts, **SETTINGS) as server:
        async with await Client.open(server.host, server.port) as client:
            small = await client.get("/assets/small.txt")
            large = await client.get("/assets/large.bin")
            part = await client.get("/assets/large.bin", ("range", "bytes=5-9"))
            parts = await client.get("/assets/large.bin", ("range", "bytes=0-0,5000-5001"))
            same = await client.get(
                "/assets/small.txt", ("if-none-match", small.fields[b"etag"].decode())
            )
            outside = await client.get("/assets/..%2fsecret")
            head = await client.get("/assets/large.bin", method="HEAD")
    assert (small.content, large.content) == (b"small\n", bytes_of(2 * MIB))
    assert (part.status, part.content) == (206, bytes_of(10)[5:])
    assert parts.fields[b"content-type"].startswith(b"multipart/byteranges")
    assert len(parts.content) == int(parts.fields[b"content-length"])
    assert (same.status, same.content) == (304, b"")
    assert outside.content == b"application"
    assert head.fields[b"content-length"] == b"%d" % (2 * MIB)


async def test_a_file_that_shrinks_resets_its_stream_only(tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    mounts = [StaticFiles("/assets", str(tmp_path))]
    async with running(application, static_dir=mounts, **SETTINGS) as server:
        async with await Client.open(server.host, server.port, acknowledges=False) as client:
            stream = client.begin("/assets/large.bin")
            await client.until(lambda: stream.content)
            os.truncate(path, 1000)
            client.h2.increment_flow_control_window(32 * MIB)
            client.h2.increment_flow_control_window(32 * MIB, stream.number)
            client.flush()
            await client.finish(stream)
            assert stream.reset == INTERNAL_ERROR
            assert not stream.ended
            assert len(stream.content) < 64 * MIB
            assert (await client.get("/other")).content == b"application"


class FailingDisk(Disk):
    """Nothing is in the page cache, and reads fail behind the first."""

    def read_now(self, opened: int, size: int, offset: int) -> bytes | None:
        return None

    def read(self, opened: int, size: int, offset: int) -> bytes:
        if offset:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(opened, size, offset)


async def test_a_disk_that_fails_resets_its_stream_only(tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(bytes_of(2 * MIB))
    mounts = [StaticFiles("/assets", str(tmp_path))]
    async with running(application, static_dir=mounts, **SETTINGS) as server:
        server.server.context.reader = RangeReader(FailingDisk())  # type: ignore[union-attr]
        async with await Client.open(server.host, server.port) as client:
            stream = await client.get("/assets/large.bin")
            assert (stream.status, stream.reset) == (200, INTERNAL_ERROR)
            assert (await client.get("/other")).content == b"application"


async def test_a_stream_that_is_cancelled_closes_its_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    mounts = [StaticFiles("/assets", str(tmp_path))]

    def opened() -> bool:
        links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        return any(os.path.realpath(link) == str(path) for link in links)

    logging = {"access_log": True, "access_log_format": "%(s)s %(remark)s"}
    caplog.set_level("INFO", "katana_asgi.access")
    async with running(application, static_dir=mounts, **logging, **SETTINGS) as server:
        async with await Client.open(server.host, server.port, acknowledges=False) as client:
            stream = client.begin("/assets/large.bin")
            await client.until(lambda: stream.content)
            assert opened()
            client.reset(stream)
            while opened():
                await within(asyncio.sleep(0.01))
    assert [each.getMessage() for each in caplog.records] == ["499 client left after 200"]


async def test_both_versions_share_what_is_stored() -> None:
    calls: list[str] = []

    async def marked(scope: Any, receive: Any, send: Any) -> None:
        calls.append(scope["http_version"])
        await send(
            start_message((b"cache-control", b"public, max-age=60"), (b"connection", b"x-hop"))
        )
        await send({"type": "http.response.body", "body": b"stored"})

    async with running(marked, cache=MIB, **SETTINGS) as server:
        first = await server.exchange(b"GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n")
        async with await Client.open(server.host, server.port) as client:
            second = await client.get("/a")
            head = await client.get("/a", method="HEAD")
            other = await client.get("/a", authority="b.example")
            await client.post("/a", b"", ("content-length", "0"))
            gone = await client.get("/a")
        again = await server.exchange(b"GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n")
    assert (first.body, second.content, second.fields[b"age"]) == (b"stored", b"stored", b"0")
    assert b"connection" not in second.fields
    assert (head.content, head.fields[b"content-length"]) == (b"", b"6")
    assert b"age" not in other.fields
    assert b"age" not in gone.fields
    assert again.header(b"age") == b"0"
    assert calls == ["1.1", "2", "2", "2"]


async def test_the_authority_is_the_key_and_no_host_beside_it() -> None:
    async def marked(scope: Any, receive: Any, send: Any) -> None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        await send(start_message((b"cache-control", b"public, max-age=60")))
        await send({"type": "http.response.body", "body": b",".join(hosts)})

    async with running(marked, cache=MIB, **SETTINGS) as server:
        async with await Client.open(server.host, server.port) as client:
            client.h2.config.validate_outbound_headers = False
            await client.get("/a", ("host", "evil.example"))
        async with await Client.open(server.host, server.port) as client:
            for authority in ("a.example", "evil.example"):
                answer = await client.get("/a", authority=authority)
                assert answer.content == authority.encode()
