"""Request heads as a protocol version hands them over, made from their parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from katana_asgi.codec import FORWARDED_FIELDS, RequestHead
from katana_asgi.codec.target import parse_target

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["positions_of", "request_head"]


def positions_of(fields: Iterable[tuple[bytes, bytes]]) -> tuple[int, ...]:
    """Where the forwarding fields stand."""
    return tuple(at for at, (name, _) in enumerate(fields) if name in FORWARDED_FIELDS)


def request_head(
    target: bytes = b"/",
    *fields: tuple[bytes, bytes],
    method: str = "GET",
    version: str = "1.1",
    content_length: int | None = 0,
) -> RequestHead:
    """A head with these fields, and no others."""
    return RequestHead(
        method,
        target,
        version,
        *parse_target(target, method),
        list(fields),
        content_length,
        positions_of(fields),
    )
