"""Clients that people use: curl, httpx, nghttp2's tools, Node, gRPC."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
from importlib.util import find_spec
from pathlib import Path

import pytest

from katana_asgi.testing import running
from tests.support import TIMEOUT

HERE = Path(__file__).parent


async def application(scope, receive, send):
    """What the clients ask for."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        return
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    path = scope["path"]
    headers = [(b"content-type", b"text/plain"), (b"x-version", scope["http_version"].encode())]
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    if path == "/stream":
        await send(start)
        leaving = asyncio.ensure_future(receive())
        while not leaving.done():
            await send({"type": "http.response.body", "body": bytes(1000), "more_body": True})
            await asyncio.sleep(0.001)
    elif path == "/trailers":
        await send({**start, "trailers": True})
        await send({"type": "http.response.body", "body": b"content"})
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"7")]})
    else:
        content = b"%d" % len(body) if path == "/size" else body or path.encode()
        await send(start)
        await send({"type": "http.response.body", "body": content})


async def run(*command: str) -> str:
    """Run a client; returns what it says."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await asyncio.wait_for(process.communicate(), 3 * TIMEOUT)
    assert process.returncode == 0, (out + errors).decode("utf-8", "replace")
    return (out + errors).decode("utf-8", "replace")


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@needs("curl")
async def test_curl(certified, tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(bytes(5_000_000))
    async with running(application, lifespan="off") as server:
        url = f"http://{server.host}:{server.port}"
        curl = ("curl", "-sS", "--http2-prior-knowledge", "-w", "%{http_version} %{http_code}")
        assert await run(*curl, f"{url}/hello") == "/hello2 200"
        assert await run(*curl, "-T", str(upload), f"{url}/size") == "50000002 200"
        assert (await run(*curl, "-I", f"{url}/hello")).startswith("HTTP/2 200")
        upgraded = await run("curl", "-sS", "--http2", "-w", " %{http_version}", f"{url}/hello")
        assert upgraded == "/hello 1.1"  # an upgrade to h2c is ignored
    async with running(application, lifespan="off", **certified.settings) as server:
        curl = ("curl", "-sS", "--cacert", certified.authority, "-w", " %{http_version}")
        url = f"https://localhost:{server.port}"
        assert await run(*curl, f"{url}/hello") == "/hello 2"
        assert await run(*curl, "--http1.1", f"{url}/hello") == "/hello 1.1"
        assert await run(*curl, "-T", str(upload), f"{url}/size") == "5000000 2"
        # At once: over TLS only, without it curl 7.88 fails with every server.
        several = await run(*curl, "-Z", *[f"{url}/{n}" for n in range(10)])
        assert several.count(" 2") >= 10


@pytest.mark.skipif(find_spec("httpx") is None, reason="httpx is not installed")
async def test_httpx(certified):
    import httpx

    async with running(application, lifespan="off", **certified.settings) as server:
        trust = ssl.create_default_context(cafile=certified.authority)
        base = f"https://localhost:{server.port}"
        async with httpx.AsyncClient(http2=True, verify=trust, base_url=base) as client:
            responses = await asyncio.gather(*[client.get(f"/{n}") for n in range(50)])
            assert [response.text for response in responses] == [f"/{n}" for n in range(50)]
            assert {response.http_version for response in responses} == {"HTTP/2"}
            content = bytes(range(256)) * 1000
            assert (await client.post("/", content=content)).content == content
            assert (await client.get("/", headers={"cookie": "a=1; b=2"})).status_code == 200


async def refusing(scope, receive, send):
    """Refuses whatever it is sent without reading it."""
    await send({"type": "http.response.start", "status": 401, "headers": []})
    await send({"type": "http.response.body", "body": b"who are you?"})


@needs("curl")
@pytest.mark.parametrize("size", [3000, 20_000_000])
async def test_curl_shows_the_answer_to_an_upload_that_was_not_read(certified, tmp_path, size):
    upload = tmp_path / "upload"
    upload.write_bytes(bytes(size))
    curl = (
        "curl",
        "-sS",
        "--noproxy",
        "*",
        "-T",
        str(upload),
        "-w",
        " %{http_version} %{http_code}",
    )
    async with running(refusing, lifespan="off") as server:
        url = f"http://{server.host}:{server.port}"
        for further in ((), ("-H", "Content-Length:"), ("-H", "Expect: 100-continue")):
            told = await run(*curl, "--http2-prior-knowledge", *further, url)
            assert told == "who are you? 2 401"
    async with running(refusing, lifespan="off", **certified.settings) as server:
        told = await run(*curl, "--cacert", certified.authority, f"https://localhost:{server.port}")
        assert told == "who are you? 2 401"


@pytest.mark.skipif(find_spec("httpx") is None, reason="httpx is not installed")
async def test_httpx_shows_the_answer_to_an_upload_that_was_not_read():
    import httpx

    async with running(refusing, lifespan="off") as server:
        base = f"http://{server.host}:{server.port}"
        async with httpx.AsyncClient(
            http1=False, http2=True, base_url=base, timeout=None
        ) as client:
            for _ in range(3):
                response = await client.post("/", content=bytes(5_000_000))
                assert (response.status_code, response.text) == (401, "who are you?")


@needs("nghttp")
async def test_nghttp():
    async with running(application, lifespan="off") as server:
        url = f"http://{server.host}:{server.port}"
        told = await run("nghttp", "-nsv", f"{url}/a", f"{url}/b", f"{url}/c")
        assert told.count(":status: 200") == 3
        assert "GOAWAY" not in told.replace("send GOAWAY", "")
        assert "SETTINGS_ENABLE_CONNECT_PROTOCOL(0x08):1" in told


@needs("h2load")
async def test_h2load(certified):
    async with running(application, lifespan="off", **certified.settings) as server:
        url = f"https://127.0.0.1:{server.port}/hello"
        told = await run("h2load", "-n", "2000", "-c", "4", "-m", "20", url)
        assert "2000 succeeded, 0 failed, 0 errored" in told


@needs("node")
@pytest.mark.parametrize("tls", [False, True])
async def test_node(tls, certified):
    further = certified.settings if tls else {}
    async with running(application, lifespan="off", **further) as server:
        origin = f"http{'s' if tls else ''}://localhost:{server.port}"
        authority = [certified.authority] if tls else []
        told = await run("node", str(HERE / "client.mjs"), origin, *authority)
    assert json.loads(told) == {
        "many": 50,
        "upload": "3000000",
        "trailers": "7",
        "cancelled": 8,
        "websocket": "81026869",
    }


async def grpc_application(scope, receive, send):
    """Answers a unary and a streaming call: messages of four bytes' length and content."""
    assert scope["http_version"] == "2"
    assert dict(scope["headers"])[b"te"] == b"trailers"
    headers = [(b"content-type", b"application/grpc")]
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
    body = b""
    more = True
    status, told = b"0", b""
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
        while len(body) >= 5 and len(body) >= 5 + int.from_bytes(body[1:5]):
            end = 5 + int.from_bytes(body[1:5])
            content, body = body[5:end], body[end:]
            if content == b"fail":
                status, told = b"9", b"as asked"
                break
            times = 3 if scope["path"].endswith("/Thrice") else 1
            for _ in range(times):
                answer = content.upper()
                framed = b"\0" + len(answer).to_bytes(4) + answer
                await send({"type": "http.response.body", "body": framed, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
    trailers = [(b"grpc-status", status), (b"grpc-message", told)]
    await send({"type": "http.response.trailers", "headers": trailers})


@pytest.mark.skipif(find_spec("grpc") is None, reason="grpcio is not installed")
async def test_grpc():
    import grpc

    def calls(target: str) -> None:
        with grpc.insecure_channel(target) as channel:
            unary = channel.unary_unary("/test.Service/Once")
            for number in range(20):
                assert unary(b"message %d" % number, timeout=TIMEOUT) == b"MESSAGE %d" % number
            large = b"x" * 1_000_000
            assert unary(large, timeout=TIMEOUT) == large.upper()
            with pytest.raises(grpc.RpcError) as raised:
                unary(b"fail", timeout=TIMEOUT)
            assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert raised.value.details() == "as asked"
            stream = channel.unary_stream("/test.Service/Thrice")
            assert list(stream(b"a", timeout=TIMEOUT)) == [b"A"] * 3
            both = channel.stream_stream("/test.Service/Each")
            sent = [b"m%d" % number for number in range(100)]
            assert list(both(iter(sent), timeout=TIMEOUT)) == [each.upper() for each in sent]

    async with running(grpc_application, lifespan="off") as server:
        await asyncio.to_thread(calls, f"{server.host}:{server.port}")
