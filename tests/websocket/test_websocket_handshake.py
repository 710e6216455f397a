"""The opening handshake: what is refused, what is offered, and the bytes that accept it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from websocket_requests import request_head

from katana_asgi.asgi.fields import check_fields
from katana_asgi.errors import LocalProtocolError, RemoteProtocolError
from katana_asgi.websocket.handshake import (
    ExtensionOffer,
    HandshakeError,
    Upgrade,
    accept_key,
    accept_response,
    check_upgrade,
    is_upgrade,
    parse_extensions,
)

if TYPE_CHECKING:
    from katana_asgi.http.message import RequestHead

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
    method: str = "GET",
    version: str = "1.1",
    content_length: int | None = None,
) -> RequestHead:
    """A handshake with ``fields`` added and those named ``without`` left out."""
    kept = [field for field in FIELDS if field[0] != without] + list(fields)
    return request_head(kept, method=method, version=version, content_length=content_length)


def changed(name: bytes, *values: bytes) -> RequestHead:
    """A handshake whose ``name`` has these values instead."""
    return request(*((name, value) for value in values), without=name)


# What is asked


def test_the_example_of_the_rfc_is_a_handshake() -> None:
    head = request(
        (b"origin", b"http://example.com"), (b"sec-websocket-protocol", b"chat, superchat")
    )
    assert is_upgrade(head)
    assert check_upgrade(head) == Upgrade(KEY, ("chat", "superchat"), ())


@pytest.mark.parametrize(
    "head",
    [
        changed(b"upgrade", b"WebSocket"),
        changed(b"upgrade", b"h2c, websocket"),
        changed(b"upgrade", b"h2c", b"websocket"),
        changed(b"connection", b"keep-alive, upgrade"),
        changed(b"connection", b"keep-alive", b"UPGRADE"),
        changed(b"sec-websocket-key", b"x" * 22 + b"=="),
        request(content_length=0),
    ],
)
def test_lists_and_letter_case_do_not_matter(head: RequestHead) -> None:
    assert is_upgrade(head)
    assert check_upgrade(head).subprotocols == ()


@pytest.mark.parametrize(
    "head",
    [
        request(method="POST"),
        request(version="1.0"),
        request(version="2"),
        request(without=b"upgrade"),
        request(without=b"connection"),
        changed(b"upgrade", b"h2c"),
        changed(b"upgrade", b"websockets"),
    ],
)
def test_what_is_no_handshake_is_left_to_http(head: RequestHead) -> None:
    assert not is_upgrade(head)
    with pytest.raises(HandshakeError) as caught:
        check_upgrade(head)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (request(content_length=5), "content"),
        (request(without=b"connection"), "Connection"),
        (changed(b"connection", b"keep-alive"), "Connection"),
        (request(without=b"sec-websocket-key"), "Key"),
        (changed(b"sec-websocket-key", KEY, KEY), "Key"),
        (changed(b"sec-websocket-key", b""), "Key"),
        (changed(b"sec-websocket-key", KEY[:-1]), "Key"),
        (changed(b"sec-websocket-key", b"AAAA" + KEY), "Key"),
        (changed(b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25j"), "Key"),
        (changed(b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZ\xff=="), "Key"),
    ],
)
def test_a_bad_handshake_is_400(head: RequestHead, reason: str) -> None:
    with pytest.raises(HandshakeError, match=reason) as caught:
        check_upgrade(head)
    assert isinstance(caught.value, RemoteProtocolError)
    assert (caught.value.status, caught.value.fields) == (400, ())


@pytest.mark.parametrize("versions", [[], [b"8"], [b"13", b"13"], [b"13, 8"], [b""], [b"013"]])
def test_another_version_is_426_and_told_which_one_works(versions: list[bytes]) -> None:
    with pytest.raises(HandshakeError) as caught:
        check_upgrade(changed(b"sec-websocket-version", *versions))
    assert caught.value.status == 426
    assert caught.value.fields == (
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-version", b"13"),
    )


def test_subprotocols_keep_the_clients_order_over_several_fields() -> None:
    head = request(
        (b"sec-websocket-protocol", b"soap ,\twamp,"), (b"sec-websocket-protocol", b"v1.chat")
    )
    assert check_upgrade(head).subprotocols == ("soap", "wamp", "v1.chat")


@pytest.mark.parametrize(
    "value",
    ["café".encode(), b"\xff", b"a b", b"a;b", b'"a"', b"a, a", b"", b" , ", b"a\x00", b"a\x7f"],
)
def test_subprotocols_that_are_not_distinct_tokens_are_400(value: bytes) -> None:
    with pytest.raises(HandshakeError, match="Protocol") as caught:
        check_upgrade(request((b"sec-websocket-protocol", value)))
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
    with pytest.raises(HandshakeError, match="Extensions") as caught:
        check_upgrade(request((b"sec-websocket-extensions", value)))
    assert caught.value.status == 400


def test_offers_are_part_of_the_handshake() -> None:
    head = request((b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"))
    assert check_upgrade(head).extensions == (
        ExtensionOffer(b"permessage-deflate", ((b"client_max_window_bits", None),)),
    )


# The answer


def test_accept_key_of_the_rfc() -> None:
    assert accept_key(KEY) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_the_smallest_answer() -> None:
    assert accept_response(Upgrade(KEY, (), ())) == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"upgrade: websocket\r\n"
        b"connection: Upgrade\r\n"
        b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"\r\n"
    )


def test_the_answer_with_everything() -> None:
    fields = check_fields(
        [
            (b"Set-Cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
            (b"content-length", b"5"),
            (b"transfer-encoding", b"chunked"),
            (b"connection", b"close"),
        ]
    )
    response = accept_response(
        Upgrade(KEY, ("chat", "soap"), ()),
        subprotocol="soap",
        extension=b"permessage-deflate",
        fields=fields,
        defaults=b"server: katana-asgi\r\n",
    )
    assert response == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"upgrade: websocket\r\n"
        b"connection: Upgrade\r\n"
        b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"sec-websocket-protocol: soap\r\n"
        b"sec-websocket-extensions: permessage-deflate\r\n"
        b"set-cookie: a=1\r\n"
        b"set-cookie: b=2\r\n"
        b"server: katana-asgi\r\n"
        b"\r\n"
    )


@pytest.mark.parametrize("subprotocol", ["", "SOAP", "soap\r\nx: y", "café"])
def test_only_a_subprotocol_that_was_offered_is_accepted(subprotocol: str) -> None:
    with pytest.raises(LocalProtocolError, match="was not offered"):
        accept_response(Upgrade(KEY, ("soap",), ()), subprotocol=subprotocol)


@pytest.mark.parametrize("name", [b"Sec-WebSocket-Protocol", b"sec-websocket-accept"])
def test_the_fields_of_the_handshake_are_the_servers(name: bytes) -> None:
    with pytest.raises(LocalProtocolError, match="sec-websocket"):
        accept_response(Upgrade(KEY, ("soap",), ()), fields=check_fields([(name, b"soap")]))
