"""Routes with a placeholder: what matches, and what becomes of the value."""

from __future__ import annotations

import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from route_requests import answered, get, match, table, values, whole

from katana_asgi.config.model import StaticRoute
from katana_asgi.errors import ConfigurationError
from katana_asgi.routes.table import RouteTable

HTML = "text/html; charset=utf-8"
JSON = "application/json"


def content(routes: RouteTable, path: bytes) -> bytes | None:
    response = match(routes, get(path))
    return None if response is None else response.content


def test_the_value_stands_wherever_the_body_names_it() -> None:
    routes = table("/hello/{name}", body="Hello {name}, {name}! {other} {}")
    assert content(routes, b"/hello/World") == b"Hello World, World! {other} {}"


def test_the_length_is_that_of_the_rendered_content() -> None:
    response = answered(table("/{name}", body="{name}"), get(b"/%C3%A9"))
    assert values(response, b"content-length") == [b"2"]
    assert response.content == b"\xc3\xa9"


def test_a_body_without_the_placeholder_is_sent_as_it_is() -> None:
    routes = table("/{any}", body=b"\x00\xff", content_type="image/png")
    assert content(routes, b"/%07") == b"\x00\xff"


def test_the_placeholder_can_be_part_of_a_segment() -> None:
    routes = table("/u/{id}.json", body='{"id": "{id}"}', content_type=JSON)
    assert content(routes, b"/u/7.json") == b'{"id": "7"}'
    assert content(routes, b"/u/.json") is None
    assert content(routes, b"/u/7.xml") is None


def test_a_segment_behind_the_placeholder_has_to_match() -> None:
    routes = table("/u/{id}/name", body="{id}")
    assert content(routes, b"/u/7/name") == b"7"
    assert content(routes, b"/u/7/age") is None
    assert content(routes, b"/u/7/8/name") is None
    assert content(routes, b"/u//name") is None


def test_prefix_and_suffix_do_not_share_bytes() -> None:
    routes = table("/aa{x}aa", body="{x}")
    assert content(routes, b"/aaa") is None
    assert content(routes, b"/aaaa") is None
    assert content(routes, b"/aaaaa") == b"a"


@pytest.mark.parametrize(
    "segment",
    [
        b"",  # nothing
        b"a/b",  # two segments
        b"%FF",  # not UTF-8
        b"%C3",
        b"%zz",  # not an escape
        b"%",
        b"a%4",
        b"x" * 1025,  # too long to render for anyone
    ],
)
def test_a_segment_that_is_no_value_does_not_match(segment: bytes) -> None:
    for settings in ({"body": "{x}"}, {"body": "{x}", "content_type": HTML}, {"body": "no value"}):
        assert content(table("/v/{x}", **settings), b"/v/" + segment) is None


def test_an_encoded_slash_is_part_of_the_value() -> None:
    routes = RouteTable(
        [StaticRoute(path="/v/{x}", body="{x}"), StaticRoute(path="/v/a/b", body="exact")]
    )
    assert content(routes, b"/v/a%2Fb") == b"a/b"
    assert content(routes, b"/v/a/b") == b"exact"


def test_a_plus_sign_stays_one() -> None:
    assert content(table("/{x}", body="{x}"), b"/a+b%20c") == b"a+b c"


def test_exact_paths_come_before_templates_however_spelled() -> None:
    routes = RouteTable(
        [StaticRoute(path="/{x}", body="{x}"), StaticRoute(path="/me", body="exact")]
    )
    assert content(routes, b"/me") == b"exact"
    assert content(routes, b"/m%65") == b"exact"
    assert content(routes, b"/you") == b"you"


def test_the_template_with_more_literal_text_comes_first() -> None:
    routes = RouteTable(
        [
            StaticRoute(path="/{x}", body="short {x}"),
            StaticRoute(path="/u/{x}", body="user {x}"),
            StaticRoute(path="/u/{x}.json", body="suffix {x}"),
            StaticRoute(path="/u/admin-{x}", body="admin {x}"),
        ]
    )
    assert content(routes, b"/u/admin-7.json") == b"admin 7.json"
    assert content(routes, b"/u/7.json") == b"suffix 7"
    assert content(routes, b"/u/7") == b"user 7"
    assert content(routes, b"/u/.json") == b"user .json"
    assert content(routes, b"/7") == b"short 7"


def test_a_value_is_escaped_for_html() -> None:
    routes = table("/{x}", body='<p title="{x}">{x}</p>', content_type=HTML)
    escaped = b"&lt;b&gt;&amp;&quot;&#x27;"
    assert content(routes, b"/%3Cb%3E&%22'") == b'<p title="%b">%b</p>' % (escaped, escaped)


