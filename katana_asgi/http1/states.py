"""The states of an HTTP/1.1 connection, and how one leads to another.

``TRANSITIONS`` is what the connection is tested against and what the drawing in the documents is
made of; the connection itself does not consult it. Every event that is not listed for a state
leaves it as it is. Only ``connection.py`` changes the state of a connection.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "BUSY",
    "CLOSED",
    "DRAINING",
    "LINGERING",
    "NAMES",
    "READY",
    "RECEIVING",
    "TRANSITIONS",
    "drawing",
]

READY: Final = 0  # waits for a request
RECEIVING: Final = 1  # part of a head has come
BUSY: Final = 2  # an exchange is under way
DRAINING: Final = 3  # the response is complete, the rest of the content is read and dropped
LINGERING: Final = 4  # the last response is out, the peer has yet to close
CLOSED: Final = 5  # nothing more is read or written

NAMES: Final = ("READY", "RECEIVING", "BUSY", "DRAINING", "LINGERING", "CLOSED")

TRANSITIONS: Final = (
    (READY, "part of a head", RECEIVING),
    (READY, "head", BUSY),
    (READY, "head for a static route", READY),
    (READY, "idle too long, shutdown or end of file", CLOSED),
    (READY, "idle too long or shutdown, the last response still on its way", LINGERING),
    (READY, "too many connections", LINGERING),
    (RECEIVING, "rest of the head", BUSY),
    (RECEIVING, "rest of a head for a static route", READY),
    (RECEIVING, "breach of the protocol, or too slow", LINGERING),
    (RECEIVING, "end of file", CLOSED),
    (BUSY, "response and content complete", READY),
    (BUSY, "response complete, content not", DRAINING),
    (BUSY, "last response complete, or refused", LINGERING),
    (BUSY, "last response complete to a peer that sends no more, or broken off", CLOSED),
    (BUSY, "upgraded", CLOSED),
    (DRAINING, "rest of the content", READY),
    (DRAINING, "too slow, broken content, or shutdown", LINGERING),
    (LINGERING, "peer closed, or had its time", CLOSED),
)
"""State, what happens, state. An abort or a lost connection leads from everywhere to CLOSED."""


def drawing() -> str:
    """The transitions as a table in Markdown."""
    lines = ["| from | what happens | to |", "|---|---|---|"]
    lines += [f"| {NAMES[a]} | {event} | {NAMES[b]} |" for a, event, b in TRANSITIONS]
    lines.append("| any | aborted, or the connection is lost | CLOSED |")
    return "\n".join(lines) + "\n"
