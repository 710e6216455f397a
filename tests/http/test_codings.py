"""Accept-Encoding (RFC 9110 §12.5.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.http.codings import accepted_codings

OFFERED = (b"br", b"zstd", b"gzip")


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        (None, []),
        (b"", []),
        (b"identity", []),
        (b"br", [b"br"]),
        (b"gzip, br", [b"br", b"gzip"]),  # the server's order on a tie
        (b"gzip, deflate, br, zstd", [b"br", b"zstd", b"gzip"]),
        (b"gzip;q=1.0, br;q=0.5", [b"gzip", b"br"]),
        (b"br;q=0", []),
        (b"br;q=0.000, gzip", [b"gzip"]),
        (b"br;q=0, *", [b"zstd", b"gzip"]),
        (b"*", [b"br", b"zstd", b"gzip"]),
        (b"*;q=0", []),
        (b"*;q=0, gzip", [b"gzip"]),
        (b"gzip;q=0.5, identity", []),
        (b"gzip, identity;q=0.5", [b"gzip"]),
        (b"identity;q=0", []),  # nothing else is named: the plain content is better than a 406
        (b"GZIP;Q=0.8", [b"gzip"]),
        (b"x-gzip", [b"gzip"]),
        (b"gzip ; q=0.3", [b"gzip"]),
        (b"gzip;q=2", []),
        (b"gzip;q=-1, br", [b"br"]),
        (b"gzip;q=0.1234, br", [b"br"]),
        (b"gzip;level=1, br", [b"br"]),
        (b",,br,,", [b"br"]),
        (b"\xff, br", [b"br"]),
        (b"deflate", []),
        (b"br" + b" " * 300, [b"br"]),
    ],
)
def test_the_codings_a_client_likes_better_than_none(
    value: bytes | None, accepted: list[bytes]
) -> None:
    assert list(accepted_codings(value, OFFERED)) == accepted


@given(st.binary(max_size=80))
def test_no_bytes_raise(value: bytes) -> None:
    assert set(accepted_codings(value, OFFERED)) <= set(OFFERED)
