"""The opening handshake: what is refused, what is offered, and the bytes that accept it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from katana_asgi.codec import check_fields
from katana_asgi.errors import LocalProtocolError, RemoteProtocolError
from katana_asgi.http1.websocket_upgrade import accept_key, is_upgrade
from katana_asgi.testing import MemoryServer
from katana_asgi.websocket.handshake import (
    ExtensionOffer,
    Opening,
    parse_extensions,
    parse_opening,
    response_fields,
)
from tests.heads import request_head

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
FIELDS: tuple[tuple[bytes, bytes], ...] = (
    (b"host", b"example.org"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-key", KEY),
    (b"sec-websocket-version", b"13"),
)


def request(
    *fields: tuple[bytes, bytes],
    without: bytes = b"",
    method: bytes = b"GET",
    version: bytes = b"1.1",
) -> bytes:
    """A handshake with ``fields`` added and those named ``without`` left out."""
    kept = [each for each in FIELDS if each[0] != without] + list(fields)
    lines = b"".join([b"%b: %b\r\n" % each for each in kept])
    return b"%b /chat HTTP/%b\r\n%b\r\n" % (method, version, lines)


def changed(name: bytes, *values: bytes) -> bytes:
    """A handshake whose ``name`` has these values instead."""
    return request(*((name, value) for value in values), without=name)


@dataclass
class Application:
    """Accepts WebSockets as ``accept`` says, answers HTTP with 299; notes the scopes."""

    accept: dict[str, Any] = field(default_factory=dict)
    scopes: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, scope, receive, send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 299, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await receive()
        await send({"type": "websocket.accept", **self.accept})


async def answer(asked: bytes, application: Application, **settings: Any) -> bytes:
    """What is sent for a handshake, frames behind the head left out."""
    settings = {"date_header": False, "server_header": False, "lifespan": "off", **settings}
    async with MemoryServer(application, **settings) as memory:
        transport = memory.connect()
        transport.feed(asked)
        head, end, _ = (await transport.settled()).partition(b"\r\n\r\n")
        transport.fail()
        return head + end


async def opened(asked: bytes) -> dict[str, Any]:
    """The scope of a handshake that is accepted."""
    application = Application()
    assert (await answer(asked, application)).startswith(b"HTTP/1.1 101 ")
    (scope,) = application.scopes
    assert scope["type"] == "websocket"
    return scope


# What is asked


async def test_the_example_of_the_rfc_is_a_handshake() -> None:
    scope = await opened(
        request((b"origin", b"http://example.com"), (b"sec-websocket-protocol", b"chat, superchat"))
    )
    assert scope["subprotocols"] == ["chat", "superchat"]


@pytest.mark.parametrize(
    "asked",
    [
        changed(b"upgrade", b"WebSocket"),
        changed(b"upgrade", b"h2c, websocket"),
        changed(b"upgrade", b"h2c", b"websocket"),
        changed(b"connection", b"keep-alive, upgrade"),
        changed(b"connection", b"keep-alive", b"UPGRADE"),
        changed(b"sec-websocket-key", b"x" * 22 + b"=="),
        request((b"content-length", b"0")),
    ],
)
async def test_lists_and_letter_case_do_not_matter(asked: bytes) -> None:
    assert (await opened(asked))["subprotocols"] == []


@pytest.mark.parametrize(
    "asked",
    [
        request(method=b"POST"),
        request(version=b"1.0"),
        request(without=b"upgrade"),
        request(without=b"connection"),
        changed(b"connection", b"keep-alive"),
        changed(b"upgrade", b"h2c"),
        changed(b"upgrade", b"websockets"),
    ],
)
async def test_what_is_no_handshake_is_left_to_http(asked: bytes) -> None:
    application = Application()
    assert (await answer(asked, application)).startswith(b"HTTP/1.1 299 ")
    assert [scope["type"] for scope in application.scopes] == ["http"]


def test_an_upgrade_is_of_http_1_1() -> None:
    assert is_upgrade(request_head(b"/", *FIELDS))
    assert not is_upgrade(request_head(b"/", *FIELDS, version="2"))


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (request((b"content-length", b"5")), b"content"),
        (request((b"transfer-encoding", b"chunked")), b"content"),
        (request(without=b"sec-websocket-key"), b"Key"),
        (changed(b"sec-websocket-key", KEY, KEY), b"Key"),
        (changed(b"sec-websocket-key", b""), b"Key"),
        (changed(b"sec-websocket-key", KEY[:-1]), b"Key"),
        (changed(b"sec-websocket-key", b"AAAA" + KEY), b"Key"),
        (changed(b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25j"), b"Key"),
        (changed(b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZ\xff=="), b"Key"),
    ],
)
async def test_a_bad_handshake_is_400(asked: bytes, reason: bytes) -> None:
    application = Application()
    async with MemoryServer(application, lifespan="off") as memory:
        sent = await memory.served(asked)
    assert sent.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert reason in sent.partition(b"\r\n\r\n")[2]
    assert not application.scopes


@pytest.mark.parametrize("versions", [[], [b"8"], [b"13", b"13"], [b"13, 8"], [b""], [b"013"]])
async def test_another_version_is_426_and_told_which_one_works(versions: list[bytes]) -> None:
    application = Application()
    sent = await answer(changed(b"sec-websocket-version", *versions), application)
    assert not application.scopes
    status, *lines = sent.rstrip().split(b"\r\n")
    assert status == b"HTTP/1.1 426 Upgrade Required"
    assert lines[:3] == [
        b"upgrade: websocket",
        b"connection: Upgrade",
        b"sec-websocket-version: 13",
    ]


async def test_subprotocols_keep_the_clients_order_over_several_fields() -> None:
    scope = await opened(
        request(
            (b"sec-websocket-protocol", b"soap ,\twamp,"), (b"sec-websocket-protocol", b"v1.chat")
        )
    )
    assert scope["subprotocols"] == ["soap", "wamp", "v1.chat"]


def offered(*fields: tuple[bytes, bytes]) -> Opening:
    """What a handshake with these fields offers."""
    return parse_opening(request_head(b"/chat", *FIELDS, *fields))


@pytest.mark.parametrize(
    "value",
    ["café".encode(), b"\xff", b"a b", b"a;b", b'"a"', b"a, a", b"", b" , ", b"a\x00", b"a\x7f"],
)
def test_subprotocols_that_are_not_distinct_tokens_are_400(value: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="Protocol") as caught:
        offered((b"sec-websocket-protocol", value))
    assert caught.value.status == 400


# Extensions


@pytest.mark.parametrize(
    ("values", "offers"),
    [
        ([], []),
        ([b""], []),
        ([b"foo"], [("foo", [])]),
        ([b"foo, bar"], [("foo", []), ("bar", [])]),
        ([b", foo ,, bar,"], [("foo", []), ("bar", [])]),
        ([b"foo", b"bar; a"], [("foo", []), ("bar", [("a", None)])]),
        ([b"foo; a=1; b; c=x"], [("foo", [("a", "1"), ("b", None), ("c", "x")])]),
        ([b'foo;a="1";b="x\\y"'], [("foo", [("a", "1"), ("b", "xy")])]),
        ([b"foo ; a = 1\t; b"], [("foo", [("a", "1"), ("b", None)])]),
        ([b"foo;a;a, foo"], [("foo", [("a", None), ("a", None)]), ("foo", [])]),
    ],
)
def test_extension_offers(
    values: list[bytes], offers: list[tuple[str, list[tuple[str, str | None]]]]
) -> None:
    assert parse_extensions(values) == tuple(
        ExtensionOffer(
            name.encode(),
            tuple(
                (key.encode(), None if value is None else value.encode())
                for key, value in parameters
            ),
        )
        for name, parameters in offers
    )


@pytest.mark.parametrize(
    "value",
    [
        b";",
        b"=",
        b"foo;",
        b"foo; ;a",
        b"foo bar",
        b"foo; a=",
        b"foo; a==b",
        b"foo; a b",
        b'foo; a="',
        b'foo; a=""',
        b'foo; a="b c"',
        b'foo; a="b"c',
        b'foo; a="b\\"',
        b"foo/bar",
        b"f\xc3\xb6\xc3\xb6",
        b"foo; a=\xff",
        b'"foo"',
    ],
)
def test_extensions_outside_the_grammar_are_400(value: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="Extensions") as caught:
        offered((b"sec-websocket-extensions", value))
    assert caught.value.status == 400


def test_offers_are_part_of_the_handshake() -> None:
    opening = offered((b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"))
    assert opening.extensions == (
        ExtensionOffer(b"permessage-deflate", ((b"client_max_window_bits", None),)),
    )


# The answer


def test_accept_key_of_the_rfc() -> None:
    assert accept_key(KEY) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


async def test_the_smallest_answer() -> None:
    assert await answer(request(), Application()) == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"upgrade: websocket\r\n"
        b"connection: Upgrade\r\n"
        b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"\r\n"
    )


async def test_the_answer_with_everything() -> None:
    headers = [
        (b"Set-Cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"content-length", b"5"),
        (b"transfer-encoding", b"chunked"),
        (b"connection", b"close"),
    ]
    asked = request(
        (b"sec-websocket-protocol", b"chat, soap"),
        (b"sec-websocket-extensions", b"permessage-deflate; server_no_context_takeover"),
    )
    application = Application({"subprotocol": "soap", "headers": headers})
    assert await answer(asked, application, server_header=True, ws_per_message_deflate=True) == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"upgrade: websocket\r\n"
        b"connection: Upgrade\r\n"
        b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"sec-websocket-protocol: soap\r\n"
        b"sec-websocket-extensions: permessage-deflate; server_no_context_takeover"
        b"; server_max_window_bits=12\r\n"
        b"set-cookie: a=1\r\n"
        b"set-cookie: b=2\r\n"
        b"server: katana-asgi\r\n"
        b"\r\n"
    )


@pytest.mark.parametrize("subprotocol", ["", "SOAP", "soap\r\nx: y", "café"])
async def test_a_subprotocol_that_was_not_offered_is_left_out_with_a_warning(
    subprotocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As other servers do; a client would have to fail the connection over it (RFC 6455 §4.1)."""
    asked = request((b"sec-websocket-protocol", b"soap"))
    sent = await answer(asked, Application({"subprotocol": subprotocol}))
    assert sent.startswith(b"HTTP/1.1 101 ")
    assert b"sec-websocket-protocol" not in sent
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert ascii(subprotocol) in warning.getMessage()


@pytest.mark.parametrize("name", [b"Sec-WebSocket-Protocol", b"sec-websocket-accept"])
def test_the_fields_of_the_handshake_are_the_servers(name: bytes) -> None:
    with pytest.raises(LocalProtocolError, match="sec-websocket"):
        response_fields(offered(), fields=check_fields([(name, b"soap")]))
