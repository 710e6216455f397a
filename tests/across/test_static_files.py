"""Files of a mount over real connections: what ``files/`` decides reaches the client."""

from __future__ import annotations

import pytest

from katana_asgi import StaticFiles
from tests.support import Connection, running


@pytest.fixture
def assets(tmp_path):
    (tmp_path / "small.txt").write_bytes(b"small\n")
    (tmp_path / "large.bin").write_bytes(bytes(range(256)) * 8192)
    (tmp_path / ".hidden").write_bytes(b"secret")
    return tmp_path


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"application"})


async def ask(client: Connection, line: bytes, *fields: bytes, method: str = "GET"):
    head = b"\r\n".join((line + b" HTTP/1.1", b"Host: a", *fields))
    await client.send(head + b"\r\n\r\n")
    return await client.response(method)


async def test_files_and_the_application_share_a_connection(assets, http):
    mounts = [StaticFiles("/assets", str(assets))]
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
    async with running(
        application, http=http, static_dir=[StaticFiles("/assets", str(assets))]
    ) as server:
        async with await server.connect() as client:
            answer = await ask(client, b"GET " + path)
            assert answer.status in (400, 404)
            assert b"secret" not in answer.body
