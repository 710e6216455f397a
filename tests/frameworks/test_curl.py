"""curl, the client that everybody has: what it asks for in its own ways is answered."""

from __future__ import annotations

import asyncio
import shutil

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse

from katana_asgi.testing import running
from tests.support import TIMEOUT

CURL = shutil.which("curl")

pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed")

CONTENT = bytes(range(256)) * 8192  # 2 MiB: more than the sockets hold


def application() -> FastAPI:
    """Counts, echoes and streams."""
    app = FastAPI()

    @app.get("/version")
    @app.head("/version")
    async def version(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.scope["http_version"])

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter(["one ", "two"]))

    @app.put("/echo")
    @app.post("/echo")
    async def echo(request: Request) -> StreamingResponse:
        headers = {"x-framing": request.headers.get("transfer-encoding", "length")}
        headers["x-expect"] = request.headers.get("expect", "nothing")
        return StreamingResponse(request.stream(), headers=headers)

    @app.put("/refuse")
    async def refuse() -> PlainTextResponse:
        return PlainTextResponse("not wanted", status_code=403)

    return app


class Told:
    """What one call of curl wrote."""

    def __init__(self, status: int, output: bytes, trace: bytes) -> None:
        self.status = status
        self.output = output
        self.trace = trace.decode("latin-1")

    def sent(self, field: str) -> bool:
        return f"\n> {field}" in self.trace

    def received(self, line: str) -> bool:
        return f"\n< {line}" in self.trace


async def curl(*arguments: str, given: bytes = b"") -> Told:
    """Run curl; its trace tells the heads of both sides."""
    assert CURL is not None
    process = await asyncio.create_subprocess_exec(
        *(CURL, "--silent", "--verbose", "--noproxy", "*", "--max-time", str(int(TIMEOUT))),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, trace = await process.communicate(given)
    assert process.returncode is not None
    return Told(process.returncode, output, trace.replace(b"\r\n", b"\n"))


@pytest.fixture
async def url(http):
    # Below spec 2.4 a StreamingResponse listens for a disconnect, and takes the content away.
    async with running(application(), http=http, disconnect="raise") as server:
        yield f"http://{server.host}:{server.port}"


async def test_two_urls_in_one_call_share_a_connection(url):
    told = await curl(f"{url}/version", f"{url}/stream", "--write-out", " %{num_connects}\n")
    assert (told.status, told.output) == (0, b"1.1 1\none two 0\n")


async def test_an_upload_of_unknown_length_is_chunked_and_echoed(url):
    told = await curl("-T", "-", f"{url}/echo", given=CONTENT)
    assert told.sent("Transfer-Encoding: chunked")
    assert told.received("x-framing: chunked")
    assert (told.status, told.output) == (0, CONTENT)


async def test_a_large_body_waits_for_100_continue(url, tmp_path):
    (tmp_path / "content").write_bytes(CONTENT)
    told = await curl(
        *("-X", "POST", "-T", str(tmp_path / "content"), "-H", "Expect: 100-continue"),
        *("--expect100-timeout", "60", f"{url}/echo"),
    )
    assert told.received("HTTP/1.1 100 Continue")
    assert told.received("x-expect: 100-continue")
    assert told.received("x-framing: length")
    assert (told.status, told.output) == (0, CONTENT)


async def test_a_large_body_that_is_refused_is_never_sent(url, tmp_path):
    (tmp_path / "content").write_bytes(CONTENT)
    told = await curl(
        *("-T", str(tmp_path / "content"), "-H", "Expect: 100-continue"),
        *("--expect100-timeout", "60", f"{url}/refuse", "--write-out", " %{size_upload}"),
    )
    assert not told.received("HTTP/1.1 100")
    assert told.received("HTTP/1.1 403 Forbidden")
    assert (told.status, told.output) == (0, b"not wanted 0")


async def test_http_1_0_gets_no_chunks_and_the_end_of_the_connection(url):
    told = await curl("--http1.0", f"{url}/version", f"{url}/stream")
    assert told.sent("GET /stream HTTP/1.0")
    assert "ransfer-encoding" not in told.trace
    assert (told.status, told.output) == (0, b"1.0one two")


async def test_http_1_0_keeps_the_connection_when_asked_to(url):
    told = await curl(
        *("--http1.0", "-H", "Connection: keep-alive", f"{url}/version", f"{url}/version"),
        *("--write-out", " %{num_connects}\n"),
    )
    assert told.output == b"1.0 1\n1.0 0\n"


async def test_head_ends_with_the_head(url):
    told = await curl("--head", f"{url}/version", f"{url}/version")
    assert told.status == 0
    assert told.output.count(b"content-length: 3\r\n") == 2


async def test_a_multipart_form_and_a_plain_one_arrive(http, tmp_path):
    (tmp_path / "a.txt").write_bytes(CONTENT)

    app = FastAPI()

    @app.post("/")
    async def form(request: Request) -> list[str]:
        async with request.form() as form:
            return [
                value if isinstance(value, str) else f"{value.filename} {value.size}"
                for value in form.values()
            ]

    async with running(app, http=http) as server:
        address = f"http://{server.host}:{server.port}"
        told = await curl("-F", "a=1", "-F", f"b=@{tmp_path / 'a.txt'}", address)
        assert told.output == f'["1","a.txt {len(CONTENT)}"]'.encode()
        told = await curl("-d", "a=1", "--data-urlencode", "b=ü&", address)
        assert told.output == '["1","ü&"]'.encode()
