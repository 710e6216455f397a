"""How stored responses are served, validated, and served while stale (RFC 9111 §4, RFC 5861)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from katana_asgi.errors import LocalProtocolError
from tests.cache.conftest import Site

MODIFIED = -1_000_000
DATE = "Fri, 03 Nov 2023 08:26:40 GMT"
LATER = "Fri, 03 Nov 2023 08:26:41 GMT"
EARLIER = "Fri, 03 Nov 2023 08:26:39 GMT"


async def test_nothing_is_stored_without_the_wrapper_and_nothing_changed_with_it(
    site: Site,
) -> None:
    site.origin.respond(X_Own="1")
    answer = await site.get()
    assert (answer.status, answer.pairs, answer.body) == (200, [(b"x-own", b"1")], b"call 1")


# Hits


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"if_none_match": '"1"'}, 304),
        ({"if_none_match": 'W/"1"'}, 304),
        ({"if_none_match": '"0", "1"'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"2"'}, 200),
        ({"if_modified_since": DATE}, 304),
        ({"if_modified_since": LATER}, 304),
        ({"if_modified_since": EARLIER}, 200),
        ({"if_none_match": '"2"', "if_modified_since": DATE}, 200),
        ({"if_match": '"1"'}, 200),
        ({"if_match": '"2"'}, 412),
        ({"if_unmodified_since": EARLIER}, 412),
    ],
)
async def test_conditions_are_evaluated_against_what_is_stored(
    site: Site, fields: Any, status: int
) -> None:
    site.origin.respond("max-age=60", ETag='"1"', Last_Modified=MODIFIED, Content_Type="a/b")
    await site.get()
    answer = await site.get(**fields)
    assert (site.calls, answer.status) == (1, status)
    if status == 304:
        assert answer.body == b""
        assert answer["etag"] == b'"1"'
        assert answer["cache-control"] == b"max-age=60"
        assert answer.age == 0
        assert (answer["content-type"], answer["content-length"]) == (None, None)
        assert answer["date"] is not None


@pytest.mark.parametrize(
    ("fields", "status", "body"),
    [
        ({"range": "bytes=0-1"}, 206, b"01"),
        ({"range": "bytes=8-"}, 206, b"89"),
        ({"range": "bytes=-1"}, 206, b"9"),
        ({"range": "bytes=10-"}, 416, b""),
        ({"range": "bytes=0-1,5-6"}, 206, b"0123456"),  # near enough for one part
        ({"range": "lines=1"}, 200, b"0123456789"),
        ({"range": "bytes=0-1", "if_range": '"1"'}, 206, b"01"),
        ({"range": "bytes=0-1", "if_range": '"2"'}, 200, b"0123456789"),
        ({"range": "bytes=0-1", "if_none_match": '"1"'}, 304, b""),
    ],
)
async def test_a_range_of_what_is_stored(site: Site, fields: Any, status: int, body: bytes) -> None:
    site.origin.respond("max-age=60", b"0123456789", ETag='"1"')
    await site.get()
    answer = await site.get(**fields)
    assert (site.calls, answer.status, answer.body) == (1, status, body)
    if status == 206:
        assert answer["content-length"] == b"%d" % len(body)
        assert (answer["content-range"] or b"").endswith(b"/10")
    if status == 416:
        assert answer["content-range"] == b"bytes */10"


async def test_a_partial_response_is_never_stored(site: Site) -> None:
    site.origin.respond("max-age=60", b"01", status=206, Content_Range="bytes 0-1/10")
    site.origin.respond("max-age=60", b"0123456789")
    assert (await site.get(range="bytes=0-1")).status == 206
    assert (await site.get()).body == b"0123456789"


async def test_head_is_answered_from_a_get_and_never_stored_as_one(site: Site) -> None:
    site.origin.respond("max-age=60", b"0123456789")
    for _ in range(2):
        assert (await site.get(method="HEAD")).body == b""
    assert site.calls == 2
    assert (await site.get()).body == b"0123456789"
    head = await site.get(method="HEAD")
    assert (site.calls, head.body, head["content-length"], head.age) == (3, b"", b"10", 0)


async def test_two_requests_share_no_list_that_a_server_may_change(site: Site) -> None:
    site.origin.respond("max-age=60")
    await site.get()
    (await site.get()).messages[0]["headers"].append((b"x-evil", b"1"))
    assert (await site.get())["x-evil"] is None


# What the request asks


@pytest.mark.parametrize(
    ("directive", "age", "served"),
    [
        ("no-cache", 1, False),
        ("max-age=0", 1, False),
        ("max-age=5", 5, True),
        ("max-age=5", 6, False),
        ("min-fresh=50", 5, True),
        ("min-fresh=50", 15, False),
        ("max-stale", 600, True),
        ("max-stale=10", 69, True),
        ("max-stale=10", 71, False),
        ("max-stale=10, max-age=60", 69, False),
        ("no-store", 1, True),
        ("nonsense", 1, True),
        ("only-if-cached", 1, True),
    ],
)
async def test_what_a_request_says_of_age(
    site: Site, directive: str, age: int, served: bool
) -> None:
    site.origin.respond("max-age=60")
    await site.get()
    site.clocks.advance(age)
    answer = await site.get(cache_control=directive)
    assert (answer.age is not None) is served


async def test_pragma_is_no_cache_where_nothing_else_is_said(site: Site) -> None:
    site.origin.respond("max-age=60")
    await site.get()
    assert (await site.get(pragma="no-cache")).body == b"call 2"
    assert (await site.get(pragma="no-cache", cache_control="x")).body == b"call 2"
    assert (await site.get()).body == b"call 2"  # what the reload brought was stored


async def test_only_if_cached_is_a_504_where_nothing_is(site: Site) -> None:
    answer = await site.get(cache_control="only-if-cached")
    assert (site.calls, answer.status, answer.body) == (0, 504, b"")


async def test_no_store_in_a_request_stores_nothing_and_spoils_nothing(site: Site) -> None:
    site.origin.respond("max-age=60")
    await site.get(cache_control="no-store")
    assert len(site.cache.store) == 0
    await site.get()
    site.clocks.advance(61)
    await site.get(cache_control="no-store, no-cache")
    assert len(site.cache.store) == 1


# Validation


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"ETag": '"1"'}, {b"if-none-match": b'"1"'}),
        ({"ETag": 'W/"1"'}, {b"if-none-match": b'W/"1"'}),
        ({"Last_Modified": MODIFIED}, {b"if-modified-since": DATE.encode()}),
        (
            {"ETag": '"1"', "Last_Modified": MODIFIED},
            {b"if-none-match": b'"1"', b"if-modified-since": DATE.encode()},
        ),
    ],
)
async def test_a_stale_response_is_validated_and_fresh_again(
    site: Site, fields: Any, sent: dict[bytes, bytes]
) -> None:
    site.origin.respond("max-age=60", b"content", X_Old="1", X_Both="old", **fields)
    site.origin.respond("max-age=100", b"", status=304, X_Both="new", Content_Length="5")
    await site.get()
    site.clocks.advance(61)
    answer = await site.get(if_none_match='"client"', range="bytes=0-1", accept="x")
    call = site.origin.calls[1]
    assert {name: call[name] for name in sent} == sent
    assert not call.keys() & ({b"range", b"if-none-match", b"if-modified-since"} - sent.keys())
    assert call[b"accept"] == b"x"
    assert (answer.status, answer.body, answer.age) == (206, b"co", 0)
    whole = await site.get()
    assert (whole.body, whole["x-old"], whole["x-both"]) == (b"content", b"1", b"new")
    assert whole["content-length"] == b"7"
    site.clocks.advance(99)
    await site.get()
    assert site.calls == 2


async def test_a_304_for_the_cache_is_one_for_a_client_that_has_it(site: Site) -> None:
    site.origin.respond("max-age=60", ETag='"1"')
    site.origin.respond(status=304, cache_control="max-age=60")
    await site.get()
    site.clocks.advance(61)
    assert (await site.get(if_none_match='"1"')).status == 304
    assert (await site.get()).body == b"call 1"


async def test_a_304_with_fields_that_no_server_would_send_confirms_nothing(site: Site) -> None:
    site.origin.respond("max-age=60", ETag='"1"')
    site.origin.respond("max-age=60", status=304, X="a\r\nset-cookie: evil=1")
    site.origin.respond("max-age=60")
    await site.get()
    site.clocks.advance(61)
    with pytest.raises(LocalProtocolError):
        await site.get()
    answer = await site.get()
    assert (answer.body, answer["x"]) == (b"call 3", None)


async def test_a_304_that_forbids_storing_answers_once(site: Site) -> None:
    site.origin.respond("max-age=60", ETag='"1"')
    site.origin.respond("no-store", status=304)
    site.origin.respond("max-age=60")
    await site.get()
    site.clocks.advance(61)
    assert (await site.get()).body == b"call 1"
    assert len(site.cache.store) == 0
    assert (await site.get()).body == b"call 3"


async def test_a_new_response_replaces_the_stale_one(site: Site) -> None:
    site.origin.respond("max-age=60", ETag='"1"')
    site.origin.respond("max-age=60", ETag='"2"')
    await site.get()
    site.clocks.advance(61)
    for _ in range(2):
        answer = await site.get()
        assert (answer.body, answer["etag"]) == (b"call 2", b'"2"')


async def test_a_new_response_that_may_not_be_stored_removes_the_stale_one(site: Site) -> None:
    site.origin.respond("max-age=60, stale-if-error=600")
    site.origin.respond("no-store")
    site.origin.respond(status=500)
    await site.get()
    site.clocks.advance(61)
    assert (await site.get()).body == b"call 2"
    assert (await site.get()).status == 500


async def test_a_clients_own_condition_reaches_the_application_where_nothing_is_stored(
    site: Site,
) -> None:
    site.origin.respond("max-age=60", status=304, ETag='"1"')
    answer = await site.get(if_none_match='"1"')
    assert (answer.status, site.origin.calls[0][b"if-none-match"]) == (304, b'"1"')
    assert len(site.cache.store) == 0


# While stale


async def test_stale_while_revalidate_answers_at_once_and_refreshes_once(site: Site) -> None:
    site.origin.respond("max-age=60, stale-while-revalidate=30", ETag='"1"')
    await site.get()
    site.clocks.advance(61)
    site.origin.gate = asyncio.Event()
    answers = [await site.get() for _ in range(3)]
    assert {(answer.body, answer.age) for answer in answers} == {(b"call 1", 61)}
    site.origin.gate.set()
    await site.in_background()
    assert site.calls == 2
    assert site.origin.calls[1][b"if-none-match"] == b'"1"'
    answer = await site.get()
    assert (answer.body, answer.age) == (b"call 2", 0)
    assert site.cache.counts.refreshed == 1


@pytest.mark.parametrize("validators", [{}, {"ETag": '"1"'}])
async def test_a_refresh_asks_for_the_whole_whatever_its_request_asked_for(
    site: Site, validators: Any
) -> None:
    """Else one request for a part would put an end to what is stored."""
    site.origin.respond("max-age=60, stale-while-revalidate=30", b"0123456789", **validators)
    await site.get()
    site.clocks.advance(61)
    fields = {"range": "bytes=0-1", "if_range": '"1"', "if_none_match": '"2"'}
    assert (await site.get(method="HEAD", **fields)).status == 200
    await site.in_background()
    call = site.origin.calls[1]
    assert not call.keys() & {b"range", b"if-range"}
    assert call.get(b"if-none-match") == (b'"1"' if validators else None)
    assert (await site.get()).age == 0


async def test_after_the_window_the_client_waits(site: Site) -> None:
    site.origin.respond("max-age=60, stale-while-revalidate=30")
    await site.get()
    site.clocks.advance(91)
    assert (await site.get()).body == b"call 2"


@pytest.mark.parametrize("failure", [{"status": 503}, {"error": ZeroDivisionError()}])
async def test_a_refresh_that_fails_keeps_what_is_stale_until_the_limit(
    site: Site, failure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    site.origin.respond("max-age=60, stale-while-revalidate=30")
    site.origin.respond(**failure)
    site.origin.respond(**failure)
    site.origin.respond("max-age=60")
    await site.get()
    site.clocks.advance(70)
    for calls in (2, 3):
        assert (await site.get()).body == b"call 1"
        await site.in_background()
        assert site.calls == calls
    assert ("refreshing" in caplog.text) is ("error" in failure)
    site.clocks.advance(25)
    assert (await site.get()).body == b"call 4"


@pytest.mark.parametrize("failure", [{"status": s} for s in (500, 502, 503, 504)])
async def test_stale_if_error_answers_instead_of_an_error(site: Site, failure: Any) -> None:
    site.origin.respond("max-age=60, stale-if-error=100")
    site.origin.respond(**failure)
    await site.get()
    site.clocks.advance(159)
    answer = await site.get()
    assert (answer.status, answer.body, answer.age) == (200, b"call 1", 159)
    site.clocks.advance(2)
    assert (await site.get()).status == failure["status"]


async def test_stale_if_error_answers_instead_of_an_exception_that_is_logged(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.origin.respond("max-age=60, stale-if-error=100")
    site.origin.respond(error=ZeroDivisionError("boom"))
    await site.get()
    site.clocks.advance(100)
    assert (await site.get()).body == b"call 1"
    assert "boom" in caplog.text
    site.clocks.advance(100)
    with pytest.raises(ZeroDivisionError):
        await site.get()


async def test_an_error_that_is_the_clients_is_not_replaced(site: Site) -> None:
    site.origin.respond("max-age=60, stale-if-error=100")
    site.origin.respond(status=404)
    await site.get()
    site.clocks.advance(61)
    assert (await site.get()).status == 404


@pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "s-maxage=60"])
async def test_what_may_not_be_served_stale_is_not(site: Site, directive: str) -> None:
    site.origin.respond(f"max-age=60, stale-while-revalidate=900, stale-if-error=900, {directive}")
    site.origin.respond(status=503)
    await site.get()
    site.clocks.advance(61)
    assert (await site.get(cache_control="max-stale")).status == 503


async def test_no_more_than_a_few_refreshes_run_at_a_time(site: Site) -> None:
    site.origin.respond("max-age=60, stale-while-revalidate=900")
    for number in range(20):
        await site.get(f"/{number}")
    site.clocks.advance(61)
    site.origin.gate = asyncio.Event()
    for number in range(20):
        assert (await site.get(f"/{number}")).age == 61
    await asyncio.sleep(0)
    assert site.calls == 28
    site.origin.gate.set()
    await site.in_background()


# Cache-Status (RFC 9211)


async def test_cache_status_says_what_happened_where_it_is_asked_for() -> None:
    site = Site(status_field=True)
    site.origin.respond(
        "max-age=60, stale-if-error=60", Vary="foo", ETag='"1"', Cache_Status="app; hit"
    )
    site.origin.respond("max-age=60, stale-if-error=60", Vary="foo", ETag='"1"')
    site.origin.respond("max-age=60, stale-if-error=60", status=304)
    site.origin.respond(status=503)
    site.origin.respond("no-store")

    async def status(*arguments: Any, **fields: Any) -> list[bytes]:
        answer = await site.get(*arguments, **fields)
        return [value for name, value in answer.pairs if name == b"cache-status"]

    assert await status() == [b"app; hit", b"katana; fwd=uri-miss; fwd-status=200; stored"]
    site.clocks.advance(10)
    assert await status() == [b"app; hit", b"katana; hit; ttl=50"]
    assert (await status(foo="1"))[-1] == b"katana; fwd=vary-miss; fwd-status=200; stored"
    site.clocks.advance(51)
    assert (await status())[-1] == b"katana; hit; detail=validated"
    site.clocks.advance(61)
    assert (await status())[-1] == b"katana; hit; detail=stale-if-error"
    assert (await status("/", "POST"))[-1] == b"katana; fwd=method"
    assert (await status(upgrade="x"))[-1] == b"katana; fwd=bypass"
    assert (await status("/new"))[-1] == b"katana; fwd=uri-miss; fwd-status=200"
    assert (await status("/new", x_original_url="/x"))[-1] == b"katana; fwd=bypass; fwd-status=200"


async def test_cache_status_is_not_there_by_default(site: Site) -> None:
    site.origin.respond("max-age=60")
    for _ in range(2):
        assert (await site.get())["cache-status"] is None


def test_the_look_up_of_a_connection_finds_what_the_wrapper_stored(site: Site) -> None:
    """``lookup`` needs no scope and no task."""
    site.origin.respond("max-age=60", b"stored")
    asyncio.run(site.get("/a?b=c", host="example.org"))
    lookup = site.cache.lookup
    answer = lookup("GET", "http", b"/a", b"b=c", [(b"host", b"EXAMPLE.org:80")])
    assert answer is not None
    assert (answer.status, answer.content) == (200, b"stored")
    for arguments in (
        ("POST", "http", b"/a", b"b=c"),
        ("GET", "https", b"/a", b"b=c"),
        ("GET", "http", b"/a", b""),
    ):
        assert lookup(*arguments, [(b"host", b"example.org")]) is None
    site.clocks.advance(60)
    assert lookup("GET", "http", b"/a", b"b=c", [(b"host", b"example.org")]) is None
    assert site.cache.counts.hits == 1
