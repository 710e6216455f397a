"""Masking of WebSocket frame payloads (RFC 6455 §5.3): XOR with a key of four bytes; the twin.

One big integer XOR for short payloads, four strided translations for long ones.
"""

from __future__ import annotations

from functools import cache
from typing import Final

__all__ = ["STRIDED_FROM", "mask"]

STRIDED_FROM: Final = 640
"""Bytes from which four translations beat one integer: 2.0 against 2.5 µs at 1 KiB."""


@cache
def _table(key: int) -> bytes:
    """The translation table that XORs with ``key``; 256 tables of 256 bytes at most."""
    return bytes(value ^ key for value in range(256))


def mask(data: bytes | bytearray | memoryview, key: bytes) -> bytes:
    """``data`` XOR ``key`` repeated; masking twice gives ``data`` again.

    Raises ``ValueError`` where ``key`` has not four bytes.
    """
    if len(key) != 4:
        raise ValueError("a mask has four bytes")
    size = len(data)
    if size < STRIDED_FROM:
        repeated = (key * (size // 4 + 1))[:size]
        mixed = int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")
        return mixed.to_bytes(size, "little")
    result = bytearray(data)
    for lane in range(4):
        result[lane::4] = result[lane::4].translate(_table(key[lane]))
    return bytes(result)
