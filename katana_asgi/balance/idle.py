"""What travels with an idle connection to another worker: a line of text beside its descriptor."""

from __future__ import annotations

from ast import literal_eval
from typing import Any, NamedTuple, Self

__all__ = ["Idle"]


class Idle(NamedTuple):
    """A plain HTTP/1.1 connection that waits for a request.

    ``used``: it has had one. ``requests_left`` until it has to close, 0 for no limit.
    ``remaining`` are the seconds it may still wait. ``client`` and ``server`` are what is known
    of its addresses (``False``: to be asked of the socket), ``proxy`` is what a PROXY header has
    told beside them.
    """

    used: bool
    requests_left: int
    remaining: float
    client: Any
    server: Any
    proxy: dict[str, Any] | None

    def pack(self) -> bytes:
        """As bytes."""
        return ascii(tuple(self)).encode()

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """What ``pack`` has made."""
        return cls(*literal_eval(data.decode("ascii")))
