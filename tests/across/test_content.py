"""Request content and long responses: framing, 100-continue, backpressure, leftovers."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from katana_asgi.testing import running
from tests.applications import Probe, content_of, get, respond, start
from tests.support import talking, within

KIB = 1024
MIB = 1024 * KIB

BUFFERED = 64 * KIB
"""What the server may hold for an application, besides one read."""

READ = 256 * KIB
"""The most that one read of an event loop takes."""

KERNEL = 16 * MIB
"""More than two loopback sockets buffer in the kernel."""


def chunks(*pieces: bytes) -> bytes:
    """Chunk-coded content."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


async def echo(scope, receive, send):
    await respond(send, await content_of(receive))


async def echo_pieces(scope, receive, send):
    await start(send)
    more = True
    while more:
        message = await receive()
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


async def first_line(scope, receive, send):
    """Answer without reading."""
    await respond(send, b"unread")


# -- both framings, both directions


@pytest.mark.parametrize("app", [echo, echo_pieces])
@pytest.mark.parametrize("size", [0, 1, 1000, 200 * KIB])
async def test_counted_content_arrives_and_returns(http, app, size):
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with talking(app, http=http) as client:
        for _ in range(2):
            await client.send(get("/", f"Content-Length: {size}", method="POST"), content)
            assert (await client.response()).body == content


@pytest.mark.parametrize("app", [echo, echo_pieces])
@pytest.mark.parametrize(
    "pieces",
    [(), (b"a",), (b"ab", b"c" * 17, b"\r\n0\r\n\r\n"), (b"x" * 100 * KIB, b"y" * 70 * KIB)],
)
async def test_chunked_content_arrives_and_returns(http, app, pieces):
    async with talking(app, http=http) as client:
        for _ in range(2):
            await client.send(get("/", "Transfer-Encoding: chunked", method="PUT"), chunks(*pieces))
            assert (await client.response()).body == b"".join(pieces)


async def test_chunked_content_may_come_byte_by_byte(http):
    request = get("/", "Transfer-Encoding: chunked", method="PUT")
    request += b"3;a=b\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n"
    async with talking(echo, http=http) as client:
        await client.send(*[request[at : at + 1] for at in range(len(request))])
        assert (await client.response()).body == b"abc0123456789"


async def test_trailers_do_not_appear_in_the_headers(http):
    probe = Probe(echo)
    async with talking(probe, http=http) as client:
        request = get("/", "Transfer-Encoding: chunked", method="PUT")
        await client.send(request + b"1\r\na\r\n0\r\nX-Late: 1\r\n\r\n")
        assert (await client.response()).body == b"a"
    assert b"x-late" not in dict(probe.scopes[0]["headers"])


async def test_a_request_without_content_has_one_empty_message(http):
    messages = []

    async def app(scope, receive, send):
        messages.append(await receive())
        await respond(send)

    for request in (get(), get("/", "Content-Length: 0", method="POST")):
        async with talking(app, http=http) as client:
            await client.send(request)
            await client.response()
    assert messages == [{"type": "http.request", "body": b"", "more_body": False}] * 2


async def test_content_is_handed_over_as_it_arrives(http):
    messages: asyncio.Queue = asyncio.Queue()

    async def app(scope, receive, send):
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            messages.put_nowait(message)
        await respond(send)

    async with talking(app, http=http) as client:
        await client.send(get("/", "Content-Length: 3", method="POST"))
        for byte in (b"a", b"b"):
            await client.send(byte)
            message = await within(messages.get())
            assert message == {"type": "http.request", "body": byte, "more_body": True}
        await client.send(b"c")
        assert (await within(messages.get()))["more_body"] is False
        await client.response()


