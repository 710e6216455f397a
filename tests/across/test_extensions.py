"""ASGI's extensions of HTTP responses: early hints, files by path and by descriptor, trailers."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from starlette.responses import FileResponse

from katana_asgi.files.disk import Disk
from katana_asgi.files.sending import RangeReader
from katana_asgi.testing import HttpPeer, running
from tests.messages import bytes_of, sends, start_message
from tests.raw_client import RawClient
from tests.support import within

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    App = Callable[[Any, Any, Any], Awaitable[None]]

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
WITH_TE = b"GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE\r\n\r\n"
SIZES = [0, 1, 65535, 65537, 1048577, 8 * 1048576 + 3]


class Seen:
    """Keeps the extensions of each scope."""

    def __init__(self) -> None:
        self.extensions: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.extensions.append(scope["extensions"])
        await send(start_message())
        await send({"type": "http.response.body"})


ALWAYS = {"http.response.pathsend", "http.response.zerocopysend"}


async def test_extensions_are_offered_where_they_work(http: str) -> None:
    seen = Seen()
    async with running(seen, http=http, lifespan="off") as server:
        await server.exchange(GET)
        await server.exchange(WITH_TE)
        await server.exchange(b"GET / HTTP/1.1\r\nHost: x\r\nTE: gzip;q=0.5 , Trailers\r\n\r\n")
        await server.exchange(b"GET / HTTP/1.1\r\nHost: x\r\nTE: gzip\r\n\r\n")
        await server.exchange(b"GET / HTTP/1.0\r\nTE: trailers\r\n\r\n")
    hints, trailers = "http.response.early_hint", "http.response.trailers"
    assert [set(each) for each in seen.extensions] == [
        ALWAYS | {hints},
        ALWAYS | {hints, trailers},
        ALWAYS | {hints, trailers},
        ALWAYS | {hints},
        ALWAYS,
    ]
    seen.extensions[0]["http.response.pathsend"]["changed"] = True
    assert not seen.extensions[1]["http.response.pathsend"]


# -- early hints


async def test_early_hints_come_before_the_response(http: str) -> None:
    application = sends(
        {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b.js>"]},
        {"type": "http.response.early_hint", "links": []},
        start_message(),
        {"type": "http.response.body", "body": b"hello"},
    )
    async with running(application, http=http, lifespan="off") as server:
        async with await server.connect() as client:
            await client.send(GET)
            hint = await client.head()
            response = await client.response()
            await client.send(b"GET / HTTP/1.0\r\n\r\n")
            old = await client.response()
    assert hint.status == 103
    assert hint.headers == [(b"link", b"</a.css>; rel=preload"), (b"link", b"</b.js>")]
    assert (response.status, response.body) == (200, b"hello")
    assert (old.status, old.body) == (200, b"hello")


@pytest.mark.parametrize(
    "messages",
    [
        [start_message(), {"type": "http.response.early_hint", "links": [b"<a>"]}],
        [{"type": "http.response.early_hint", "links": [b"<a>\r\nx: y"]}],
        [{"type": "http.response.early_hint", "links": ["text"]}],
        [start_message(), {"type": "http.response.pathsend", "path": "relative"}],
        [start_message(), {"type": "http.response.pathsend", "path": "/does/not/exist"}],
        [start_message(), {"type": "http.response.pathsend", "path": "/tmp"}],
        [start_message(), {"type": "http.response.pathsend", "path": "/dev/zero"}],
        [{"type": "http.response.pathsend", "path": __file__}],
        [
            start_message((b"content-length", b"3")),
            {"type": "http.response.pathsend", "path": __file__},
        ],
        [start_message(), {"type": "http.response.trailers", "headers": []}],
        [start_message(trailers=True), {"type": "http.response.trailers", "headers": []}],
        [start_message(), {"type": "http.response.unheard_of"}],
    ],
)
async def test_what_an_application_must_not_send_is_a_500(http: str, messages: Any) -> None:
    async with running(sends(*messages), http=http, lifespan="off") as server:
        response = await server.exchange(WITH_TE)
    assert response.status == 500


# -- files by path


@pytest.mark.parametrize("size", SIZES)
async def test_a_file_is_sent_whole_and_the_next_request_follows(
    http: str, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes_of(size))
    application = sends(start_message(), {"type": "http.response.pathsend", "path": str(path)})
    async with running(application, http=http, lifespan="off") as server:
        async with await server.connect() as client:
            await client.send(GET + GET)
            responses = [await client.response(), await client.response()]
            await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await client.response("HEAD")
    for response in responses:
        assert response.header(b"content-length") == b"%d" % size
        assert response.body == bytes_of(size)
    assert head.header(b"content-length") == b"%d" % size
    assert head.body == b""


async def test_a_file_after_its_message_is_a_whole_response(http: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    message = {"type": "http.response.pathsend", "path": str(path)}
    failed = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(start_message())
        await send(message)
        try:
            await send(message)
        except Exception as error:  # noqa: BLE001 - which one it is, is checked
            failed.append(type(error).__name__)

    async with running(application, http=http, lifespan="off") as server:
        response = await server.exchange(GET)
    assert response.body == b"content"
    assert failed == ["LocalProtocolError"]


@pytest.mark.parametrize("announced", [(), ((b"content-length", b"7"),)])
async def test_a_file_may_come_when_its_head_has_gone_alone(
    http: str, tmp_path: Path, announced: tuple[tuple[bytes, bytes], ...]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    head_came = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(start_message(*announced))
        await head_came.wait()
        await send({"type": "http.response.pathsend", "path": str(path)})

    async with running(application, http=http, lifespan="off") as server:
        async with await server.connect() as client:
            await client.send(GET)
            head = await client.head()
            head_came.set()
            expected = b"content" if announced else b"7\r\ncontent\r\n0\r\n\r\n"
            assert await within(client.reader.readexactly(len(expected))) == expected
    assert head.status == 200


async def test_starlette_sends_files_by_path_and_parts_of_them(http: str, tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(bytes_of(3 * 1048576))
    types: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        async def watched(message: Any) -> None:
            types.append(message["type"])
            await send(message)

        await FileResponse(path)(scope, receive, watched)

    async with running(application, http=http, lifespan="off") as server:
        whole = await server.exchange(GET)
        part = await server.exchange(
            b"GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=1000000-2000000\r\n\r\n"
        )
        head = await server.exchange(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", method="HEAD")
    assert whole.body == bytes_of(3 * 1048576)
    assert types[1] == "http.response.pathsend"
    assert part.status == 206
    assert part.body == bytes_of(3 * 1048576)[1000000:2000001]
    assert head.header(b"content-length") == b"%d" % (3 * 1048576)


def certificates(folder: Path) -> tuple[ssl.SSLContext, Path, Path]:
    """What a client trusts, and a certificate and its key."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    certificate, key = folder / "c.pem", folder / "k.pem"
    certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    return trust, certificate, key