def test_a_value_is_escaped_for_json() -> None:
    routes = table("/{x}", body='{"x": "{x}"}', content_type="application/problem+json")
    assert content(routes, b"/%22%5C%0A%C3%A9") == b'{"x": "\\"\\\\\\n\\u00e9"}'


@pytest.mark.parametrize("segment", [b"%00", b"a%0Ab", b"%1B[31m", b"%7F", b"%C2%85", b"%E2%80%A8"])
def test_control_characters_do_not_match_where_no_escape_exists(segment: bytes) -> None:
    assert content(table("/{x}", body="{x}"), b"/" + segment) is None
    assert content(table("/{x}", body="{x}", content_type=HTML), b"/" + segment) is None


def test_nothing_of_a_value_reaches_a_field() -> None:
    routes = table("/{x}", body="{x}", headers=(("X-Name", "{x}"),))
    assert values(answered(routes, get(b"/SECRET")), b"x-name") == [b"{x}"]


def test_a_value_asked_for_again_is_the_same_response() -> None:
    routes = table("/{x}", body="{x}")
    assert answered(routes, get(b"/a")) is answered(routes, get(b"/a"))
    assert answered(routes, get(b"/a")) is not answered(routes, get(b"/b"))


def test_ever_new_values_leave_exact_routes_and_answers_right() -> None:
    routes = RouteTable(
        [StaticRoute(path="/exact", body="exact"), StaticRoute(path="/{x}", body="{x}")]
    )
    first = answered(routes, get(b"/0"))
    for number in range(1200):
        assert content(routes, b"/%d" % number) == b"%d" % number
    assert content(routes, b"/exact") == b"exact"
    again = answered(routes, get(b"/0"))
    assert again is not first  # it was driven out
    assert whole(again) == whole(first)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/octet-stream",
        "application/javascript",
        "application/xml",
        "image/svg+xml",
        "text/javascript",
        "text/css",
        "text/xml",
        "",
    ],
)
def test_a_type_without_a_safe_escape_cannot_have_a_value(content_type: str) -> None:
    with pytest.raises(ConfigurationError, match="a placeholder is for HTML, JSON and plain text"):
        table("/{x}", body="{x}", content_type=content_type)


def test_a_value_needs_utf_8() -> None:
    with pytest.raises(ConfigurationError, match="needs UTF-8"):
        table("/{x}", body="{x}", content_type="text/html; charset=ISO-8859-1")


@pytest.mark.parametrize("body", ['{"x": {x}}', "{x}", '{"a": "{x}", {x}: 1}', "not json {x}"])
def test_a_value_in_json_has_to_stand_inside_a_string(body: str) -> None:
    with pytest.raises(ConfigurationError, match="inside a string"):
        table("/{x}", body=body, content_type=JSON)


@pytest.mark.parametrize("path", ["/{x}/{y}", "/{x}{x}", "/{", "/}", "/{}", "/{1}", "/{a b}"])
def test_braces_hold_one_name(path: str) -> None:
    with pytest.raises(ConfigurationError, match="braces hold a placeholder"):
        table(path)


TEXT = st.text(min_size=1, max_size=40)


def sent(value: str) -> bytes:
    return quote(value, safe="").encode()


@given(TEXT)
def test_a_json_string_gives_back_any_value(value: str) -> None:
    routes = table("/{x}", body='{"x": ["{x}"]}', content_type=JSON)
    found = content(routes, b"/" + sent(value))
    assert found is not None
    assert json.loads(found) == {"x": [value]}


@given(TEXT)
def test_html_holds_the_value_and_no_mark_up_of_it(value: str) -> None:
    routes = table("/{x}", body="{x}", content_type=HTML)
    found = content(routes, b"/" + sent(value))
    if found is None:
        assert not value.isprintable()
    else:
        assert not {*found} & {*b"<>\"'\x00\r\n"}
        assert html.unescape(found.decode()) == value


@given(TEXT)
def test_text_holds_the_value_or_the_application_answers(value: str) -> None:
    found = content(table("/{x}", body="{x}"), b"/" + sent(value))
    if found is None:
        assert not value.isprintable()
    else:
        assert found == value.encode()


@given(TEXT, st.sampled_from([HTML, JSON, "text/plain"]))
def test_a_value_changes_no_field_but_length_and_entity_tag(value: str, content_type: str) -> None:
    routes = table("/{x}", body='"{x}"', content_type=content_type, headers=(("a", "b"),))
    response = match(routes, get(b"/" + sent(value)))
    if response is not None:
        length = len(response.content)
        assert [field for field in response.pairs if field[0] != b"etag"] == [
            (b"content-type", content_type.encode()),
            (b"a", b"b"),
            (b"content-length", b"%d" % length),
        ]
