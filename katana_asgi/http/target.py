"""The request target as ``http.message`` keeps it; what it means is the codec's."""

from __future__ import annotations

from typing import TypeAlias

from katana_asgi.codec import target as codec

__all__ = ["Target", "parse_target"]

Target: TypeAlias = tuple[str, bytes, bytes, bytes | None]
"""A request target taken apart: path, raw path, query, and the authority it carried, if any."""


def parse_target(target: bytes, method: str) -> Target:
    """Take a request target apart; raises what ``codec.target.parse_target`` raises."""
    _, authority, path, raw_path, query = codec.parse_target(target, method)
    return path, raw_path, query, authority
