"""OpenTelemetry server spans, read back from the SDK's exporter in memory."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from katana_asgi.asgi.spans import with_spans
from katana_asgi.testing import running
from tests.support import ROOT, TIMEOUT

TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def provider() -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(tracers)  # once for a process, as the library wants it
    return exporter


@pytest.fixture
def exporter(provider: InMemorySpanExporter) -> InMemorySpanExporter:
    provider.clear()
    return provider


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/fail":
        raise ValueError
    with trace.get_tracer("test").start_as_current_span("inside"):
        pass
    status = 503 if scope["path"] == "/busy" else 200
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


async def spans_of(exporter: InMemorySpanExporter, target: bytes, *fields: bytes) -> dict[str, Any]:
    async with running(app, otel=True, lifespan="off") as server:
        lines = b"".join(field + b"\r\n" for field in (b"Host: a", b"User-Agent: me", *fields))
        await server.exchange(b"GET " + target + b" HTTP/1.1\r\n" + lines + b"\r\n")
    return {span.name: span for span in exporter.get_finished_spans()}


async def test_a_request_is_a_server_span_with_the_conventional_attributes(
    exporter: InMemorySpanExporter,
) -> None:
    spans = await spans_of(exporter, b"/path?a=b", b"traceparent: " + TRACEPARENT)
    span = spans["GET"]
    assert span.kind is trace.SpanKind.SERVER
    assert span.context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C
    assert span.parent.span_id == 0xB7AD6B7169203331
    attributes = dict(span.attributes)
    assert attributes.pop("client.port")
    assert attributes.pop("server.port")
    assert attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/path",
        "url.query": "a=b",
        "network.protocol.version": "1.1",
        "client.address": "127.0.0.1",
        "server.address": attributes["server.address"],
        "user_agent.original": "me",
    }
    assert spans["inside"].parent.span_id == span.context.span_id


async def test_a_server_error_is_an_error_of_the_span(exporter: InMemorySpanExporter) -> None:
    span = (await spans_of(exporter, b"/busy"))["GET"]
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.attributes["error.type"] == "503"


async def test_an_exception_is_recorded(exporter: InMemorySpanExporter) -> None:
    span = (await spans_of(exporter, b"/fail"))["GET"]
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.events[0].name == "exception"


async def test_a_refused_websocket_is_a_span_too(exporter: InMemorySpanExporter) -> None:
    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b""})

    async with running(refuse, otel=True, lifespan="off") as server:
        response = await server.exchange(
            b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
    assert response.status == 401
    (span,) = exporter.get_finished_spans()
    assert dict(span.attributes or {})["http.response.status_code"] == 401
    assert dict(span.attributes or {})["url.scheme"] == "ws"


def test_a_missing_library_is_named_with_its_extra() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from katana_asgi.cli import main\n"
        "main(['platform:node', '--otel', '--port', '0'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=3 * TIMEOUT
    )
    assert result.returncode == 2
    assert "katana-asgi[otel]" in result.stderr


class Route:
    """What frameworks that follow Starlette leave in the scope."""

    path = "/items/{id}"


async def routed(scope: Any, receive: Any, send: Any) -> None:
    scope["route"] = Route()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


@pytest.mark.parametrize(
    ("method", "name", "noted"), [("POST", "POST", "POST"), ("BREW", "HTTP", "_OTHER")]
)
async def test_a_span_has_the_name_of_its_method_and_route(method, name, noted, exporter):
    async with running(routed, otel=True, lifespan="off") as server:
        await server.exchange(method.encode() + b" /items/1 HTTP/1.1\r\nHost: a\r\n\r\n")
    (span,) = exporter.get_finished_spans()
    assert span.name == f"{name} /items/{{id}}"
    assert span.attributes["http.route"] == "/items/{id}"
    assert span.attributes["http.request.method"] == noted
    original = span.attributes.get("http.request.method_original")
    assert original == (None if noted == method else method)
    assert not {"url.query", "user_agent.original", "error.type"} & set(span.attributes)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({"type": "websocket.accept"}, 101),
        ({"type": "websocket.http.response.start", "status": 403}, 403),
        ({"type": "websocket.close"}, None),
    ],
)
async def test_the_span_of_a_websocket_has_the_status_of_its_handshake(message, status, exporter):
    scope = {
        "type": "websocket",
        "headers": [],
        "scheme": "ws",
        "path": "/chat",
        "http_version": "1.1",
        "query_string": b"",
        "client": None,
        "server": ("/run/app.sock", None),
    }
    sent: list[Any] = []

    async def chat(scope: Any, receive: Any, send: Any) -> None:
        await send(message)

    async def send(message: Any) -> None:
        sent.append(message)

    await with_spans(chat)(scope, send, send)
    (span,) = exporter.get_finished_spans()
    assert sent == [message]
    assert span.name == "GET"
    assert span.attributes.get("http.response.status_code") == status
    assert span.attributes["server.address"] == "/run/app.sock"
    assert not {"client.address", "server.port", "error.type"} & set(span.attributes)
