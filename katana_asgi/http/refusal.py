"""A response that the server makes itself: what it says, and who is to blame for it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from katana_asgi.errors import RemoteProtocolError
    from katana_asgi.http.message import Field

__all__ = ["OVERLOADED", "TOO_MANY_CONNECTIONS", "Blame", "Refusal", "refusal_of"]


class Blame(Enum):
    """Who made the response necessary."""

    CLIENT = "client"  # it broke the protocol, was too slow, or asked for too much
    APPLICATION = "application"  # it failed
    SERVER = "server"  # it is overloaded, or answers for another address


class Refusal(NamedTuple):
    """A response of the server's own.

    ``reason`` is its content, plain ASCII that never holds a client's text. ``fields`` are further
    fields of the response.
    """

    status: int
    reason: str
    fields: tuple[Field, ...] = ()
    blame: Blame = Blame.CLIENT

    @property
    def content(self) -> bytes:
        """The content of the response."""
        return self.reason.encode("ascii") + b"\n"

    @property
    def pairs(self) -> tuple[Field, ...]:
        """All fields that describe this response, but for the default fields."""
        return (
            *self.fields,
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % (len(self.reason) + 1)),
        )


def refusal_of(error: RemoteProtocolError) -> Refusal:
    """The response that a breach of the protocol deserves."""
    return Refusal(error.status, error.reason, error.fields)


RETRY_LATER: Final = ((b"retry-after", b"1"),)

OVERLOADED: Final = Refusal(503, "too many requests at once", RETRY_LATER, Blame.SERVER)
TOO_MANY_CONNECTIONS: Final = Refusal(503, "too many connections", RETRY_LATER, Blame.SERVER)
