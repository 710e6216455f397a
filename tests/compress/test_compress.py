"""What is compressed, what is not, and what that does to a response."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import TYPE_CHECKING, Any

import brotli
import pytest
import zstandard

from katana_asgi.compress.eligible import type_filter
from katana_asgi.compress.encoders import available_codings, new_encoder
from katana_asgi.compress.wrapper import compressed
from katana_asgi.errors import LocalProtocolError
from tests.support import within

if TYPE_CHECKING:
    from katana_asgi.asgi_types import Message, Receive, Scope, Send

TEXT = b"the same words again and again, " * 200
HTML = (b"content-type", b"text/html; charset=utf-8")

DECODE = {
    b"gzip": gzip.decompress,
    b"br": brotli.decompress,
    b"zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


def scope(accept: bytes | None = b"gzip", method: str = "GET", *fields: Any) -> dict[str, Any]:
    headers = [] if accept is None else [(b"accept-encoding", accept)]
    return {"type": "http", "method": method, "headers": [*headers, *fields], "extensions": {}}


async def receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def body(content: bytes, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


def start(*fields: Any, status: int = 200, **rest: Any) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(fields), **rest}


async def sent(messages: list[Message], request: dict[str, Any], **settings: Any) -> list[Message]:
    """What reaches the server of what an application sends."""
    arrived: list[Message] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    async def send(message: Message) -> None:
        arrived.append(message)

    await within(compressed(application, **settings)(request, receive, send))
    return arrived


def head(messages: list[Message]) -> dict[bytes, bytes]:
    fields = dict(messages[0]["headers"])
    assert len(fields) == len(messages[0]["headers"]), "a field appears twice"
    return fields


def content(messages: list[Message]) -> bytes:
    return b"".join(message.get("body", b"") for message in messages[1:])


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"zstd"])
async def test_a_whole_response_is_coded_with_its_length(coding: bytes) -> None:
    length = (b"content-length", b"%d" % len(TEXT))
    got = await sent([start(HTML, length, (b"etag", b'"1"')), body(TEXT)], scope(coding))
    assert DECODE[coding](content(got)) == TEXT
    assert head(got) == {
        b"content-type": HTML[1],
        b"etag": b'W/"1"',
        b"vary": b"accept-encoding",
        b"content-encoding": coding,
        b"content-length": b"%d" % len(content(got)),
    }
    assert len(content(got)) < len(TEXT) // 10


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        (b"gzip, br, zstd", b"br"),
        (b"gzip;q=1, br;q=0.1", b"gzip"),
        (b"br;q=0, zstd", b"zstd"),
        (b"*", b"br"),
        (b"identity", None),
        (b"gzip;q=0", None),
        (b"deflate", None),
        (b"", None),
        (None, None),
    ],
)
async def test_the_client_chooses(accept: bytes | None, coding: bytes | None) -> None:
    got = await sent([start(HTML), body(TEXT)], scope(accept))
    assert head(got).get(b"content-encoding") == coding
    assert head(got)[b"vary"] == b"accept-encoding"
    assert (content(got) == TEXT) is (coding is None)


UNTOUCHED = {
    "small": ([HTML], 200, b"x" * 1023),
    "small by its length": ([HTML, (b"content-length", b"10")], 200, b"x" * 10),
    "image": ([(b"content-type", b"image/png")], 200, TEXT),
    "no type": ([], 200, TEXT),
    "coded already": ([HTML, (b"content-encoding", b"br")], 200, TEXT),
    "no-transform": ([HTML, (b"cache-control", b"public, No-Transform")], 200, TEXT),
    "partial": ([HTML, (b"content-range", b"bytes 0-9/10")], 206, TEXT),
    "digest": ([HTML, (b"content-digest", b"sha-256=:x:")], 200, TEXT),
    "304": ([HTML, (b"etag", b'"1"')], 304, b""),
    "204": ([HTML], 204, b""),
}


@pytest.mark.parametrize("name", UNTOUCHED)
async def test_what_is_not_worth_it_or_not_allowed_is_sent_as_it_is(name: str) -> None:
    fields, status, text = UNTOUCHED[name]
    got = await sent([start(*fields, status=status), body(text)], scope())
    assert content(got) == text
    assert got[0]["status"] == status
    for field in fields:
        assert field in got[0]["headers"]
    assert head(got).get(b"content-encoding") in (None, b"br")


async def test_a_client_may_forbid_it() -> None:
    request = scope(b"gzip", "GET", (b"cache-control", b"no-transform"))
    assert content(await sent([start(HTML), body(TEXT)], request)) == TEXT


async def test_head_keeps_its_head_and_says_that_it_varies() -> None:
    length = (b"content-length", b"%d" % len(TEXT))
    got = await sent([start(HTML, length), body(b"")], scope(b"gzip", "HEAD"))
    assert head(got) == {HTML[0]: HTML[1], length[0]: length[1], b"vary": b"accept-encoding"}


@pytest.mark.parametrize("vary", [b"Accept-Encoding", b"origin, ACCEPT-encoding", b"*"])
async def test_vary_names_it_once(vary: bytes) -> None:
    got = await sent([start(HTML, (b"vary", vary)), body(TEXT)], scope())
    assert [value for name, value in got[0]["headers"] if name == b"vary"] == [vary]


async def test_names_in_any_case_are_known() -> None:
    fields = [
        (b"Content-Type", b"TEXT/html"),
        (b"Content-Length", b"%d" % len(TEXT)),
        (b"ETag", b'W/"1"'),
        (b"Accept-Ranges", b"bytes"),
    ]
    got = await sent([start(*fields), body(TEXT)], scope())
    names = [name.lower() for name, _ in got[0]["headers"]]
    assert sorted(names) == [
        b"content-encoding", b"content-length", b"content-type", b"etag", b"vary"
    ]  # fmt: skip
    assert head(got)[b"ETag"] == b'W/"1"'


@pytest.mark.parametrize("kind", [b"text/event-stream", b"text/plain"])
@pytest.mark.parametrize("coding", [b"gzip", b"br", b"zstd"])
async def test_each_message_of_a_stream_can_be_decoded_when_it_arrives(
    kind: bytes, coding: bytes
) -> None:
    events = [b"data: %d\n\n" % number for number in range(20)]
    messages = [start((b"content-type", kind)), *(body(event, True) for event in events), body(b"")]
    got = await sent(messages, scope(coding))
    assert b"content-length" not in head(got)
    decoder: Any = {
        b"gzip": lambda: zlib.decompressobj(31),
        b"br": brotli.Decompressor,
        b"zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    }[coding]()
    decode = decoder.process if coding == b"br" else decoder.decompress
    for event, message in zip(events, got[1:], strict=False):
        assert decode(message["body"]) == event
    assert got[-1].get("more_body", False) is False
    assert DECODE[coding](content(got)) == b"".join(events)


async def test_content_of_known_length_is_not_flushed_piece_by_piece() -> None:
    length = (b"content-length", b"%d" % len(TEXT))
    pieces = [TEXT[at : at + 64] for at in range(0, len(TEXT), 64)]
    messages = [start(HTML, length), *(body(piece, True) for piece in pieces), body(b"")]
    got = await sent(messages, scope())
    assert gzip.decompress(content(got)) == TEXT
    assert len(content(got)) < 250
    assert len(got) < 10
    assert b"content-length" not in head(got)


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("off", [-1, 1])
async def test_content_of_another_length_than_announced_is_an_error_as_without(
    pieces: int, off: int
) -> None:
    """Coded anew, it would look complete."""
    length = (b"content-length", b"%d" % (len(TEXT) * pieces + off))
    messages = [body(TEXT, True) for _ in range(pieces - 1)]
    with pytest.raises(LocalProtocolError, match="content-length"):
        await sent([start(HTML, length), *messages, body(TEXT)], scope())


async def test_large_content_does_not_block_the_loop() -> None:
    large = TEXT * 500
    loop_turns = 0

    async def count() -> None:
        nonlocal loop_turns
        while True:
            loop_turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    got = await sent([start(HTML), body(large)], scope(b"br"))
    counting.cancel()
    assert brotli.decompress(content(got)) == large
    assert loop_turns > 2


async def test_types_are_chosen_by_setting() -> None:
    png = start((b"content-type", b"image/png"))
    assert content(await sent([png, body(TEXT)], scope(), types=["image/*"])) != TEXT
    assert content(await sent([start(HTML), body(TEXT)], scope(), types=["image/*"])) == TEXT
    wanted = type_filter(["Text/Plain", "image/*"])
    assert [wanted(kind) for kind in ("text/plain;x=y", "text/html", "image/png", "")] == [
        True, False, True, False
    ]  # fmt: skip


async def test_the_least_size_is_chosen_by_setting() -> None:
    assert content(await sent([start(HTML), body(b"x" * 50)], scope(), minimum=50)) != b"x" * 50


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.pathsend", "path": "/tmp/x"},
        {"type": "http.response.zerocopysend", "file": 1},
    ],
)
async def test_files_sent_by_the_server_pass(message: Message) -> None:
    got = await sent([start(HTML), message], scope())
    assert [each["type"] for each in got] == ["http.response.start", message["type"]]
    assert b"content-encoding" not in head(got)


async def test_early_hints_and_trailers_pass() -> None:
    hint = {"type": "http.response.early_hint", "links": [b"x"]}
    trailers = {"type": "http.response.trailers", "headers": [], "more_trailers": False}
    got = await sent([hint, start(HTML, trailers=True), body(TEXT), trailers], scope())
    assert got[0] == hint
    assert got[1]["trailers"] is True
    assert gzip.decompress(got[2]["body"]) == TEXT
    assert got[3] == trailers


async def test_mistakes_of_the_application_reach_the_server() -> None:
    assert await sent([body(TEXT)], scope()) == [body(TEXT)]
    got = await sent([start(HTML), body(TEXT), body(b"more")], scope())
    assert got[-1] == body(b"more")
    got = await sent([start(HTML)], scope())
    assert [each["type"] for each in got] == ["http.response.start"]
    got = await sent([start(HTML), start(HTML)], scope())
    assert [each["type"] for each in got] == ["http.response.start"] * 2


async def test_what_is_no_request_passes() -> None:
    seen = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope["type"], send))

    async def send(message: Message) -> None: ...

    for kind in ("lifespan", "websocket"):
        await compressed(application)({"type": kind}, receive, send)
    assert seen == [("lifespan", send), ("websocket", send)]


async def test_an_exception_before_the_content_leaves_the_answer_to_the_server() -> None:
    arrived = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(HTML))
        raise ZeroDivisionError

    async def send(message: Message) -> None:
        arrived.append(message)

    with pytest.raises(ZeroDivisionError):
        await compressed(application)(scope(), receive, send)
    assert arrived == []


def test_all_encoders_are_there_and_gzip_is_where_nothing_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert available_codings() == (b"br", b"zstd", b"gzip")
    monkeypatch.setattr(
        "katana_asgi.compress.encoders.find_spec", lambda name: name == "zlib" or None
    )
    assert available_codings() == (b"gzip",)
    for coding in (b"br", b"zstd", b"gzip"):
        assert DECODE[coding](new_encoder(coding).finish()) == b""
