"""Response heads and chunks as bytes (RFC 9112 §4, §7.1)."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from katana_asgi.asgi.fields import check_fields
from katana_asgi.http1.encoder import LAST_CHUNK, encode_chunk, encode_prefix, refusal

from katana_asgi.errors import RemoteProtocolError


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5))
def test_chunks_are_what_h11_reads(pieces: list[bytes]) -> None:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(b"HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n")
    client.next_event()
    client.receive_data(b"".join([encode_chunk(piece) for piece in pieces]) + LAST_CHUNK)
    content = b""
    while isinstance(event := client.next_event(), h11.Data):
        content += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert content == b"".join(pieces)


@pytest.mark.parametrize(
    ("status", "length", "chunked", "expected"),
    [
        (200, 3, False, b"HTTP/1.1 200 OK\r\nx: 1\r\ncontent-length: 3\r\n"),
        (200, None, True, b"HTTP/1.1 200 OK\r\nx: 1\r\ntransfer-encoding: chunked\r\n"),
        (200, None, False, b"HTTP/1.1 200 OK\r\nx: 1\r\n"),
        (599, 0, False, b"HTTP/1.1 599 \r\nx: 1\r\ncontent-length: 0\r\n"),
    ],
)
def test_a_head_begins_with_status_fields_and_framing(status, length, chunked, expected):
    fields = check_fields([(b"X", b"1")])
    for _ in range(2):
        assert encode_prefix(status, fields, length, chunked=chunked) == expected


def test_heads_of_one_list_do_not_mix_and_do_not_pile_up():
    fields = check_fields([])
    for length in range(1000):
        encode_prefix(200, fields, length, chunked=False)
    assert len(fields.prefixes) < 1000
    for (status, length, chunked), prefix in fields.prefixes.items():
        assert (status, chunked) == (200, False)
        assert prefix.endswith(b"content-length: %d\r\n" % length)


def test_a_refusal_is_a_whole_response_that_closes():
    error = RemoteProtocolError("no such thing", 404)
    whole = refusal(error, b"date: now\r\n", head=False)
    head, _, content = whole.partition(b"\r\n\r\n")
    assert content == b"no such thing\n"
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 404 Not Found",
        b"date: now",
        b"content-type: text/plain; charset=utf-8",
        b"content-length: 14",
        b"connection: close",
    ]
    assert refusal(error, b"date: now\r\n", head=True) == head + b"\r\n\r\n"