@pytest.mark.parametrize("framing", ["counted", "chunked"])
async def test_a_big_upload_passes_in_bounded_pieces(http, framing):
    content = b"0123456789abcdef" * (20 * MIB // 16)
    largest = 0

    async def app(scope, receive, send):
        nonlocal largest
        digest = hashlib.sha256()
        more = True
        while more:
            message = await receive()
            largest = max(largest, len(message["body"]))
            digest.update(message["body"])
            more = message["more_body"]
        await respond(send, digest.digest())

    if framing == "counted":
        request = [get("/", f"Content-Length: {len(content)}", method="PUT"), content]
    else:
        halves = content[: 7 * MIB], content[7 * MIB :]
        request = [get("/", "Transfer-Encoding: chunked", method="PUT"), chunks(*halves)]
    async with talking(app, http=http) as client:
        await client.send(*request)
        assert (await client.response()).body == hashlib.sha256(content).digest()
    assert largest <= BUFFERED + READ


# -- line 20: backpressure


@pytest.mark.parametrize("framing", ["counted", "chunked"])
async def test_reading_pauses_while_the_application_does_not_take_content(http, framing):
    content = bytes(8 * MIB)
    gate = asyncio.Event()
    first = 0

    async def app(scope, receive, send):
        nonlocal first
        if scope["path"] == "/other":
            await respond(send)
            return
        await gate.wait()
        message = await receive()
        first = len(message["body"])
        size = first
        while message["more_body"]:
            message = await receive()
            size += len(message["body"])
        await respond(send, b"%d" % size)

    if framing == "counted":
        request = get("/", f"Content-Length: {len(content)}", method="PUT") + content
    else:
        request = get("/", "Transfer-Encoding: chunked", method="PUT") + chunks(content)
    async with running(app, http=http, lifespan="off") as server, await server.connect() as client:
        client.writer.write(request)
        for _ in range(20):  # whole exchanges pass meanwhile: there was time to read it all
            await server.exchange(get("/other"))
        gate.set()
        assert (await client.response()).body == b"%d" % len(content)
    assert 0 < first <= BUFFERED + READ


async def test_send_waits_while_the_client_does_not_read(http):
    """The application is let run as far as the kernel and one buffer go, not further."""
    whole = 64 * MIB
    piece = bytes(64 * KIB)
    waits = asyncio.Event()
    sent = 0

    async def app(scope, receive, send):
        nonlocal sent
        await start(send, headers=[(b"content-length", b"%d" % whole)])
        while sent < whole:
            # A send that need not wait is over after one step.
            sending = asyncio.ensure_future(
                send({"type": "http.response.body", "body": piece, "more_body": True})
            )
            await asyncio.sleep(0)
            if not sending.done():
                waits.set()
            await sending
            sent += len(piece)
        await send({"type": "http.response.body"})

    async with talking(app, http=http) as client:
        client.writer.transport.pause_reading()
        await client.send(get())
        await within(waits.wait())
        assert sent < KERNEL
        client.writer.transport.resume_reading()
        await client.head()
        received = 0
        while received < whole:
            received += len(await within(client.reader.read(MIB)))
        assert received == whole


async def test_a_large_body_in_one_message_arrives_whole(http):
    body = bytes(range(256)) * (5 * MIB // 256)

    async def app(scope, receive, send):
        await respond(send, body)

    async with talking(app, http=http) as client:
        for _ in range(2):
            await client.send(get())
            assert (await client.response()).body == body


# -- line 20: content that the application never read


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("framing", ["counted", "chunked"])
async def test_a_little_unread_content_is_dropped_and_the_connection_kept(http, framing, late):
    content = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n" * 10
    if framing == "counted":
        head, content = get("/", f"Content-Length: {len(content)}", method="POST"), content
    else:
        head, content = get("/", "Transfer-Encoding: chunked", method="POST"), chunks(content)
    probe = Probe(first_line)
    async with talking(probe, http=http) as client:
        if late:
            await client.send(head)
            assert (await client.response()).body == b"unread"
            await client.send(content[:100], content[100:] + get("/next"))
        else:
            await client.send(head + content + get("/next"))
            assert (await client.response()).body == b"unread"
        assert (await client.response()).body == b"unread"
    assert [scope["path"] for scope in probe.scopes] == ["/", "/next"]


async def test_too_much_unread_content_closes_after_the_response(http):
    size = 30 * MIB
    async with talking(first_line, http=http) as client:
        client.writer.write(get("/", f"Content-Length: {size}", method="POST") + bytes(4 * KIB))
        response = await client.response()
        assert response.body == b"unread"
        assert response.header(b"connection") == b"close"
        # The client is still sending: the end comes as an end, the answer is not reset away.
        client.writer.write(bytes(100 * KIB))
        assert await client.closed()


async def test_after_a_response_without_close_the_next_request_is_answered(http):
    """However much content comes before it: a proxy sends the request of another client there."""
    size = 2 * MIB

    async def app(scope, receive, send):
        await start(send)
        await send({"type": "http.response.body", "body": b"un", "more_body": True})
        await send({"type": "http.response.body", "body": b"read"})

    for application, content in (
        (first_line, chunks(bytes(size))),
        (app, chunks(bytes(size))),
        (app, bytes(size)),
    ):
        probe = Probe(application)
        counted = content == bytes(size)
        framing = f"Content-Length: {size}" if counted else "Transfer-Encoding: chunked"
        async with talking(probe, http=http, limit_unread_body=1000) as client:
            await client.send(get("/", framing, method="POST"))
            response = await client.response()
            assert (response.body, response.header(b"connection")) == (b"unread", None)
            await client.send(content[:1000], content[1000:] + get("/next"))
            assert (await client.response()).body == b"unread"
        assert [scope["path"] for scope in probe.scopes] == ["/", "/next"]


async def test_unread_content_that_is_broken_closes_without_another_answer_to_smuggle(http):
    probe = Probe(first_line)
    async with talking(probe, http=http) as client:
        await client.send(get("/", "Transfer-Encoding: chunked", method="POST"))
        assert (await client.response()).body == b"unread"
        await client.send(b"zz\r\n" + get("/smuggled"))
        assert await client.rest() == b""
    assert [scope["path"] for scope in probe.scopes] == ["/"]


async def test_an_unread_rest_is_dropped_where_the_application_read_a_part(http):
    async def app(scope, receive, send):
        message = await receive()
        await respond(send, message["body"])

    async with talking(app, http=http) as client:
        await client.send(get("/", "Content-Length: 6", method="POST"), b"abc")
        assert (await client.response()).body == b"abc"
        await client.send(b"def" + get("/next"))
        assert (await client.response()).body == b""


# -- line 19: Expect


async def test_100_continue_is_sent_when_the_application_first_reads(http):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await gate.wait()
        await respond(send, await content_of(receive))

    async with talking(app, http=http) as client:
        await client.send(get("/", "Content-Length: 3", "Expect: 100-Continue", method="POST"))
        gate.set()
        informational = await client.head()
        assert informational.head == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"abc")
        response = await client.response()
        assert (response.status, response.body) == (200, b"abc")
        await client.send(get())  # the next request does not inherit anything
        assert (await client.response()).status == 200


async def test_100_continue_is_sent_once(http):
    async def app(scope, receive, send):
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        other = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        waiting.cancel()
        await respond(send, (await other)["body"])

    async with talking(app, http=http) as client:
        await client.send(get("/", "Content-Length: 3", "Expect: 100-continue", method="POST"))
        assert (await client.head()).status == 100
        await client.send(b"abc")
        assert (await client.response()).body == b"abc"


async def test_no_100_continue_where_the_application_answers_at_once(http):
    async with talking(first_line, http=http) as client:
        await client.send(get("/", "Content-Length: 3", "Expect: 100-continue", method="POST"))
        response = await client.response()
        assert response.status == 200
        # Whether the content will come is anybody's guess: the connection cannot go on.
        assert response.header(b"connection") == b"close"
        assert await client.closed()


async def test_no_100_continue_after_the_response_has_begun(http):
    async def app(scope, receive, send):
        await start(send)
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        body = await content_of(receive)
        await send({"type": "http.response.body", "body": body})

    async with talking(app, http=http) as client:
        await client.send(get("/", "Content-Length: 3", "Expect: 100-continue", method="POST"))
        assert (await client.head()).status == 200
        await client.send(b"abc")
        assert await within(client.reader.readuntil(b"0\r\n\r\n")) == (
            b"1\r\nx\r\n3\r\nabc\r\n0\r\n\r\n"
        )


async def test_no_100_continue_where_the_content_came_without_waiting(http):
    async with talking(echo, http=http) as client:
        head = get("/", "Content-Length: 3", "Expect: 100-continue", method="POST")
        await client.send(head + b"abc")
        assert (await client.response()).status == 200


@pytest.mark.parametrize(
    "request_head",
    [
        get("/", "Expect: 100-continue"),
        get("/", "Expect: 100-continue", "Content-Length: 0", method="POST"),
    ],
)
async def test_no_100_continue_for_a_request_without_content(http, request_head):
    async with talking(echo, http=http) as client:
        await client.send(request_head)
        assert (await client.response()).status == 200


async def test_no_100_continue_to_http_1_0(http):
    async with talking(echo, http=http) as client:
        lines = ("Content-Length: 3", "Expect: 100-continue")
        await client.send(get("/", *lines, method="POST", version="1.0"), b"abc")
        assert (await client.response()).status == 200


@pytest.mark.parametrize("value", ["200-ok", "100-continue, x", "", "100-continue;x=1"])
async def test_another_expectation_is_417(http, value):
    async with talking(echo, http=http) as client:
        await client.send(get("/", "Content-Length: 3", f"Expect: {value}", method="POST"))
        assert (await client.response()).status == 417
        assert await client.closed()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("counted", [False, True])
async def test_pieces_of_any_size_arrive_in_order(http, version, counted):
    """Small pieces of one turn leave together, large ones by themselves."""
    sizes = [1, 0, 100, 40 * KIB, 1, 33 * KIB, 5, 5, 20 * KIB, 20 * KIB, 100 * KIB, 0, 7]
    pieces = [bytes([at]) * size for at, size in enumerate(sizes)]
    whole = b"".join(pieces)

    async def app(scope, receive, send):
        await start(send, headers=[(b"content-length", b"%d" % len(whole))] if counted else ())
        for at, piece in enumerate(pieces):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            if at % 4 == 3:
                await asyncio.sleep(0)
        await send({"type": "http.response.body"})

    async with talking(app, http=http) as client:
        await client.send(get(version=version))
        assert (await client.response()).body == whole
