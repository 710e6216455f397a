"""The states of a stream and of a connection, as tables (RFC 9113 §5.1, §6.8).

A stream, from the server's side (a server that pushes nothing has no reserved states)::

    IDLE ──HEADERS──▶ OPEN ──END_STREAM received──▶ REMOTE_ENDED ──END_STREAM sent──▶ ENDED
                       └─────END_STREAM sent──────▶ LOCAL_ENDED ───received──────────▶ ENDED
    any of these but IDLE: RST_STREAM sent ──▶ RESET,  received ──▶ CANCELLED

Streams that are over are remembered by number for a while, because what a frame on them means
depends on how they ended. FORGOTTEN is a number below the highest one that is not remembered: it
was used long ago, or passed over (§5.1.1).

A connection::

    PREFACE ──▶ SETTINGS ──▶ SERVING ──drain──▶ ANNOUNCED ──PONG or a second──▶ LEAVING ──▶ LOST
    any of these: a connection error ──▶ FAILED ──▶ LOST

A drain that comes before SERVING waits for it: requests may be on their way already.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from katana_asgi.http2.faults import PROTOCOL_ERROR, STREAM_CLOSED

__all__ = [
    "ACCEPT",
    "CONNECTION_STATES",
    "FIRST_STATES",
    "FRAME_RULES",
    "IGNORE",
    "STREAM_STATES",
    "Change",
    "ConnectionEvent",
    "ConnectionState",
    "Received",
    "StreamState",
    "Verdict",
]


class StreamState(IntEnum):
    """Where a stream stands."""

    IDLE = 0
    OPEN = 1
    REMOTE_ENDED = 2
    LOCAL_ENDED = 3
    ENDED = 4
    RESET = 5
    CANCELLED = 6
    FORGOTTEN = 7


class Received(IntEnum):
    """Frames whose meaning depends on the state of their stream. PRIORITY is welcome in all."""

    HEADERS = 0
    DATA = 1
    RST_STREAM = 2
    WINDOW_UPDATE = 3


class Verdict(NamedTuple):
    """What becomes of a frame: accepted, ignored, or an error of the stream or connection."""

    accepted: bool = False
    code: int | None = None
    connection: bool = False


ACCEPT: Final = Verdict(accepted=True)
IGNORE: Final = Verdict()
_CLOSED: Final = Verdict(code=STREAM_CLOSED)
_CLOSED_FOR_ALL: Final = Verdict(code=STREAM_CLOSED, connection=True)
_WRONG: Final = Verdict(code=PROTOCOL_ERROR, connection=True)

FRAME_RULES: Final[tuple[tuple[Verdict, ...], ...]] = (
    # HEADERS         DATA             RST_STREAM  WINDOW_UPDATE
    (ACCEPT,          _WRONG,          _WRONG,     _WRONG),  # IDLE
    (ACCEPT,          ACCEPT,          ACCEPT,     ACCEPT),  # OPEN
    (_CLOSED,         _CLOSED,         ACCEPT,     ACCEPT),  # REMOTE_ENDED
    (ACCEPT,          ACCEPT,          ACCEPT,     IGNORE),  # LOCAL_ENDED
    (_CLOSED_FOR_ALL, _CLOSED_FOR_ALL, IGNORE,     IGNORE),  # ENDED
    (IGNORE,          IGNORE,          IGNORE,     IGNORE),  # RESET: sent before the peer knew
    (_CLOSED,         _CLOSED,         IGNORE,     IGNORE),  # CANCELLED
    (_WRONG,          _CLOSED,         IGNORE,     IGNORE),  # FORGOTTEN
)  # fmt: skip
"""What a frame means, by the state of its stream and by what it is (RFC 9113 §5.1)."""


class Change(IntEnum):
    """What moves a stream from one state to another."""

    OPENED = 0
    REMOTE_END = 1
    LOCAL_END = 2
    LOCAL_RESET = 3
    REMOTE_RESET = 4


_IDLE, _OPEN, _REMOTE_ENDED, _LOCAL_ENDED, _ENDED, _RESET, _CANCELLED, _ = StreamState

STREAM_STATES: Final[tuple[tuple[StreamState | None, ...], ...]] = (
    # OPENED  REMOTE_END     LOCAL_END     LOCAL_RESET  REMOTE_RESET
    (_OPEN,   None,          None,         None,        None),  # IDLE
    (None,    _REMOTE_ENDED, _LOCAL_ENDED, _RESET,      _CANCELLED),  # OPEN
    (None,    None,          _ENDED,       _RESET,      _CANCELLED),  # REMOTE_ENDED
    (None,    _ENDED,        None,         _RESET,      _CANCELLED),  # LOCAL_ENDED
)  # fmt: skip
"""Where each change leads, by the state of the stream; ``None`` would be a fault of ours. What is
over does not change any more."""

FIRST_STATES: Final = (_OPEN, _REMOTE_ENDED)
"""Behind HEADERS, by whether they end the stream."""


class ConnectionState(IntEnum):
    """Where a connection stands; larger is later."""

    PREFACE = 0
    SETTINGS = 1
    SERVING = 2
    ANNOUNCED = 3
    LEAVING = 4
    FAILED = 5
    LOST = 6


class ConnectionEvent(IntEnum):
    """What moves a connection from one state to another."""

    PREFACE_SEEN = 0
    SETTINGS_SEEN = 1
    DRAIN = 2
    ANNOUNCED = 3
    FAULT = 4
    LOST = 5


def _connection_states() -> dict[tuple[ConnectionState, ConnectionEvent], ConnectionState]:
    at, on = ConnectionState, ConnectionEvent
    table = {
        (at.PREFACE, on.PREFACE_SEEN): at.SETTINGS,
        (at.SETTINGS, on.SETTINGS_SEEN): at.SERVING,
        (at.SERVING, on.DRAIN): at.ANNOUNCED,
        (at.ANNOUNCED, on.ANNOUNCED): at.LEAVING,
    }
    table |= {(state, on.FAULT): at.FAILED for state in at if state < at.FAILED}
    return table | {(state, on.LOST): at.LOST for state in at if state < at.LOST}


CONNECTION_STATES: Final = _connection_states()
"""All changes there are; an event without an entry changes nothing."""
