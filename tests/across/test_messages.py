"""What the application sends, and what becomes of it on the wire (ASGI HTTP 2.5)."""

from __future__ import annotations

import asyncio
import http as http_codes
from email.utils import parsedate_to_datetime

import pytest

from katana_asgi.errors import LocalProtocolError
from katana_asgi.testing import running
from tests.applications import Probe, get, raised_by, respond, start
from tests.support import talking, within

START = {"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]}
LAST = {"type": "http.response.body", "body": b"ok"}
MORE = {"type": "http.response.body", "body": b"o", "more_body": True}


def sending(*messages):
    """An application that sends exactly these messages."""

    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    return Probe(app)


async def answer_of(http, *messages, request=None, method="GET", **settings):
    """The response that comes of these messages, and how the application ended."""
    probe = sending(*messages)
    async with running(probe, http=http, lifespan="off", **settings) as server:
        response = await server.exchange(request or get(method=method), method=method)
        return response, await probe.end()


# -- line 9: messages that are wrong raise in the application, and only there


@pytest.mark.parametrize(
    ("before", "wrong", "kind"),
    [
        ([], {"type": "http.response.nonsense"}, LocalProtocolError),
        ([], {"type": "websocket.accept"}, LocalProtocolError),
        ([], {"type": None}, LocalProtocolError),
        ([], {}, KeyError),
        ([], {"status": 200}, KeyError),
        ([], None, TypeError),
        ([], {"type": "http.response.start"}, KeyError),
        ([], {"type": "http.response.start", "status": "200"}, TypeError),
        ([], {"type": "http.response.start", "status": b"200"}, TypeError),
        ([], {"type": "http.response.start", "status": 200.0}, TypeError),
        ([], {"type": "http.response.start", "status": None}, TypeError),
        ([], {"type": "http.response.start", "status": 99}, LocalProtocolError),
        ([], {"type": "http.response.start", "status": 100}, LocalProtocolError),
        ([], {"type": "http.response.start", "status": 101}, LocalProtocolError),
        ([], {"type": "http.response.start", "status": 1000}, LocalProtocolError),
        ([], {"type": "http.response.start", "status": -200}, LocalProtocolError),
        ([], {**START, "headers": 3}, TypeError),
        ([], {**START, "headers": [("x", b"1")]}, TypeError),
        ([], {**START, "headers": [(b"x", "1")]}, TypeError),
        ([], {**START, "headers": [(b"x", 1)]}, TypeError),
        ([], {**START, "headers": [(b"x", None)]}, TypeError),
        ([], {**START, "headers": [b"x: 1"]}, ValueError),
        ([], {**START, "headers": [(b"x",)]}, ValueError),
        ([], {**START, "headers": [(b"x", b"1", b"2")]}, ValueError),
        ([], LAST, LocalProtocolError),
        ([START], START, LocalProtocolError),
        ([START], {"type": "http.response.body", "body": "text"}, TypeError),
        ([START], {"type": "http.response.body", "body": None}, TypeError),
        ([START], {"type": "http.response.body", "body": 3}, TypeError),
        ([START], {"type": "http.response.body", "body": [b"x"]}, TypeError),
        ([START, MORE], START, LocalProtocolError),
        ([START, MORE], {"type": "http.response.body", "body": "text"}, TypeError),
        ([START, MORE], {"type": "http.response.trailers", "headers": []}, LocalProtocolError),
        ([START, LAST], LAST, LocalProtocolError),
        ([START, LAST], START, LocalProtocolError),
    ],
)
async def test_a_wrong_message_raises_and_leaves_the_exchange_as_it_was(http, before, wrong, kind):
    errors = []

    async def app(scope, receive, send):
        for message in before:
            await send(message)
        errors.append(await raised_by(send, wrong))
        for message in (START, MORE, LAST)[len(before) if before != [START, LAST] else 3 :]:
            await send(message)

    async with talking(app, http=http) as client:
        await client.send(get())
        response = await client.response()
        await client.send(get())  # and the connection is fit for the next request
        assert (await client.response()).body == response.body
    assert response.status == 200
    assert response.header(b"x-a") == b"1"
    assert response.body in (b"ook", b"ok")
    assert type(errors[0]) is kind


async def test_extra_keys_and_missing_optional_keys_do_not_raise(http):
    response, error = await answer_of(
        http,
        {"type": "http.response.start", "status": 201, "trailers": False, "x": object()},
        {"type": "http.response.body", "y": object()},
    )
    assert error is None
    assert (response.status, response.body) == (201, b"")
    assert response.header(b"content-length") == b"0"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_any_bytes_like_body_is_sent(http, kind):
    whole, _ = await answer_of(http, START, {"type": "http.response.body", "body": kind(b"abc")})
    assert whole.body == b"abc"
    pieces, _ = await answer_of(http, START, {**MORE, "body": kind(b"abc")}, LAST)
    assert pieces.body == b"abcok"


@pytest.mark.parametrize(
    "headers",
    [
        [[b"x-a", b"1"], [b"x-b", b"2"]],
        ((b"x-a", b"1"), (b"x-b", b"2")),
        {b"x-a": b"1", b"x-b": b"2"}.items(),
    ],
)
async def test_headers_may_be_any_iterable_of_pairs(http, headers):
    response, _ = await answer_of(http, {**START, "headers": headers}, LAST)
    assert response.header(b"x-a") == b"1"
    assert response.header(b"x-b") == b"2"


async def test_headers_may_be_a_generator_and_keep_their_order(http):
    pairs = [(b"set-cookie", b"a=1"), (b"x", b"y"), (b"set-cookie", b"b=2")]
    response, _ = await answer_of(http, {**START, "headers": iter(pairs)}, LAST)
    assert response.headers_named(b"set-cookie") == [b"a=1", b"b=2"]
    assert [pair for pair in response.headers if pair in pairs] == pairs


# -- line 10: framing belongs to the server


@pytest.mark.parametrize("messages", [(LAST,), (MORE, LAST)])
@pytest.mark.parametrize(
    "extra", [[], [(b"content-length", b"LENGTH")], [(b"Content-Length", b"LENGTH")] * 2]
)
async def test_transfer_encoding_of_the_application_is_ignored(http, messages, extra):
    body = b"".join(message["body"] for message in messages)
    headers = [(b"Transfer-Encoding", b"chunked"), (b"transfer-encoding", b"gzip, chunked")]
    headers += [(name, b"%d" % len(body)) for name, _ in extra]
    # Response.response() fails where both framings appear, or either of them twice.
    response, error = await answer_of(http, {**START, "headers": headers}, *messages)
    assert error is None
    assert response.body == body
    expected = [b"chunked"] if messages[0] is MORE and not extra else []
    assert response.headers_named(b"transfer-encoding") == expected


@pytest.mark.parametrize("name", [b"connection", b"keep-alive", b"upgrade"])
async def test_connection_specific_fields_of_the_application_are_ignored(http, name):
    headers = [(name, b"upgrade, keep-alive, x")]
    response, _ = await answer_of(http, {**START, "headers": headers}, LAST)
    assert response.headers_named(name) == []


@pytest.mark.parametrize("value", [b"close", b"Close", b"x, close"])
async def test_connection_close_of_the_application_closes(http, value):
    probe = sending({**START, "headers": [(b"Connection", value)]}, LAST)
    async with talking(probe, http=http) as client:
        await client.send(get())
        response = await client.response()
        assert response.header(b"connection") == b"close"
        assert await client.closed()


async def test_a_body_in_one_message_has_a_length_and_a_longer_one_is_chunked(http):
    whole, _ = await answer_of(http, START, LAST)
    assert whole.header(b"content-length") == b"2"
    pieces, _ = await answer_of(http, START, MORE, LAST)
    assert pieces.header(b"transfer-encoding") == b"chunked"
    assert pieces.body == b"ook"


async def test_empty_pieces_do_not_end_a_chunked_body(http):
    empty = {"type": "http.response.body", "body": b"", "more_body": True}
    response, _ = await answer_of(
        http, START, empty, MORE, empty, MORE, empty, {**LAST, "body": b""}
    )
    assert response.body == b"oo"


# -- line 11: Content-Length is kept


def announcing(length: int) -> dict:
    return {**START, "headers": [(b"content-length", b"%d" % length)]}


async def test_a_body_as_long_as_announced_is_sent_as_it_comes(http):
    response, error = await answer_of(http, announcing(3), MORE, LAST)
    assert error is None
    assert response.header(b"content-length") == b"3"
    assert response.body == b"ook"


async def test_too_short_a_body_in_one_message_becomes_500(http, caplog):
    response, error = await answer_of(http, announcing(3), LAST)
    assert isinstance(error, LocalProtocolError)
    assert response.status == 500
    assert "shorter than its content-length" in caplog.text


async def test_a_body_that_ends_too_short_closes_the_connection(http, caplog):
    probe = sending(announcing(4), MORE, LAST)
    async with talking(probe, http=http) as client:
        await client.send(get())
        head = await client.head()
        assert head.header(b"content-length") == b"4"
        assert len(await client.rest()) < 4
    assert isinstance(await probe.end(), LocalProtocolError)
    assert "shorter than its content-length" in caplog.text


async def test_an_application_that_returns_with_content_owed_closes_the_connection(http, caplog):
    probe = sending(announcing(4), MORE)
    async with talking(probe, http=http) as client:
        await client.send(get())
        await client.head()
        assert await client.rest() == b"o"
    assert "without completing its response" in caplog.text


async def test_too_long_a_body_in_one_message_becomes_500(http, caplog):
    response, error = await answer_of(http, announcing(1), LAST)
    assert isinstance(error, LocalProtocolError)
    assert response.status == 500
    assert "longer than its content-length" in caplog.text


async def test_not_one_byte_more_than_announced_reaches_the_wire(http):
    errors = []

    async def app(scope, receive, send):
        await send(announcing(3))
        await send(MORE)
        errors.append(await raised_by(send, {**MORE, "body": b"too long"}))
        await send(LAST)

    async with talking(app, http=http) as client:
        await client.send(get())
        assert (await client.response()).body == b"ook"
        await client.send(get())
        assert (await client.response()).body == b"ook"
    assert isinstance(errors[0], LocalProtocolError)


async def test_an_application_that_fails_with_too_long_a_body_leaves_a_truncated_response(http):
    probe = sending(announcing(3), MORE, {**LAST, "body": b"too long"})
    async with talking(probe, http=http) as client:
        await client.send(get())
        await client.head()
        assert await client.rest() == b"o"


@pytest.mark.parametrize(
    "values", [[b"abc"], [b""], [b"-1"], [b"+1"], [b"1, 1"], [b"1", b"2"], [b"9" * 30]]
)
async def test_a_content_length_that_is_none_becomes_500(http, values):
    headers = [(b"content-length", value) for value in values]
    response, error = await answer_of(http, {**START, "headers": headers}, LAST)
    assert isinstance(error, LocalProtocolError)
    assert response.status == 500


# -- line 12: names and values are checked


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"", b"1"),
        (b"x y", b"1"),
        (b"x:", b"1"),
        (b" x", b"1"),
        (b"x\r\ny", b"1"),
        (b"x\x00", b"1"),
        (b"x\xe9", b"1"),
        (b"x", b"1\r\nset-cookie: a=b"),
        (b"x", b"1\r\n\r\n<html>"),
        (b"x", b"1\n"),
        (b"x", b"1\r"),
        (b"x", b"a\x00b"),
        (b"x", b"a\x7f"),
        (b"x", b"\x1b[0m"),
    ],
)
async def test_a_bad_header_becomes_a_logged_500_and_no_injection(http, name, value, caplog):
    for _ in range(2):  # a list that failed must fail again, memo or not
        response, error = await answer_of(http, {**START, "headers": [(name, value)]}, LAST)
        assert isinstance(error, LocalProtocolError)
        assert response.status == 500
        assert response.headers_named(b"set-cookie") == []
        assert response.body == b"Internal Server Error\n"
    assert "invalid" in caplog.text


