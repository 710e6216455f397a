"""``RouteTable``: which requests a static route answers, and with what."""

from __future__ import annotations

import hashlib

import pytest
from route_requests import Request, answered, get, match, request, table, values, whole

from katana_asgi.config.model import StaticRoute
from katana_asgi.errors import ConfigurationError
from katana_asgi.routes.table import RouteTable

ETAG = b'"' + hashlib.sha256(b"ok").hexdigest()[:32].encode() + b'"'


def test_an_empty_table_is_false_and_answers_nothing() -> None:
    routes = RouteTable([])
    assert not routes
    assert len(routes) == 0
    assert match(routes, get(b"/")) is None


def test_get_is_answered_with_the_whole_response() -> None:
    routes = table("/healthz", body="ok")
    assert len(routes) == 1
    response = answered(routes, get(b"/healthz"))
    assert whole(response) == (
        200,
        [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"etag", ETAG),
            (b"content-length", b"2"),
        ],
        b"ok",
    )
    assert response.own == frozenset()


def test_the_same_request_gets_the_same_response_object() -> None:
    routes = table("/healthz", body="ok")
    assert answered(routes, get(b"/healthz")) is answered(routes, get(b"/healthz", b"X: 1"))


def test_head_is_get_without_its_content() -> None:
    routes = table("/healthz", body="ok")
    status, fields, _ = whole(answered(routes, get(b"/healthz")))
    response = answered(routes, request(b"HEAD /healthz HTTP/1.1"))
    assert whole(response) == (status, fields, b"")


def test_head_is_answered_where_only_get_is_listed() -> None:
    routes = table("/a", body="ok", methods=("GET",))
    assert answered(routes, request(b"HEAD /a HTTP/1.1")).status == 200


def test_the_query_is_ignored() -> None:
    assert answered(table("/a", body="ok"), get(b"/a?b=/c")).content == b"ok"


@pytest.mark.parametrize("path", [b"/", b"/b", b"/a/", b"/A", b"/aa", b"//a", b"/a%2F"])
def test_another_path_is_left_to_the_application(path: bytes) -> None:
    assert match(table("/a"), get(path)) is None


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/a", b"/%61"),
        ("/caf\N{LATIN SMALL LETTER E WITH ACUTE}", b"/caf%C3%A9"),
        ("/caf\N{LATIN SMALL LETTER E WITH ACUTE}", b"/caf%c3%a9"),
        ("/caf%C3%A9", b"/c%61f%C3%A9"),
        ("/a b", b"/a%20b"),
        ("/a%20b", b"/a%20b"),
        ("/a|b", b"/a|b"),
        ("/a|b", b"/a%7Cb"),
        ("/a%2Fb", b"/a%2Fb"),
        ("/%FF", b"/%FF"),
        ("/100%", b"/100%"),
        ("/100%", b"/100%25"),
        ("/~me", b"/%7Eme"),
    ],
)
def test_equivalent_spellings_of_a_path_match(path: str, target: bytes) -> None:
    assert match(table(path, body="ok"), get(target)) is not None


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/a/b", b"/a%2Fb"),
        ("/a/b", b"/a%2fb"),
        ("/a%2Fb", b"/a/b"),
        ("/%FF", b"/%FE"),
        ("/\N{REPLACEMENT CHARACTER}", b"/%FF"),
        ("/a+b", b"/a%20b"),
    ],
)
def test_spellings_that_are_not_equivalent_do_not_match(path: str, target: bytes) -> None:
    assert match(table(path, body="ok"), get(target)) is None


@pytest.mark.parametrize(
    "asked",
    [
        request(b"GET /a HTTP/1.1", b"Content-Length: 1"),
        request(b"GET /a HTTP/1.1", b"Transfer-Encoding: chunked"),
        request(b"GET /a HTTP/1.1", b"Expect: 100-continue"),
        request(b"GET /a HTTP/1.1", b"Connection: upgrade", b"Upgrade: websocket"),
    ],
)
def test_requests_with_content_expectation_or_upgrade_are_the_applications(asked: Request) -> None:
    for path in ("/a", "/{name}"):
        assert match(table(path, exclusive=True), asked) is None


def test_an_exclusive_route_refuses_a_method_before_its_content() -> None:
    answer = match(table("/a", exclusive=True), request(b"POST /a HTTP/1.1", b"Content-Length: 1"))
    assert answer is not None
    assert answer.status == 405
    assert match(table("/a"), request(b"POST /a HTTP/1.1", b"Content-Length: 1")) is None


def test_content_of_no_length_is_no_content() -> None:
    assert match(table("/a"), request(b"GET /a HTTP/1.1", b"Content-Length: 0")) is not None


def test_an_unlisted_method_is_left_to_the_application() -> None:
    assert match(table("/a"), request(b"POST /a HTTP/1.1")) is None
    assert match(table("/{name}"), request(b"POST /a HTTP/1.1")) is None


def test_an_exclusive_route_refuses_unlisted_methods() -> None:
    routes = table("/a", body="ok", exclusive=True, methods=("GET", "PURGE"))
    response = answered(routes, request(b"DELETE /a HTTP/1.1"))
    fields = [(b"allow", b"GET, HEAD, PURGE"), (b"content-length", b"0")]
    assert whole(response) == (405, fields, b"")
    assert answered(routes, request(b"PURGE /a HTTP/1.1")).status == 200


def test_a_route_without_get_refuses_head() -> None:
    routes = table("/a", exclusive=True, methods=("POST",))
    assert answered(routes, request(b"HEAD /a HTTP/1.1")).status == 405
    assert values(answered(routes, request(b"HEAD /a HTTP/1.1")), b"allow") == [b"POST"]


def test_own_fields_follow_the_content_type() -> None:
    headers = (("X-One", "1"), ("x-two", "2"), ("x-one", "3"))
    response = answered(table("/a", body="ok", headers=headers), get(b"/a"))
    assert list(response.pairs[:4]) == [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"x-one", b"1"),
        (b"x-two", b"2"),
        (b"x-one", b"3"),
    ]


def test_an_own_content_type_wins() -> None:
    routes = table("/a", body="{}", headers=(("Content-Type", "application/json"),))
    assert values(answered(routes, get(b"/a")), b"content-type") == [b"application/json"]


def test_own_date_and_server_win_over_the_default_ones() -> None:
    routes = table("/a", body="ok", headers=(("Server", "mine"), ("Date", "then")))
    response = answered(routes, get(b"/a"))
    assert response.own == {b"date", b"server"}
    assert values(response, b"server") == [b"mine"]
    assert values(response, b"date") == [b"then"]


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_content_has_no_length_and_no_type(status: int) -> None:
    response = answered(table("/a", status=status), get(b"/a"))
    assert response.pairs == ()
    assert response.content == b""


def test_a_reset_content_has_length_zero() -> None:
    response = answered(table("/a", status=205), get(b"/a"))
    assert values(response, b"content-length") == [b"0"]


def test_a_redirect_is_a_status_and_a_location() -> None:
    routes = table("/old", status=308, headers=(("Location", "/new"),), content_type="")
    fields = [(b"location", b"/new"), (b"content-length", b"0")]
    assert whole(answered(routes, get(b"/old"))) == (308, fields, b"")


def test_one_path_cannot_have_two_routes() -> None:
    for first, second in [("/a", "/a"), ("/a b", "/a%20b"), ("/a", "/%61"), ("/{x}", "/{y}")]:
        with pytest.raises(ConfigurationError, match="another route has the same path"):
            RouteTable([StaticRoute(path=first), StaticRoute(path=second)])
