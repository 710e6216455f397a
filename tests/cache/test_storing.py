"""What is stored and for how long (RFC 9111 §3, §4.2, RFC 9213)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cache.conftest import Site

STORED = [
    ("max-age=60", {}),
    ("public, max-age=60", {}),
    ("s-maxage=60", {}),
    ("max-age=0, s-maxage=60", {}),
    ("MAX-AGE=60", {}),
    ("max-age=60", {"Expires": -5}),
    ('max-age="60"', {}),
    ("max-age=060", {}),
    ("max-age=60, extension", {}),
    ('a="no-store, private", max-age=60', {}),
    ("max-age=60, must-revalidate", {}),
    (None, {"Expires": 60}),
    (None, {"Expires": 60, "Date": 0}),
    (None, {"Expires": 30, "Date": -29}),
    ("max-age=60", {"Age": "10"}),
    ("max-age=60", {"Age": "old"}),
    ("max-age=60", {"Age": "-7200"}),
    ("max-age=60", {"Age": "7200.0"}),
    ("max-age=60", {"Age": "0, 7200"}),
    ("max-age=60", {"Age": ["0", "7200"]}),
    ("max-age=60", {"status": 203}),
    ("max-age=60", {"status": 204}),
    ("max-age=60", {"status": 301}),
    ("max-age=60", {"status": 302}),
    ("max-age=60", {"status": 404}),
    ("max-age=60", {"status": 410}),
    ("max-age=60", {"status": 299}),
    ("no-store", {"CDN_Cache_Control": "max-age=60"}),
    ("private, max-age=5", {"CDN_Cache_Control": "max-age=60"}),
    ("max-age=60", {"CDN_Cache_Control": "max-age=%"}),
    ("max-age=60", {"CDN_Cache_Control": 'max-age="0"'}),
    ("max-age=60", {"Vary": "Accept-Language"}),
]

NOT_STORED = [
    (None, {}),
    (None, {"ETag": '"1"', "Last_Modified": -1_000_000}),
    ("public", {}),
    ("max-age=0", {}),
    ("max-age=-1", {}),
    ("max-age=1.5", {}),
    ("max-age='60'", {}),
    ("max-age=60, max-age=0", {}),
    ("max-age = 60", {}),
    ("s-maxage=0, max-age=60", {}),
    ("max-age=60, s-maxage=0", {}),
    ('a="max-age=60"', {}),
    ("no-store, max-age=60", {"Expires": 60}),
    ("nO-StOrE, max-age=60", {}),
    (" no-store ,max-age=60", {}),
    ("private, max-age=60", {}),
    ('private="set-cookie", max-age=60', {}),
    ("no-cache, max-age=60", {}),
    ('No-Cache="x", max-age=60', {}),
    ("no-store, must-understand, max-age=60", {"status": 599}),
    (None, {"Expires": 0}),
    (None, {"Expires": -60}),
    (None, {"Expires": "0"}),
    (None, {"Expires": "tomorrow"}),
    (None, {"Expires": [60, 60]}),
    (None, {"Expires": 60, "Date": 60}),
    (None, {"Expires": 60, "Age": "60"}),
    ("max-age=60", {"Age": "60"}),
    ("max-age=60", {"Age": "7200, 0"}),
    ("max-age=60", {"Age": ["7200", "0"]}),
    ("max-age=2147483648", {"Age": "2147483648"}),
    ("max-age=60", {"Date": -100}),
    ("max-age=60", {"Set_Cookie": "a=b"}),
    ("s-maxage=60", {"Set_Cookie": "a=b"}),
    ("public, max-age=60", {"Vary": "*"}),
    ("public, max-age=60", {"Vary": "accept, *"}),
    ("public, max-age=60", {"Vary": ["accept", " , *"]}),
    ("public, max-age=60", {"Vary": "Cookie"}),
    ("public, max-age=60", {"Vary": "accept, authorization"}),
    ("max-age=60", {"Vary": "x" * 2000}),
    ("max-age=60", {"status": 206}),
    ("max-age=60", {"status": 304}),
    ("max-age=60", {"status": 412}),
    ("max-age=60", {"status": 416}),
    ("max-age=60", {"status": 500}),
    ("max-age=60", {"status": 503}),
    ("max-age=60", {"CDN_Cache_Control": "no-store"}),
    ("max-age=60", {"CDN_Cache_Control": "max-age=0", "Expires": 60}),
    ("max-age=60", {"CDN_Cache_Control": "private"}),
    ("max-age=60", {"trailers": True}),
]


def case_name(case: Any) -> str:
    return f"{case[0]} {case[1]}"[:70]


@pytest.mark.parametrize("case", STORED, ids=case_name)
async def test_what_the_application_marks_is_stored(site: Site, case: Any) -> None:
    site.origin.respond(case[0], **case[1])
    first, second = await site.get(), await site.get()
    assert site.calls == 1
    assert (second.status, second.body) == (first.status, first.body)


@pytest.mark.parametrize("case", NOT_STORED, ids=case_name)
async def test_nothing_else_is(site: Site, case: Any) -> None:
    site.origin.respond(case[0], **case[1])
    first, second = await site.get(), await site.get()
    assert site.calls == 2
    assert (first.age if "Age" not in case[1] else None, second.status) == (None, first.status)
    assert len(site.cache.store) == 0


@pytest.mark.parametrize(
    ("cache_control", "fields", "lifetime"),
    [
        ("max-age=60", {}, 60),
        ("s-maxage=10, max-age=60", {}, 10),
        ("max-age=60, s-maxage=10", {}, 10),
        ("max-age=10", {"Expires": 60}, 10),
        (None, {"Expires": 60}, 60),
        (None, {"Expires": 30, "Date": -30}, 30),
        ("max-age=60", {"Age": "20"}, 40),
        ("max-age=60", {"Date": -15}, 45),
        ("max-age=60", {"Date": -15, "Age": "20"}, 40),
        ("max-age=60", {"Date": 1000}, 60),
        ("max-age=60", {"CDN_Cache_Control": "max-age=10"}, 10),
    ],
)
async def test_it_is_fresh_for_as_long_as_it_says(
    site: Site, cache_control: str | None, fields: Any, lifetime: int
) -> None:
    site.origin.respond(cache_control, **fields)
    await site.get()
    site.clocks.advance(lifetime - 0.01)
    await site.get()
    assert site.calls == 1
    site.clocks.advance(0.02)
    await site.get()
    assert site.calls == 2


async def test_age_grows_from_what_it_was_and_date_stays(site: Site) -> None:
    site.origin.respond("max-age=100", Age="7", Date=-3)
    first = await site.get()
    assert first["age"] == b"7"  # the application's own
    site.clocks.advance(12.5)
    second = await site.get()
    assert (second.age, second["date"]) == (19, first["date"])


async def test_without_a_date_the_first_responses_is_added(site: Site) -> None:
    site.origin.respond("max-age=100")
    await site.get()
    site.clocks.advance(50)
    assert (await site.get())["date"] == b"Tue, 14 Nov 2023 22:13:20 GMT"


async def test_a_wall_clock_that_steps_back_or_forth_changes_no_age(site: Site) -> None:
    site.origin.respond("max-age=100")
    await site.get()
    for step in (-3600, 7200):
        site.clocks.wall += step
        site.clocks.monotonic += 10
        await site.get()
    assert (site.calls, (await site.get()).age) == (1, 20)


# Who asks


@pytest.mark.parametrize("name", ["cookie", "authorization"])
@pytest.mark.parametrize(
    ("cache_control", "calls"),
    [
        ("max-age=60", 2),
        ("max-age=60, must-revalidate", 2),
        ("public, max-age=60", 1),
        ("s-maxage=60", 1),
    ],
)
async def test_a_request_that_says_who_asks_shares_only_what_is_marked_so(
    site: Site, name: str, cache_control: str, calls: int
) -> None:
    site.origin.respond(cache_control)
    for value in ("one", "two"):
        await site.get(**{name: value})
    assert site.calls == calls


@pytest.mark.parametrize("name", ["cookie", "authorization"])
async def test_what_was_stored_for_strangers_is_not_for_those_known(site: Site, name: str) -> None:
    site.origin.respond("max-age=60")
    await site.get()
    assert (await site.get(**{name: "me"})).body == b"call 2"
    assert (await site.get()).body == b"call 1"


@pytest.mark.parametrize(
    "fields",
    [
        {"x_forwarded_host": "evil.example"},
        {"x_forwarded_proto": "https"},
        {"x_forwarded_scheme": "https"},
        {"x_forwarded_prefix": "/evil"},
        {"forwarded": "for=1.2.3.4;host=evil.example"},
        {"x_original_url": "/admin"},
        {"x_rewrite_url": "/admin"},
        {"x_http_method_override": "DELETE"},
        {"x_http_method": "DELETE"},
        {"x_method_override": "DELETE"},
        {"x_original_uri": "/admin"},
        {"x_original_host": "evil.example"},
        {"x_host": "evil.example"},
        {"x_script_name": "/evil"},
        {"x_forwarded_path": "/admin"},
        {"x_forwarded_uri": "/admin"},
        {"x_forwarded_port": "8080"},
        {"x_forwarded_ssl": "on"},
        {"front_end_https": "on"},
        {"x_url_scheme": "https"},
        {"forwarded": "for=1.2.3.4;proto=https"},
        {"forwarded": "host=example.org.evil"},
        {"forwarded": 'host="evil-example.org"'},
        {"forwarded": "host=example.org, host=evil.example"},
        {"forwarded": ["host=example.org", "Host=evil.example"]},
        {"x_forwarded_host": ["example.org", "evil.example"]},
    ],
)
async def test_a_field_outside_the_key_stores_nothing(site: Site, fields: dict[str, str]) -> None:
    site.origin.respond("public, max-age=60")
    await site.get(**fields)
    assert (await site.get()).body == b"call 2"
    assert (await site.get(**fields)).body == b"call 2"  # what is stored may be served


@pytest.mark.parametrize("age", [61, 100])
async def test_a_field_outside_the_key_confirms_and_refreshes_nothing(site: Site, age: int) -> None:
    site.origin.respond("public, max-age=60, stale-while-revalidate=30", ETag='"1"')
    await site.get()
    site.origin.responses = []
    site.origin.respond("public, max-age=60", status=304, Link="evil")
    site.clocks.advance(age)
    assert (await site.get(x_original_url="/evil", if_none_match='"1"')).status == 304
    await site.in_background()
    assert [call.get(b"if-none-match") for call in site.origin.calls] == [None, b'"1"']
    site.origin.responses = []
    site.origin.respond("public, max-age=60", status=304)
    for _ in range(2):
        answer = await site.get()
        await site.in_background()
        assert (answer.body, answer["link"]) == (b"call 1", None)


async def test_a_proxys_fields_that_say_what_the_key_says_do_no_harm(site: Site) -> None:
    site.origin.respond("public, max-age=60")
    fields = {
        "x_forwarded_host": "Example.ORG",
        "x_forwarded_proto": "http",
        "x_forwarded_port": "80",
        "x_forwarded_ssl": "off",
        "x_forwarded_for": "1.2.3.4",
        "x_real_ip": "1.2.3.4",
        "forwarded": 'for="[::1]:1";Host="example.org";proto=HTTP, for=1.2.3.4',
    }
    for _ in range(2):
        await site.get(**fields)
    assert site.calls == 1


@pytest.mark.parametrize("port", ["443", "8443"])
async def test_a_port_that_a_proxy_names_is_that_of_the_key(site: Site, port: str) -> None:
    site.origin.respond("public, max-age=60")
    host = "example.org" if port == "443" else "example.org:8443"
    fields = {"host": host, "x_forwarded_port": port, "x_forwarded_ssl": "on"}
    for _ in range(2):
        await site.ask({**site.scope(**fields), "scheme": "https"})
    assert site.calls == 1


async def test_a_stream_of_events_is_never_stored_nor_waited_for(site: Site) -> None:
    """It may have no end, and what is old in it is of no use."""
    site.origin.respond("public, max-age=60", Content_Type="Text/Event-Stream; charset=utf-8")
    for _ in range(2):
        await site.get()
    assert site.calls == 2
    assert site.cache.store.passes(b"http://example.org/")


@pytest.mark.parametrize("path", ["/account/x.css", "/account;.js", "/account%2f..%2fx.png"])
async def test_a_name_that_looks_like_a_file_makes_nothing_public(site: Site, path: str) -> None:
    """Web cache deception: the address is the attacker's, the page is the victim's."""
    site.origin.respond("max-age=60")
    await site.get(path, cookie="victim")
    assert (await site.get(path)).body == b"call 2"


# Keys


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"path": "/a"}, {"path": "/b"}, False),
        ({"path": "/a?x=1"}, {"path": "/a?x=2"}, False),
        ({"path": "/a?x=1&y=2"}, {"path": "/a?y=2&x=1"}, False),
        ({"path": "/%41"}, {"path": "/A"}, False),
        ({"path": "/a"}, {"path": "/a/"}, False),
        ({"host": "a.example"}, {"host": "b.example"}, False),
        ({"host": "a.example"}, {"host": "A.EXAMPLE"}, True),
        ({"host": "a.example"}, {"host": "a.example:80"}, True),
        ({"host": "a.example"}, {"host": "a.example:8080"}, False),
        ({"host": "a.example"}, {"host": "a.example."}, False),
    ],
)
async def test_what_makes_a_key(site: Site, one: Any, other: Any, same: bool) -> None:
    site.origin.respond("max-age=60")
    await site.get(**one)
    await site.get(**other)
    assert site.calls == (1 if same else 2)


async def test_schemes_do_not_mix(site: Site) -> None:
    site.origin.respond("max-age=60")
    await site.get()
    await site.ask({**site.scope(), "scheme": "https"})
    assert site.calls == 2


# Vary


@pytest.mark.parametrize(
    ("vary", "first", "second", "same"),
    [
        ("foo", {"foo": "1"}, {"foo": "1"}, True),
        ("foo", {"foo": "1"}, {"foo": "2"}, False),
        ("foo", {"foo": "1"}, {}, False),
        ("foo", {}, {"foo": "1"}, False),
        ("foo", {}, {"foo": ""}, False),
        ("foo", {}, {}, True),
        ("FOO", {"foo": "1"}, {"foo": "1"}, True),
        ("foo, bar", {"foo": "1", "bar": "2"}, {"bar": "2", "foo": "1"}, True),
        ("foo, bar", {"foo": "1", "bar": "2"}, {"foo": "1"}, False),
        ("foo", {"foo": ["1", "2"]}, {"foo": "1, 2"}, True),
        ("", {"foo": "1"}, {"foo": "2"}, True),
    ],
)
async def test_variants(site: Site, vary: str, first: Any, second: Any, same: bool) -> None:
    site.origin.respond("max-age=60", Vary=vary)
    await site.get(**first)
    await site.get(**second)
    assert site.calls == (1 if same else 2)
    await site.get(**first)
    await site.get(**second)
    assert site.calls == (1 if same else 2)


@pytest.mark.parametrize(
    ("coding", "one", "other", "same"),
    [
        ("gzip", "gzip, deflate, br", "br,gzip;q=1.0 , DEFLATE", True),
        ("gzip", "gzip", "x-gzip, unheard-of, junk;;", True),
        ("gzip", "gzip;q=0.5", "gzip;q=0.3", True),
        (None, "identity", "", True),
        (None, "identity", "gzip;q=0", True),
        ("gzip", "gzip, br", "gzip", False),
        ("gzip", "gzip, br;q=0.5", "gzip;q=0.5, br", False),
        ("gzip", "gzip;q=0.5, identity", "gzip;q=0", False),  # it was sent what it likes less
        ("gzip", "gzip", "identity", False),
        ("unheard-of", "unheard-of", "identity", False),
        (None, "gzip", None, False),
    ],
)
async def test_accept_encoding_is_compared_by_what_it_accepts(
    site: Site, coding: str | None, one: str, other: str | None, same: bool
) -> None:
    """However a client spells it, and whatever it invents: else each spelling is a variant."""
    fields = {} if coding is None else {"Content_Encoding": coding}
    site.origin.respond("max-age=60", Vary="accept-encoding", **fields)
    await site.get(accept_encoding=one)
    await site.get(**({} if other is None else {"accept_encoding": other}))
    assert site.calls == (1 if same else 2)
    await site.get(accept_encoding=one)
    assert site.calls == (1 if same else 2)


async def test_invented_codings_drive_out_no_variant(site: Site) -> None:
    site.origin.respond("max-age=60", Vary="accept-encoding", Content_Encoding="gzip")
    for number in range(100):
        await site.get(accept_encoding=f"gzip, x-{number}")
    assert (site.calls, len(site.cache.store)) == (1, 1)


async def test_a_seventeenth_variant_drives_out_the_oldest(site: Site) -> None:
    site.origin.respond("max-age=60", Vary="foo")
    for number in range(17):
        await site.get(foo=str(number))
    await site.get(foo="1")
    assert site.calls == 17
    await site.get(foo="0")
    assert site.calls == 18


# Messages


async def test_content_in_pieces_is_passed_on_as_it_comes_and_stored_whole(site: Site) -> None:
    site.origin.respond("max-age=60", pieces=[b"a", b"", b"bc", b"d"])
    first, second = await site.get(), await site.get()
    assert [message.get("body") for message in first.messages[1:]] == [b"a", b"", b"bc", b"d"]
    assert (second.body, second["content-length"]) == (b"abcd", b"4")
    assert len(second.messages) == 2


async def test_too_large_content_is_passed_on_and_not_stored() -> None:
    site = Site(most_of_one=10)
    site.origin.respond("max-age=60", pieces=[b"12345", b"67890", b"x", b"y"])
    for _ in range(2):
        assert (await site.get()).body == b"1234567890xy"
    assert site.calls == 2


@pytest.mark.parametrize("length", ["3", "5"])
async def test_content_that_is_not_as_long_as_promised_is_not_stored(
    site: Site, length: str
) -> None:
    site.origin.respond("max-age=60", b"abcd", Content_Length=length)
    await site.get()
    await site.get()
    assert site.calls == 2


@pytest.mark.parametrize("kind", ["http.response.pathsend", "http.response.zerocopysend"])
async def test_files_sent_by_the_server_pass_and_are_not_stored(site: Site, kind: str) -> None:
    site.origin.respond("max-age=60", instead=[{"type": kind, "path": "/x"}])
    for _ in range(2):
        assert (await site.get()).messages[-1] == {"type": kind, "path": "/x"}
    assert site.calls == 2


async def test_early_hints_pass_and_change_nothing(site: Site) -> None:
    hint = {"type": "http.response.early_hint", "links": [b"</x>"]}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        calls.append(1)
        await send(hint)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"Cache-Control", b"max-age=60")],
            }
        )
        await send({"type": "http.response.body", "body": b"x"})

    calls: list[int] = []
    site = Site(application)
    first = await site.get()
    assert [message["type"] for message in first.messages] == [
        "http.response.early_hint",
        "http.response.start",
        "http.response.body",
    ]
    second = await site.get()
    assert (len(calls), second.body, second.age) == (1, b"x", 0)


async def test_fields_of_one_request_or_connection_are_not_stored(site: Site) -> None:
    site.origin.respond(
        "max-age=60",
        Connection="x-hop, close",
        X_Hop="1",
        Keep_Alive="1",
        Proxy_Authenticate="x",
        TE="trailers",
        Upgrade="h2c",
        X_Request_ID="first",
        Traceparent="00-1-2-3",
        Server_Timing="app;dur=1",
        Cache_Tag="news",
        Content_Type="text/plain",
        X_Test="kept",
    )
    first, second = await site.get(), await site.get()
    assert first["x-request-id"] == b"first"
    assert first["cache-tag"] is None
    assert {name for name, _ in second.pairs} == {
        b"age", b"cache-control", b"content-length", b"content-type", b"date", b"x-test"
    }  # fmt: skip


async def test_fields_are_stored_as_a_server_sends_them(site: Site) -> None:
    """Values without space around them, and one Content-Length."""
    site.origin.respond("max-age=60", b"abcd", Content_Length=["4", " 4"], X_A=" \ta\t ")
    await site.get()
    answer = await site.get()
    assert (answer["content-length"], answer["x-a"], answer.age) == (b"4", b"a", 0)


async def test_a_websocket_and_a_lifespan_pass(site: Site) -> None:
    for kind in ("websocket", "lifespan"):
        await site.application({"type": kind}, None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields",
    [
        {"upgrade": "websocket"},
        {"expect": "100-continue"},
        {"content_length": "5"},
        {"transfer_encoding": "chunked"},
    ],
)
async def test_a_request_that_is_more_than_a_request_passes(site: Site, fields: Any) -> None:
    site.origin.respond("max-age=60")
    await site.get()
    await site.get(**fields)
    assert site.calls == 2


# Bounds


async def test_memory_is_bounded_and_what_is_asked_for_stays() -> None:
    site = Site(most=200_000)
    site.origin.respond("max-age=1000", b"x" * 1000)
    await site.get("/hot")
    await site.get("/hot")
    for number in range(600):
        await site.get(f"/{number}")
        if number % 50 == 0:
            await site.get("/hot")
    assert site.cache.store.weight <= 200_000
    calls = site.calls
    await site.get("/hot")
    assert site.calls == calls
