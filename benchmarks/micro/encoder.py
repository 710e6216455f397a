"""Response heads and chunks to bytes, and the application's fields checked and rendered."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from benchmarks.micro.clock import Micro
from katana_asgi.asgi.fields import FieldsMemo, check_fields
from katana_asgi.http1.encoder import encode_chunk, encode_prefix

__all__ = ["encoder"]

FIELDS = [
    (b"content-type", b"application/json"),
    (b"content-length", b"13"),
    (b"cache-control", b"no-store"),
    (b"x-request-id", b"7f9c24e5"),
]


def encoder() -> Iterator[Micro]:
    """Yield the cases."""
    memo = FieldsMemo()
    checked = check_fields(FIELDS)
    numbers = count()
    chunk = bytes(1024)
    yield Micro("encoder", "4 fields, repeated", lambda: memo(FIELDS))
    yield Micro(
        "encoder",
        "4 fields, one value new each time",
        lambda: memo([*FIELDS[:3], (b"x-request-id", b"%d" % next(numbers))]),
    )
    yield Micro("encoder", "4 fields, never remembered", lambda: check_fields(FIELDS))
    yield Micro(
        "encoder", "head of 4 fields", lambda: encode_prefix(200, checked, None, chunked=False)
    )
    yield Micro("encoder", "chunk of 1 KiB", lambda: encode_chunk(chunk))