async def test_values_keep_tab_and_bytes_above_ascii(http):
    value = b"a\tb " + bytes(range(0x80, 0x100))
    response, _ = await answer_of(http, {**START, "headers": [(b"X-Value", value)]}, LAST)
    assert response.header(b"x-value") == value


# -- line 13: the start waits for the first body


async def test_a_start_alone_sends_nothing_and_can_still_become_500(http):
    started, gate = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        await start(send)
        started.set()
        await gate.wait()
        raise RuntimeError("changed my mind")

    async with talking(app, http=http) as client:
        await client.send(get())
        await within(started.wait())
        gate.set()
        assert (await client.response()).status == 500


async def test_every_body_event_is_on_its_way_before_the_next_step(http):
    gates = [asyncio.Event() for _ in range(3)]

    async def app(scope, receive, send):
        await start(send, headers=[(b"content-length", b"3")])
        for gate in gates:
            await send(MORE)
            await gate.wait()

    async with talking(app, http=http) as client:
        await client.send(get())
        await client.head()
        for gate in gates:
            assert await within(client.reader.readexactly(1)) == b"o"
            gate.set()


# -- line 14: responses without content


@pytest.mark.parametrize("messages", [(LAST,), (MORE, LAST), (MORE, MORE, {**LAST, "body": b""})])
@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_content_carries_none(http, status, messages):
    probe = sending({**START, "status": status}, *messages)
    async with talking(probe, http=http) as client:
        for _ in range(2):  # a stray byte would garble the second response
            await client.send(get())
            response = await client.response()
            assert response.status == status
            assert response.headers_named(b"transfer-encoding") == []
            assert response.headers_named(b"content-length") == []
        await client.send(get("/", "Connection: close"))
        await client.head()
        assert await client.closed()


