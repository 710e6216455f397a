"""Static routes and conditional requests (RFC 9110 §13)."""

from __future__ import annotations

import pytest
from route_requests import answered, get, request, table, values, whole

HEADERS = (
    ("Cache-Control", "max-age=60"),
    ("Content-Language", "en"),
    ("Content-Security-Policy", "default-src 'none'"),
)


def test_a_known_entity_tag_gets_304_with_what_a_cache_needs() -> None:
    routes = table("/a", body="ok", headers=HEADERS)
    etag = values(answered(routes, get(b"/a")), b"etag")[0]
    response = answered(routes, get(b"/a", b"If-None-Match: " + etag))
    fields = [
        (b"cache-control", b"max-age=60"),
        (b"content-security-policy", b"default-src 'none'"),
        (b"etag", etag),
    ]
    assert whole(response) == (304, fields, b"")


def test_head_gets_304_as_get_does() -> None:
    routes = table("/a", body="ok")
    head = request(b"HEAD /a HTTP/1.1", b"If-None-Match: *")
    assert answered(routes, head) is answered(routes, get(b"/a", b"If-None-Match: *"))


def test_several_lines_of_if_none_match_are_one_list() -> None:
    routes = table("/a", headers=(("ETag", '"v1"'),))
    head = get(b"/a", b'If-None-Match: "v0"', b'If-None-Match: W/"v1"')
    assert answered(routes, head).status == 304


def test_an_unknown_entity_tag_gets_the_content() -> None:
    assert answered(table("/a"), get(b"/a", b'If-None-Match: "v0"')).status == 200


def test_the_entity_tag_of_the_route_wins() -> None:
    routes = table("/a", body="ok", headers=(("ETag", 'W/"v1"'),))
    assert values(answered(routes, get(b"/a")), b"etag") == [b'W/"v1"']
    response = answered(routes, get(b"/a", b'If-None-Match: "v1"'))
    assert response.status == 304
    assert values(response, b"etag") == [b'W/"v1"']


@pytest.mark.parametrize("status", [201, 404, 503])
def test_only_a_200_has_an_entity_tag_and_heeds_preconditions(status: int) -> None:
    routes = table("/a", body="ok", status=status)
    response = answered(routes, get(b"/a", b"If-None-Match: *", b'If-Match: "x"'))
    assert response.status == status
    assert values(response, b"etag") == []


def test_a_failed_if_match_gets_412() -> None:
    response = answered(table("/a"), get(b"/a", b'If-Match: "other"'))
    assert whole(response) == (412, [(b"content-length", b"0")], b"")


def test_if_none_match_on_another_method_gets_412() -> None:
    routes = table("/a", methods=("POST",))
    assert answered(routes, request(b"POST /a HTTP/1.1", b"If-None-Match: *")).status == 412


def test_the_values_of_a_placeholder_have_entity_tags_of_their_own() -> None:
    routes = table("/{name}", body="{name}")
    first = values(answered(routes, get(b"/a")), b"etag")[0]
    assert answered(routes, get(b"/a", b"If-None-Match: " + first)).status == 304
    assert answered(routes, get(b"/b", b"If-None-Match: " + first)).status == 200
