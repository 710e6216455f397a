"""The control channel between the supervisor and one worker: a socket pair, one message a line.

A message is a JSON object whose ``type`` says what it is::

    worker → supervisor    ready {addresses, loop, parser}, failed {status, reason},
                           retiring {reason} (it wants to be replaced, and serves until then),
                           heartbeat {lag, requests, connections} each second,
                           metrics {snapshot} each second, where there is an admin listener,
                           invalidate {kind, value} for the caches of the other workers
    supervisor → worker    stop {mode} (drain within the budgets), quit (at once),
                           reopen (the log files), invalidate {kind, value}
    supervisor → admin     worker {pid, number, restarts, snapshot}, ended {pid},
      process              stopping (the service is), stop, quit, reopen
    watcher of files       ready (it watches), changed {paths}
      → supervisor
    new supervisor         ready (its workers are: the old one drains)
      → old supervisor

No call here ever blocks. End of file means that the other process has gone.
"""

from __future__ import annotations

import json
import socket
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeAlias

if TYPE_CHECKING:
    from katana_asgi.config.model import Config

__all__ = ["ONE_STOP", "Budgets", "Channel", "Message", "ShutdownMode"]

Message: TypeAlias = dict[str, Any]

MESSAGE_LIMIT: Final = 65536
"""Longest line in bytes, against a peer gone mad that would fill our memory."""

TEXT_LIMIT: Final = 8000
"""Characters kept of a text in a message that is too long. A failed startup may give a
traceback of any length as its reason; cut short it is still worth more than nothing."""

UNSENT_LIMIT: Final = 4 * MESSAGE_LIMIT
"""Bytes kept for a peer that does not read, for example a worker that is importing."""

ONE_STOP: Final = 0.5
"""Seconds within which the same signal counts once: ``timeout`` and some service managers send
it to the process and to its group."""


class ShutdownMode(Enum):
    """What clients get while a worker drains; the value is what ``stop`` carries."""

    PROMPT = "prompt"  # idle connections end at once: Ctrl+C, the end of a program's block
    HANDOVER = "handover"  # another worker accepts already: idle connections get a grace
    NOTICE = "notice"  # a balancer has to notice: accept for a while, then end as above


class Budgets(NamedTuple):
    """Seconds that responses which have not begun, those that stream, and the lifespan get."""

    http: float
    streams: float
    lifespan: float

    @classmethod
    def of(cls, config: Config) -> Self:
        """The budgets of a configuration."""
        http = config.timeout_graceful_shutdown
        streams = config.timeout_stream_shutdown or http
        return cls(http, streams, config.timeout_lifespan_shutdown)

    @property
    def longest(self) -> float:
        """The budget of the responses that get most."""
        return max(self.http, self.streams)


class Channel:
    """One end of a control channel.

    ``closed`` is true once the peer's end has gone or this one was closed.
    """

    __slots__ = ("_received", "_sock", "_unsent", "closed")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._received = bytearray()
        self._unsent = bytearray()
        self.closed = False

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Return two connected ends; neither is inherited by a program that is executed."""
        here, there = socket.socketpair()
        return cls(here), cls(there)

    def fileno(self) -> int:
        """Return the descriptor to watch for reading; -1 after ``close``."""
        return self._sock.fileno()

    def send(self, message: Message) -> bool:
        """Send a message, or keep what the kernel does not take for the next ``send``.

        Returns false where the message was dropped: the peer has gone or has not read for long.
        Raises ``ValueError`` for a message longer than ``MESSAGE_LIMIT`` whose texts are short.
        """
        line = _encode(message)
        if self.closed or len(self._unsent) + len(line) > UNSENT_LIMIT:
            return False
        self._unsent += line
        return self.flush()

    def flush(self) -> bool:
        """Send what earlier calls had to keep, as far as the kernel takes it.

        Returns false where the peer has gone.
        """
        try:
            while self._unsent and not self.closed:
                del self._unsent[: self._sock.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self.closed = True
        return not self.closed

    def receive(self) -> list[Message]:
        """Return the messages that have arrived; sets ``closed`` at end of file.

        Lines that are no message are dropped: neither process is worth ending for them.
        """
        self._read()
        *lines, rest = self._received.split(b"\n")
        self._received = rest
        if len(rest) > MESSAGE_LIMIT:
            self.closed = True
        return [message for line in lines if (message := _decode(line)) is not None]

    def close(self) -> None:
        """Close this end; the peer sees end of file once no other process has a copy of it."""
        self.closed = True
        self._sock.close()

    def _read(self) -> None:
        try:
            # Bounded, so that a peer that writes without end cannot hold the loop here.
            while not self.closed and len(self._received) <= 2 * MESSAGE_LIMIT:
                data = self._sock.recv(MESSAGE_LIMIT)
                self._received += data
                self.closed = not data
        except BlockingIOError:
            pass
        except OSError:  # reset: the peer closed with messages of ours unread
            self.closed = True


def _encode(message: Message) -> bytes:
    line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
    if len(line) > MESSAGE_LIMIT:
        short = {key: _shorten(value) for key, value in message.items()}
        line = json.dumps(short, separators=(",", ":")).encode() + b"\n"
    if len(line) > MESSAGE_LIMIT:
        raise ValueError(f"a message of {len(line)} bytes, more than {MESSAGE_LIMIT}")
    return line


def _shorten(value: object) -> object:
    """Keep both ends of a long text: a traceback says what happened in its last line."""
    if not isinstance(value, str) or len(value) <= TEXT_LIMIT:
        return value
    half = TEXT_LIMIT // 2
    return f"{value[:half]} ... {value[-half:]}"


def _decode(line: bytes | bytearray) -> Message | None:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) and "type" in message else None