async def test_304_keeps_its_content_length_and_204_has_none(http):
    response, _ = await answer_of(http, {**announcing(5), "status": 304}, LAST)
    assert response.header(b"content-length") == b"5"
    response, _ = await answer_of(http, {**announcing(0), "status": 204}, {**LAST, "body": b""})
    assert response.headers_named(b"content-length") == []


@pytest.mark.parametrize(
    ("messages", "length"),
    [
        ((START, LAST), [b"2"]),
        ((announcing(2), LAST), [b"2"]),
        ((announcing(7), {**LAST, "body": b""}), [b"7"]),
        ((announcing(3), MORE, LAST), [b"3"]),
        ((START, MORE, LAST), []),
    ],
)
async def test_a_response_to_head_has_the_fields_of_get_and_no_content(http, messages, length):
    probe = sending(*messages)
    async with talking(probe, http=http) as client:
        for _ in range(2):
            await client.send(get(method="HEAD"))
            response = await client.head()
            assert response.status == 200
            assert response.headers_named(b"content-length") == length
        await client.send(get("/", "Connection: close", method="HEAD"))
        await client.head()
        assert await client.closed()
    assert await probe.end() is None


async def test_an_http_1_0_client_gets_no_chunks_but_the_end_of_the_connection(http):
    probe = sending(START, MORE, MORE, LAST)
    async with talking(probe, http=http) as client:
        await client.send(get("/", "Connection: keep-alive", version="1.0"))
        head = await client.head()
        assert head.headers_named(b"transfer-encoding") == []
        assert head.headers_named(b"content-length") == []
        assert head.header(b"connection") == b"close"
        assert await client.rest() == b"oook"