@pytest.mark.parametrize("size", SIZES)
async def test_over_tls_the_bytes_are_the_same(http: str, tmp_path: Path, size: int) -> None:
    trust, certificate, key = certificates(tmp_path)
    path = tmp_path / "file"
    path.write_bytes(bytes_of(size))
    application = sends(start_message(), {"type": "http.response.pathsend", "path": str(path)})
    settings = {"ssl_certfile": certificate, "ssl_keyfile": key, "http": http}
    async with running(application, lifespan="off", **settings) as server:
        streams = await asyncio.open_connection(
            server.host, server.port, ssl=trust, server_hostname="localhost", limit=2**26
        )
        async with HttpPeer(*streams) as client:
            await client.send(GET)
            response = await client.response()
    assert response.body == bytes_of(size)


class FailingDisk(Disk):
    """Nothing is in the page cache, and reads fail behind the first."""

    def read_now(self, opened: int, size: int, offset: int) -> bytes | None:
        return None

    def is_cold(self, opened: int, offset: int) -> bool:
        return True

    def read(self, opened: int, size: int, offset: int) -> bytes:
        if offset:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(opened, size, offset)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_a_disk_that_fails_breaks_the_response_off(
    http: str, tmp_path: Path, tls: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes_of(4 * 1048576))
    application = sends(start_message(), {"type": "http.response.pathsend", "path": str(path)})
    settings: dict[str, Any] = {"http": http, "lifespan": "off"}
    trust = None
    if tls:
        trust, settings["ssl_certfile"], settings["ssl_keyfile"] = certificates(tmp_path)
    async with running(application, **settings) as server:
        context = server.server.context
        assert context is not None
        context.reader = RangeReader(FailingDisk())
        name = "localhost" if tls else None
        streams = await asyncio.open_connection(
            server.host, server.port, ssl=trust, server_hostname=name, limit=2**26
        )
        async with HttpPeer(*streams) as client:
            await client.send(GET)
            assert (await client.head()).header(b"content-length") == b"4194304"
            content = await client.rest()  # its end comes: nothing hangs
        assert content == bytes_of(len(content))
        assert len(content) <= 256 * 1024
        links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        assert str(path) not in [os.path.realpath(link) for link in links]
    assert "Input/output error" in caplog.text


