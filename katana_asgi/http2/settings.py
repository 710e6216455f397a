"""SETTINGS of both sides (RFC 9113 §6.5), and what connections take from the configuration."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, TypeAlias

from katana_asgi.http2.faults import (
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    PROTOCOL_ERROR,
    ConnectionFault,
)
from katana_asgi.http2.flow import CONNECTION_WINDOW, STREAM_WINDOW
from katana_asgi.http2.frames import LARGEST_WINDOW, MAX_FRAME_SIZE, SETTINGS, frame, window_update
from katana_asgi.http2.responses import DefaultBlocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.config.model import Config
    from katana_asgi.http.default_fields import DefaultFields
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http.refusal import Refusal
    from katana_asgi.http2.heads import CheckedHead
    from katana_asgi.http2.stream import Http2Stream
    from katana_asgi.net.peer import Peer
    from katana_asgi.observe.metrics import WorkerMetrics

    Connect: TypeAlias = Callable[[Http2Stream, CheckedHead, Peer], Exchange | None]

__all__ = ["HEADER_TABLE_SIZE", "Http2Settings", "PeerSettings"]

_HEADER_TABLE_SIZE: Final = 0x1
_ENABLE_PUSH: Final = 0x2
_MAX_CONCURRENT_STREAMS: Final = 0x3
_INITIAL_WINDOW_SIZE: Final = 0x4
_MAX_FRAME_SIZE: Final = 0x5
_MAX_HEADER_LIST_SIZE: Final = 0x6
_ENABLE_CONNECT_PROTOCOL: Final = 0x8
"""RFC 8441 §3."""
_NO_RFC7540_PRIORITIES: Final = 0x9
"""RFC 9218 §2.1."""

HEADER_TABLE_SIZE: Final = 4096
"""Of the decoder; the initial value, so no reduction ever has to be acknowledged in a block."""

MAX_ENTRIES: Final = 100
"""Settings in one frame; six are defined. Against frames that are nothing but work."""

LARGEST_FRAME_SIZE: Final = 2**24 - 1

LARGEST_SENT: Final = 64 * 1024
"""Bytes in a frame that is sent to a peer which takes larger ones: further gain is small, and a
frame in progress delays what is more urgent."""

_entry: Final = Struct(">HL")


class PeerSettings:
    """What the client has asked for; only what a server uses is kept.

    SETTINGS_HEADER_TABLE_SIZE has no effect because the encoder does not use the dynamic table.
    SETTINGS_MAX_HEADER_LIST_SIZE is advisory (§6.5.2): obeyed to the letter it would let a client
    turn every response into an error.
    """

    __slots__ = ("frame_size", "initial_window", "rfc9218")

    def __init__(self) -> None:
        self.frame_size = MAX_FRAME_SIZE
        self.initial_window = 65_535
        self.rfc9218: bool | None = None  # None: not said in the first SETTINGS

    def apply(self, payload: bytes) -> int:
        """Take over the values of a frame; returns by how much the windows of streams change."""
        if len(payload) % _entry.size:
            raise ConnectionFault(FRAME_SIZE_ERROR, "SETTINGS of a wrong length")
        if len(payload) > MAX_ENTRIES * _entry.size:
            raise ConnectionFault(ENHANCE_YOUR_CALM, "too many settings")
        before = self.initial_window
        no_rfc7540 = bool(self.rfc9218)
        for number, value in _entry.iter_unpack(payload):
            if number == _INITIAL_WINDOW_SIZE:
                if value > LARGEST_WINDOW:
                    raise ConnectionFault(FLOW_CONTROL_ERROR, "initial window too large")
                self.initial_window = value
            elif number == _MAX_FRAME_SIZE:
                if not MAX_FRAME_SIZE <= value <= LARGEST_FRAME_SIZE:
                    raise ConnectionFault(PROTOCOL_ERROR, "frame size out of range")
                self.frame_size = min(value, LARGEST_SENT)
            elif number in (_ENABLE_PUSH, _ENABLE_CONNECT_PROTOCOL, _NO_RFC7540_PRIORITIES):
                if value > 1:
                    raise ConnectionFault(PROTOCOL_ERROR, "a setting that is neither 0 nor 1")
                if number == _NO_RFC7540_PRIORITIES:
                    no_rfc7540 = bool(value)
        if self.rfc9218 is None:
            self.rfc9218 = no_rfc7540
        elif self.rfc9218 is not no_rfc7540:  # RFC 9218 §2.1
            raise ConnectionFault(PROTOCOL_ERROR, "the priority scheme was changed")
        return self.initial_window - before


class Http2Settings:
    """What the connections of one kind of listener share; seconds and bytes, 0 is no limit.

    ``connect`` makes the exchange for an extended CONNECT (RFC 8441), ``None`` where none is
    spoken. ``redirect``: every request is answered with what this returns. ``without`` are
    default fields that are not sent. ``meter`` counts, where metrics are on.
    """

    __slots__ = (
        "connect",
        "defaults",
        "limit_body_rate",
        "limit_header_count",
        "limit_header_size",
        "limit_requests",
        "limit_streams",
        "meter",
        "opening",
        "redirect",
        "timeout_body",
        "timeout_header",
        "timeout_keep_alive",
        "timeout_write",
    )

    def __init__(
        self,
        config: Config,
        defaults: DefaultFields,
        *,
        connect: Connect | None = None,
        redirect: Callable[[RequestHead], Refusal] | None = None,
        without: frozenset[bytes] = frozenset(),
        meter: WorkerMetrics | None = None,
    ) -> None:
        self.connect = connect
        self.defaults = DefaultBlocks(defaults, without)
        self.redirect = redirect
        self.meter = meter
        self.limit_body_rate = config.limit_body_rate
        self.limit_header_count = config.limit_header_count
        self.limit_header_size = config.limit_header_size
        self.limit_requests = config.limit_keep_alive_requests
        self.limit_streams = config.limit_streams
        self.timeout_body = config.timeout_body
        self.timeout_header = config.timeout_header
        self.timeout_keep_alive = config.timeout_keep_alive
        self.timeout_write = config.timeout_write
        self.opening = _opening(self.limit_streams, self.limit_header_size, connect is not None)


def _opening(limit_streams: int, limit_header_size: int, websocket: bool) -> bytes:
    """What a server sends first (RFC 9113 §3.4): SETTINGS, and the window of the connection."""
    values = {
        _HEADER_TABLE_SIZE: HEADER_TABLE_SIZE,
        _MAX_CONCURRENT_STREAMS: limit_streams,
        _INITIAL_WINDOW_SIZE: STREAM_WINDOW,
        _MAX_FRAME_SIZE: MAX_FRAME_SIZE,
        _MAX_HEADER_LIST_SIZE: limit_header_size,
        _ENABLE_CONNECT_PROTOCOL: int(websocket),
        _NO_RFC7540_PRIORITIES: 1,
    }
    payload = b"".join([_entry.pack(*value) for value in values.items()])
    return frame(SETTINGS, 0, 0, payload) + window_update(0, CONNECTION_WINDOW - 65_535)