async def test_an_error_response_to_head_has_no_content(http):
    probe = sending({"type": "nonsense"})
    async with talking(probe, http=http) as client:
        await client.send(get(method="HEAD"))
        assert (await client.head()).status == 500
        assert await client.closed()


# -- line 15: date and server


async def test_the_server_adds_date_and_server_once(http):
    response, _ = await answer_of(http, START, LAST)
    assert response.header(b"server") == b"katana-asgi"
    date = response.header(b"date")
    assert date is not None
    assert parsedate_to_datetime(date.decode()).tzinfo is not None


@pytest.mark.parametrize("date", [(), ((b"Date", b"Sun, 06 Nov 1994 08:49:37 GMT"),)])
@pytest.mark.parametrize("name", [(), ((b"Server", b"mine"),)])
async def test_date_and_server_of_the_application_win(http, date, name):
    response, _ = await answer_of(http, {**START, "headers": [*date, *name]}, LAST)
    given = response.header(b"date")
    assert (given == b"Sun, 06 Nov 1994 08:49:37 GMT") is bool(date)
    assert response.header(b"server") == (b"mine" if name else b"katana-asgi")


async def test_date_and_server_can_be_switched_off(http):
    response, _ = await answer_of(http, START, LAST, date_header=False, server_header=False)
    assert response.headers_named(b"date") == []
    assert response.headers_named(b"server") == []