# -- open files


async def test_an_open_file_is_read_where_the_message_says(http: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes_of(200_000))
    with path.open("rb") as file:

        async def application(scope: Any, receive: Any, send: Any) -> None:
            file.seek(7)
            await send(start_message())
            for more in ({"offset": 100, "count": 90_000}, {"offset": 5, "count": 0}, {}):
                message = {"type": "http.response.zerocopysend", "file": file, "more_body": True}
                await send({**message, **more})
            await send({"type": "http.response.body", "body": b"between", "more_body": True})
            count = {"offset": 1, "count": 2}
            await send({"type": "http.response.zerocopysend", "file": file.fileno(), **count})
            assert file.tell() == 7

        async with running(application, http=http, lifespan="off") as server:
            async with await server.connect() as client:
                await client.send(GET + GET)
                bodies = [(await client.response()).body for _ in range(2)]
    content = bytes_of(200_000)
    expected = content[100:90_100] + content[7:] + b"between" + content[1:3]
    assert bodies == [expected, expected]


async def test_a_file_that_is_closed_after_its_message_is_sent(http: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes_of(100_000))

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(start_message())
        with path.open("rb") as file:
            await send({"type": "http.response.zerocopysend", "file": file})

    async with running(application, http=http, lifespan="off") as server:
        response = await server.exchange(GET)
    assert response.header(b"content-length") == b"100000"
    assert response.body == bytes_of(100_000)


