"""The head of a frame (RFC 6455 §5.2): opcodes, bits and lengths.

::

    FIN RSV1-3 opcode | MASK length (7) | length (0, 16 or 64) | key (0 or 32)
     1    3      4    |  1              |                      |
"""

from __future__ import annotations

from typing import Final

from katana_asgi.websocket.events import PROTOCOL_ERROR, WebSocketError

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "CONTROL",
    "FIN",
    "MASKED",
    "PING",
    "PONG",
    "RSV1",
    "SMALL",
    "TEXT",
    "check_order",
    "extended_length",
    "frame_head",
]

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

CONTROL: Final = 0x08
"""The bit of the opcode that makes a control frame."""

FIN: Final = 0x80
RSV1: Final = 0x40
"""Set on the first frame of a compressed message (RFC 7692 §6)."""
_RESERVED: Final = 0x70

MASKED: Final = 0x80

SMALL: Final = 126
"""Lengths below this stand in the second byte; 126 and 127 announce 2 and 8 more bytes."""

_LARGE: Final = 0x1_0000
"""The first length that needs 8 bytes."""


def check_order(first: int, compression: bool, continuing: bool) -> None:
    """Judge the first byte of a frame by what may come now (RFC 6455 §5.2, §5.4, §5.5).

    ``compression`` says that permessage-deflate was agreed, ``continuing`` that a
    fragmented message is not finished. Raises ``WebSocketError`` (1002).
    """
    opcode = first & 0x0F
    reserved = first & _RESERVED
    if reserved and (reserved != RSV1 or not compression or opcode not in (TEXT, BINARY)):
        raise WebSocketError(PROTOCOL_ERROR, "reserved bits set")
    if opcode > BINARY:
        if not CLOSE <= opcode <= PONG:
            raise WebSocketError(PROTOCOL_ERROR, "unknown opcode")
        if first < FIN:
            raise WebSocketError(PROTOCOL_ERROR, "fragmented control frame")
    elif (opcode == CONTINUATION) is not continuing:
        reason = "message inside a message" if continuing else "nothing to continue"
        raise WebSocketError(PROTOCOL_ERROR, reason)


def extended_length(encoded: bytes) -> int:
    """The length in two or eight bytes: the shortest form, top bit clear.

    Raises ``WebSocketError`` (1002) for any other.
    """
    length = int.from_bytes(encoded, "big")
    if length < (SMALL if len(encoded) == 2 else _LARGE) or length >> 63:
        raise WebSocketError(PROTOCOL_ERROR, "invalid length encoding")
    return length


def frame_head(first: int, length: int, masked: int) -> bytes:
    """The head without its key; ``masked`` is ``MASKED`` or 0."""
    if length < SMALL:
        return bytes((first, masked | length))
    if length < _LARGE:
        return bytes((first, masked | 126)) + length.to_bytes(2, "big")
    return bytes((first, masked | 127)) + length.to_bytes(8, "big")