async def test_configured_fields_stand_in_every_response(http):
    settings = {"header": (("X-Frame-Options", "DENY"), ("Server", "other"))}
    good, _ = await answer_of(http, START, LAST, **settings)
    bad, _ = await answer_of(http, {"type": "nonsense"}, **settings)
    for response in (good, bad):
        assert response.header(b"x-frame-options") == b"DENY"
        assert response.header(b"server") == b"other"


# -- line 21: applications that fail


@pytest.mark.parametrize(
    "error",
    [RuntimeError("boom"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), OSError()],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("before", [(), (START,)])
async def test_whatever_is_raised_before_the_first_body_becomes_500(http, error, before):
    async def app(scope, receive, send):
        for message in before:
            await send(message)
        if scope["path"] == "/fail":
            raise error
        await respond(send, b"fine") if not before else await send(LAST)

    async with running(app, http=http, lifespan="off") as server:
        response = await server.exchange(get("/fail"))
        assert response.status == 500
        assert response.header(b"connection") == b"close"
        assert (await server.exchange(get("/"))).status == 200  # the worker lives on


async def test_an_exception_is_logged_with_its_traceback(http, caplog):
    async def app(scope, receive, send):
        raise RuntimeError("boom")

    async with running(app, http=http, lifespan="off") as server:
        await server.exchange(get())
    assert "Exception in ASGI application" in caplog.text
    assert "RuntimeError: boom" in caplog.text
    assert "test_messages.py" in caplog.text


@pytest.mark.parametrize(
    "error", [RuntimeError(), SystemExit(), asyncio.CancelledError(), OSError()], ids=repr
)
async def test_an_exception_within_a_stream_closes_without_the_last_chunk(http, error):
    async def app(scope, receive, send):
        await send(START)
        await send(MORE)
        raise error

    async with talking(app, http=http) as client:
        await client.send(get())
        await client.head()
        assert await client.rest() == b"1\r\no\r\n"


async def test_an_exception_within_an_unframed_stream_resets_the_connection(http):
    """Without framing a plain close would look like the end of the content."""
    begun = asyncio.Event()

    async def app(scope, receive, send):
        await send(START)
        await send(MORE)
        await begun.wait()
        raise RuntimeError

    async with talking(app, http=http) as client:
        await client.send(get(version="1.0"))
        await client.head()
        assert await within(client.reader.readexactly(1)) == b"o"
        begun.set()
        with pytest.raises(ConnectionResetError):
            await client.rest()


async def test_an_application_that_returns_without_a_response_gives_500(http, caplog):
    response, error = await answer_of(http)
    assert error is None
    assert response.status == 500
    assert "without starting a response" in caplog.text


async def test_an_application_that_returns_after_its_start_gives_500(http, caplog):
    response, _ = await answer_of(http, START)
    assert response.status == 500
    assert "without completing its response" in caplog.text


async def test_an_application_that_returns_within_a_stream_closes_without_the_last_chunk(http):
    probe = sending(START, MORE)
    async with talking(probe, http=http) as client:
        await client.send(get())
        await client.head()
        assert await client.rest() == b"1\r\no\r\n"


async def test_an_exception_after_the_response_is_logged_and_harms_nothing(http, caplog):
    async def app(scope, receive, send):
        await respond(send, b"ok")
        raise RuntimeError("afterwards")

    async with talking(app, http=http) as client:
        for _ in range(2):
            await client.send(get())
            assert (await client.response()).body == b"ok"
    assert "afterwards" in caplog.text


# -- line 23: reason phrases


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, b"OK"),
        (404, b"Not Found"),
        (418, b"I'm a Teapot"),
        (503, b"Service Unavailable"),
        (299, b""),
        (799, b""),
        (999, b""),
        (http_codes.HTTPStatus.CREATED, b"Created"),
    ],
)
async def test_a_registered_status_has_its_phrase_and_another_an_empty_one(http, status, reason):
    response, _ = await answer_of(http, {**START, "status": status}, LAST)
    assert (response.status, response.reason) == (status, reason)