@pytest.mark.parametrize("part", [{"offset": 11}, {"offset": 0, "count": 11}, {"offset": -1}])
async def test_parts_beyond_the_end_and_pipes_are_refused(
    http: str, tmp_path: Path, part: dict[str, int]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    reading, writing = os.pipe()
    try:
        with path.open("rb") as file:
            beyond = {"type": "http.response.zerocopysend", "file": file, **part}
            if part == {"offset": 11}:
                beyond = {"type": "http.response.zerocopysend", "file": reading}
            async with running(sends(start_message(), beyond), http=http, lifespan="off") as server:
                response = await server.exchange(GET)
    finally:
        os.close(reading)
        os.close(writing)
    assert response.status == 500


# -- what may go wrong meanwhile


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_a_client_that_leaves_ends_the_sending(http: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(200 * 1048576)
    ended = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send(start_message())
            await send({"type": "http.response.pathsend", "path": str(path)})
        finally:
            ended.set()

    async with running(application, http=http, lifespan="off") as server:
        before = descriptors()
        for _ in range(5):
            ended.clear()
            async with await RawClient.open(server.host, server.port) as client:
                await client.send(GET)
                await client.read(100)
            await within(ended.wait())
        async with await server.connect() as client:  # the server is there for others
            await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await client.response("HEAD")).status == 200
    assert descriptors() <= before


async def test_a_client_that_does_not_read_is_reset_in_time(http: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(200 * 1048576)
    ended = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send(start_message())
            await send({"type": "http.response.pathsend", "path": str(path)})
        finally:
            ended.set()

    settings = {"http": http, "lifespan": "off", "timeout_write": 1.0}
    async with running(application, **settings) as server:
        async with await RawClient.open(server.host, server.port) as client:
            await client.send(GET)
            await within(ended.wait())
            assert await client.was_reset()


async def test_a_slow_client_that_reads_on_gets_all_of_it(http: str, tmp_path: Path) -> None:
    """Longer than the write timeout, but never without progress."""
    path = tmp_path / "file"
    path.write_bytes(bytes_of(6 * 1048576))
    application = sends(start_message(), {"type": "http.response.pathsend", "path": str(path)})
    settings = {"http": http, "lifespan": "off", "timeout_write": 1.0}
    async with running(application, **settings) as server:
        async with await RawClient.open(server.host, server.port) as client:
            await client.send(GET)
            received = bytearray(await client.read(32768))
            size = received.index(b"\r\n\r\n") + 4 + 6 * 1048576
            while len(received) < size:
                data = await client.read(32768)
                assert data
                received += data
                await asyncio.sleep(0.002)
    assert received.partition(b"\r\n\r\n")[2] == bytes_of(6 * 1048576)


async def test_a_file_that_shrinks_breaks_the_response_off(http: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(64 * 1048576)
    raised = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(start_message())
        try:
            await send({"type": "http.response.pathsend", "path": str(path)})
        except OSError as error:
            raised.append(type(error).__name__)
            raise

    async with running(application, http=http, lifespan="off") as server:
        async with await RawClient.open(server.host, server.port) as client:
            await client.send(GET)
            first = await client.read(1000)
            os.truncate(path, 1000)
            rest = await client.read_to_end()
    assert b"content-length: 67108864" in first
    assert rest < 64 * 1048576 - len(first)
    assert raised == ["FileShrank"]


# -- trailers


async def test_trailers_follow_chunked_content(http: str) -> None:
    application = sends(
        start_message(trailers=True),
        {"type": "http.response.body", "body": b"hello ", "more_body": True},
        {"type": "http.response.body", "body": b"world"},
        {"type": "http.response.trailers", "headers": [(b"X-A", b"1")], "more_trailers": True},
        {"type": "http.response.trailers", "headers": [(b"x-b", b"2")]},
    )
    async with running(application, http=http, lifespan="off") as server:
        async with await server.connect() as client:
            await client.send(WITH_TE)
            head = await client.head()
            end = b"5\r\nworld\r\n0\r\nx-a: 1\r\nx-b: 2\r\n\r\n"
            content = await within(client.reader.readuntil(end))
            await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n")
            bodiless = await client.response("HEAD")
            await client.send(WITH_TE)
            assert (await client.head()).status == 200
    assert head.header(b"transfer-encoding") == b"chunked"
    assert content == b"6\r\nhello \r\n" + end
    assert bodiless.status == 200


async def test_content_of_known_length_has_no_place_for_trailers(http: str) -> None:
    application = sends(
        start_message((b"content-length", b"5"), trailers=True),
        {"type": "http.response.body", "body": b"hello"},
        {"type": "http.response.trailers", "headers": [(b"x-a", b"1")]},
    )
    async with running(application, http=http, lifespan="off") as server:
        async with await server.connect() as client:
            await client.send(WITH_TE + WITH_TE)
            bodies = [(await client.response()).body for _ in range(2)]
    assert bodies == [b"hello", b"hello"]


async def test_trailers_that_steer_or_never_come_break_the_response_off(http: str) -> None:
    steering = {"type": "http.response.trailers", "headers": [(b"content-length", b"1")]}
    for last in ([steering], []):
        application = sends(
            start_message(trailers=True), {"type": "http.response.body", "body": b"hello"}, *last
        )
        async with running(application, http=http, lifespan="off") as server:
            async with await server.connect() as client:
                await client.send(WITH_TE)
                await client.head()
                assert await client.rest() == b"5\r\nhello\r\n"


async def test_trailers_follow_a_file(http: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with path.open("rb") as file:
        application = sends(
            start_message(trailers=True),
            {"type": "http.response.zerocopysend", "file": file, "more_body": True},
            {"type": "http.response.body"},
            {"type": "http.response.trailers", "headers": [(b"x-a", b"1")]},
        )
        async with running(application, http=http, lifespan="off") as server:
            async with await server.connect() as client:
                await client.send(WITH_TE)
                await client.head()
                end = await within(client.reader.readuntil(b"x-a: 1\r\n\r\n"))
    assert end == b"7\r\ncontent\r\n0\r\nx-a: 1\r\n\r\n"
