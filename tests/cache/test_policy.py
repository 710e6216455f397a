"""The decisions of the cache for any bytes that an application or a client may bring."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.cache.policy import Terms, storage_terms, vary_names
from katana_asgi.cache.request import CacheRequest
from tests.cache.conftest import NOW

NAME = st.sampled_from(
    [b"cache-control", b"CDN-Cache-Control", b"expires", b"date", b"age", b"vary", b"set-cookie"]
)
VALUE = st.one_of(
    st.binary(max_size=30),
    st.lists(
        st.sampled_from([b"max-age=", b"60", b"public", b"private", b"no-store", b",", b" ", b'"']),
        max_size=6,
    ).map(b"".join),
)
FIELDS = st.lists(st.tuples(NAME, VALUE), max_size=6)
REQUEST = st.lists(
    st.tuples(st.sampled_from([b"cookie", b"authorization", b"cache-control", b"pragma"]), VALUE),
    max_size=3,
)


@given(REQUEST, FIELDS, st.sampled_from([200, 204, 206, 301, 304, 404, 500]))
def test_what_is_stored_has_a_lifetime_and_nothing_that_forbids_it(
    request_fields: list[tuple[bytes, bytes]],
    fields: list[tuple[bytes, bytes]],
    status: int,
) -> None:
    request = CacheRequest("GET", "http", b"/", b"", request_fields)
    terms = storage_terms(request, status, fields, NOW)
    if isinstance(terms, Terms):
        assert 0 <= terms.age < terms.lifetime
        assert status < 500
        assert status not in (206, 304)
        assert not any(name == b"set-cookie" for name, _ in fields)
        assert terms.shared or not request.private


@given(st.binary(max_size=40))
def test_vary_gives_lower_case_names_or_no_key(value: bytes) -> None:
    names = vary_names([value])
    if names is not None:
        assert b"*" not in names
        assert list(names) == sorted({name.lower() for name in names})


@given(REQUEST)
def test_a_request_is_never_fresh_enough_for_what_it_forbids(
    fields: list[tuple[bytes, bytes]],
) -> None:
    request = CacheRequest("GET", "http", b"/", b"", fields)
    if b"no-cache" in request.directives:
        assert not request.accepts_age(0, 60)
    assert not request.accepts_age(60, 60)
