"""Frames as bytes (RFC 9113 §4, §6): headers apart, and whole frames to send.

Frames are read where they are needed, in ``connection.py``; a frame to send is made here.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from katana_asgi.http2.faults import FRAME_SIZE_ERROR, PROTOCOL_ERROR, ConnectionFault

__all__ = [
    "ACK",
    "CONTINUATION",
    "DATA",
    "END_HEADERS",
    "END_STREAM",
    "FRAME_HEADER",
    "GOAWAY",
    "HEADERS",
    "HEADER_SIZE",
    "LARGEST_ID",
    "LARGEST_WINDOW",
    "MAX_FRAME_SIZE",
    "PADDED",
    "PING",
    "PREFACE",
    "PRIORITY",
    "PRIORITY_FLAG",
    "PRIORITY_UPDATE",
    "PUSH_PROMISE",
    "RST_STREAM",
    "SETTINGS",
    "WINDOW_UPDATE",
    "frame",
    "frame_header",
    "goaway",
    "header_frames",
    "rst_stream",
    "strip_padding",
    "window_update",
]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first (RFC 9113 §3.4)."""

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9
PRIORITY_UPDATE: Final = 0x10
"""RFC 9218 §7.1."""

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY_FLAG: Final = 0x20

MAX_FRAME_SIZE: Final = 16_384
"""The largest payload that is accepted: the initial value of RFC 9113 §6.5.2, never raised. Larger
frames would let one stream hold the connection for longer."""

LARGEST_ID: Final = 2**31 - 1
LARGEST_WINDOW: Final = 2**31 - 1

HEADER_SIZE: Final = 9

FRAME_HEADER: Final = Struct(">HBBBL")
"""Length in two parts, type, flags, and the stream with the reserved bit (RFC 9113 §4.1)."""

_pack_header: Final = FRAME_HEADER.pack
_pack_frame_of_four: Final = Struct(">HBBBLL").pack
_pack_goaway: Final = Struct(">LL").pack


def frame_header(length: int, kind: int, flags: int, stream: int) -> bytes:
    """The nine bytes in front of a payload."""
    return _pack_header(length >> 8, length & 255, kind, flags, stream)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A whole frame."""
    size = len(payload)
    return _pack_header(size >> 8, size & 255, kind, flags, stream) + payload


def rst_stream(stream: int, code: int) -> bytes:
    """RFC 9113 §6.4."""
    return _pack_frame_of_four(0, 4, RST_STREAM, 0, stream, code)


def window_update(stream: int, increment: int) -> bytes:
    """RFC 9113 §6.9."""
    return _pack_frame_of_four(0, 4, WINDOW_UPDATE, 0, stream, increment)


def goaway(last: int, code: int, reason: str = "") -> bytes:
    """RFC 9113 §6.8; ``reason`` is for whoever debugs the peer."""
    return frame(GOAWAY, 0, 0, _pack_goaway(last, code) + reason.encode())


def header_frames(stream: int, block: bytes, end: bool, largest: int) -> bytes:
    """A header block as HEADERS, and CONTINUATION where it is larger than ``largest``."""
    flags = END_STREAM if end else 0
    if len(block) <= largest:
        return frame(HEADERS, flags | END_HEADERS, stream, block)
    parts = [frame(HEADERS, flags, stream, block[:largest])]
    last = (len(block) - 1) // largest * largest
    parts += [
        frame(CONTINUATION, END_HEADERS if at == last else 0, stream, block[at : at + largest])
        for at in range(largest, len(block), largest)
    ]
    return b"".join(parts)


def strip_padding(payload: bytes) -> bytes:
    """The payload of a padded DATA or HEADERS without its padding (RFC 9113 §6.1, §6.2)."""
    if not payload:
        raise ConnectionFault(FRAME_SIZE_ERROR, "padded frame without a pad length")
    end = len(payload) - payload[0]
    if end < 1:
        raise ConnectionFault(PROTOCOL_ERROR, "padding longer than its frame")
    return payload[1:end]
