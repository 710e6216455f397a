"""A server span for each request through OpenTelemetry (setting ``otel``, extra ``otel``).

Where spans go is decided by the provider that the application, or ``opentelemetry-instrument``,
has set. Attributes follow the semantic conventions for HTTP servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from katana_asgi.errors import StartupError

if TYPE_CHECKING:
    from katana_asgi.asgi_types import ASGIApplication, Message, Receive, Scope, Send

__all__ = ["with_spans"]

KNOWN_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"}
)
"""Others become ``_OTHER``, against names of spans without bound."""


def with_spans(application: ASGIApplication) -> ASGIApplication:
    """Wrap ``application``; its own spans become children of the request's.

    Raises ``StartupError`` where opentelemetry-api is not installed.
    """
    try:
        from opentelemetry import propagate, trace
    except ImportError:
        raise StartupError(
            "setting otel needs the package opentelemetry-api: pip install 'katana-asgi[otel]'"
        ) from None
    tracer = trace.get_tracer("katana_asgi")

    async def spanned(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await application(scope, receive, send)
            return
        carrier = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        attributes = _attributes(scope, carrier)
        method = attributes["http.request.method"]
        name = "HTTP" if method == "_OTHER" else method
        with tracer.start_as_current_span(
            name,
            context=propagate.extract(carrier),
            kind=trace.SpanKind.SERVER,
            attributes=attributes,
        ) as span:

            async def noting_send(message: Message) -> None:
                await send(message)
                status = _status(message)
                if status is not None:
                    span.set_attribute("http.response.status_code", status)
                    if status >= 500:
                        span.set_attribute("error.type", str(status))
                        span.set_status(trace.StatusCode.ERROR)

            await application(scope, receive, noting_send)
            route = getattr(scope.get("route"), "path", None)
            if isinstance(route, str):  # left there by frameworks that follow Starlette
                span.set_attribute("http.route", route)
                span.update_name(f"{name} {route}")

    return spanned


def _attributes(scope: Scope, fields: dict[str, str]) -> dict[str, Any]:
    method = scope.get("method", "GET")
    known = method in KNOWN_METHODS
    attributes: dict[str, Any] = {
        "http.request.method": method if known else "_OTHER",
        "url.scheme": scope["scheme"],
        "url.path": scope["path"],
        "network.protocol.version": scope["http_version"],
    }
    if not known:
        attributes["http.request.method_original"] = method
    if scope["query_string"]:
        attributes["url.query"] = scope["query_string"].decode("latin-1")
    if scope.get("client"):
        attributes["client.address"], attributes["client.port"] = scope["client"][:2]
    if scope.get("server"):
        address, port = scope["server"]
        attributes["server.address"] = address
        if port is not None:
            attributes["server.port"] = port
    if "user-agent" in fields:
        attributes["user_agent.original"] = fields["user-agent"]
    return attributes


def _status(message: Message) -> int | None:
    match message.get("type"):
        case "http.response.start" | "websocket.http.response.start":
            return int(message["status"])
        case "websocket.accept":
            return 101
    return None
