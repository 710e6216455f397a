"""``CachedResponse``: the bytes it holds, and how they follow the default fields."""

from __future__ import annotations

from katana_asgi.routes.static import CLOSE, KEEP_ALIVE, PERSISTENT, CachedResponse

DEFAULTS = b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: katana-asgi\r\n"


def test_it_is_whole_before_any_refresh() -> None:
    response = CachedResponse(200, b"content-length: 2\r\n", b"ok", PERSISTENT)
    assert response.data == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    assert response.stamp == b""
    assert (response.status, response.length, response.close) == (200, 2, False)


def test_default_fields_stand_behind_the_status_line_and_are_the_stamp() -> None:
    response = CachedResponse(200, b"content-length: 2\r\n", b"ok", PERSISTENT)
    response.refresh(DEFAULTS)
    assert response.stamp is DEFAULTS
    assert response.data == (b"HTTP/1.1 200 OK\r\n" + DEFAULTS + b"content-length: 2\r\n\r\nok")


def test_a_refresh_leaves_nothing_of_the_one_before() -> None:
    response = CachedResponse(204, b"", b"", PERSISTENT)
    response.refresh(DEFAULTS)
    response.refresh(b"")
    assert response.data == b"HTTP/1.1 204 No Content\r\n\r\n"


def test_a_status_nobody_registered_has_an_empty_phrase() -> None:
    assert CachedResponse(799, b"", b"", PERSISTENT).data == b"HTTP/1.1 799 \r\n\r\n"


def test_own_fields_replace_the_default_ones_of_the_same_name() -> None:
    own = frozenset({b"server"})
    response = CachedResponse(200, b"server: mine\r\n", b"", PERSISTENT, own)
    response.refresh(DEFAULTS)
    assert response.stamp is DEFAULTS
    assert response.data == (
        b"HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: mine\r\n\r\n"
    )


def test_each_persistence_says_what_its_client_needs_to_hear() -> None:
    ends = [CachedResponse(200, b"", b"", each) for each in (PERSISTENT, KEEP_ALIVE, CLOSE)]
    assert [response.data for response in ends] == [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nconnection: keep-alive\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
    ]
    assert [response.close for response in ends] == [False, False, True]


def test_closing_is_the_same_response_that_ends_the_connection() -> None:
    own = frozenset({b"server"})
    for persistence in (PERSISTENT, KEEP_ALIVE):
        response = CachedResponse(200, b"server: mine\r\n", b"ok", persistence, own)
        response.refresh(DEFAULTS)
        expected = CachedResponse(200, b"server: mine\r\n", b"ok", CLOSE, own)
        expected.refresh(DEFAULTS)
        closing = response.closing()
        assert closing.data == expected.data
        assert closing.stamp is DEFAULTS
        assert closing.close
        assert closing.closing() is closing
