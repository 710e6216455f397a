"""Everything a static route can get wrong is said at start, in one line that names the route."""

from __future__ import annotations

import pytest
from route_requests import answered, get, match, table, values

from katana_asgi.errors import ConfigurationError


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"path": ""}, "starts with a slash"),
        ({"path": "a"}, "starts with a slash"),
        ({"path": b"/a"}, "starts with a slash"),
        ({"path": "/a?b"}, "holds no"),
        ({"path": "/a#b"}, "holds no"),
        ({"path": "/a\n"}, "holds no"),
        ({"path": "/\udc80"}, "holds no"),
        ({"status": 199}, "from 200 to 999"),
        ({"status": 1000}, "from 200 to 999"),
        ({"status": "200"}, "from 200 to 999"),
        ({"status": 204, "body": "x"}, "has no body"),
        ({"status": 205, "body": "x"}, "has no body"),
        ({"status": 304, "body": "x"}, "has no body"),
        ({"methods": ()}, "answers no method"),
        ({"methods": "GET"}, "methods are a tuple"),
        ({"methods": ("G T",)}, "not a method"),
        ({"methods": ("",)}, "not a method"),
        ({"methods": ("G\N{LATIN CAPITAL LETTER E WITH ACUTE}T",)}, "not a method"),
        ({"methods": ("CONNECT",)}, "not a method"),
        ({"headers": (("a b", "1"),)}, "not a header name"),
        ({"headers": (("", "1"),)}, "not a header name"),
        ({"headers": (("a", "1\r\nb: 2"),)}, "control character"),
        ({"headers": (("a", "\x00"),)}, "control character"),
        ({"headers": (("a", "\N{EURO SIGN}"),)}, "no field can hold"),
        ({"headers": (("Content-Length", "1"),)}, "set by the server"),
        ({"headers": (("Transfer-Encoding", "chunked"),)}, "set by the server"),
        ({"headers": (("Connection", "close"),)}, "set by the server"),
        ({"headers": (("ETag", "v1"),)}, "one quoted text"),
        ({"headers": (("ETag", '"v1"'), ("etag", '"v2"'))}, "one quoted text"),
        ({"content_type": "text/plain\r\nx: y"}, "control character"),
        ({"body": 1}, "bytes or text"),
        ({"body": "\udc80"}, "UTF-8 cannot encode"),
        (
            {"body": "\N{EURO SIGN}", "content_type": "text/plain; charset=latin-1"},
            "sent as UTF-8",
        ),
    ],
)
def test_a_wrong_route_is_a_configuration_error(settings: dict[str, object], reason: str) -> None:
    settings = {"path": "/a", **settings}
    with pytest.raises(ConfigurationError, match=reason) as caught:
        table(**settings)  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.startswith(f"static route {settings['path']!r}: ")
    assert "\n" not in message


def test_methods_may_be_written_in_lower_case() -> None:
    assert match(table("/a", methods=("get",)), get(b"/a")) is not None


def test_values_of_fields_are_trimmed_and_may_hold_latin_1() -> None:
    name = "\N{LATIN SMALL LETTER E WITH ACUTE}"
    response = answered(table("/a", headers=(("X", f" {name}\t"),)), get(b"/a"))
    assert values(response, b"x") == [b"\xe9"]


def test_text_is_sent_as_utf_8_where_the_type_names_no_other_charset() -> None:
    for content_type in ("text/plain", 'text/plain; charset="UTF-8"'):
        routes = table("/a", body="\N{EURO SIGN}", content_type=content_type)
        assert answered(routes, get(b"/a")).content == b"\xe2\x82\xac"


def test_bytes_are_sent_as_they_are_whatever_the_charset() -> None:
    routes = table("/a", body=b"\x80", content_type="text/plain; charset=windows-1252")
    assert answered(routes, get(b"/a")).content == b"\x80"
