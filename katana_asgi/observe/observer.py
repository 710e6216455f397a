"""What is told of exchanges while they run: the seam of access log and metrics.

A worker has one observer or none. It changes nothing, and it is told of each request exactly
once how it came to its end: ``done``, ``ended``, ``refused`` or ``answered``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from katana_asgi.http.message import RequestHead, ResponseFields
    from katana_asgi.http.refusal import Refusal
    from katana_asgi.net.peer import Client, Peer
    from katana_asgi.routes.static import StaticResponse

__all__ = ["LEFT", "Observed", "Observer", "Observers", "combined"]

LEFT: Final = 499
"""In the access log and the metrics, as in nginx: the client did not wait for its answer's end."""


class Observed(Protocol):
    """An exchange, as far as an observer may read it."""

    began: float
    """Of ``perf_counter()``; an observer with ``timed`` wants it set."""
    scope: dict[str, Any]
    head: RequestHead
    peer: Peer
    status: int
    fields: ResponseFields | None
    received: int
    sent: int
    client: Client
    """Who asked, a trusted proxy's word included."""


class Observer(Protocol):
    """Hears of exchanges."""

    @property
    def reads_fields(self) -> bool:
        """Whether it needs the fields of the request when an exchange ends."""

    def began(self, exchange: Observed) -> None:
        """The application is about to be called."""

    def first_byte(self, exchange: Observed) -> None:
        """The head of a response that goes on is with the transport."""

    def done(self, exchange: Observed) -> None:
        """All of a response is with the transport."""

    def ended(self, exchange: Observed, status: int, remark: str) -> None:
        """An exchange came to another end, with ``status`` to be noted for it."""

    def refused(
        self, peer: Peer, head: RequestHead | None, refusal: Refusal, exchange: Observed | None
    ) -> None:
        """The server has made the response itself; ``head`` is ``None`` where there was none."""

    def answered(self, peer: Peer, head: RequestHead, response: StaticResponse) -> None:
        """A static response is with the transport."""

    def upgraded(self, exchange: Observed) -> None:
        """A WebSocket is open."""

    def closed(
        self, exchange: Observed, sent: int, received: int, remark: str, messages: Any
    ) -> None:
        """A WebSocket has ended; ``messages`` are counts in and out and seconds."""


class Observers:
    """Several observers as one."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._all = tuple(observers)

    @property
    def reads_fields(self) -> bool:
        return any(each.reads_fields for each in self._all)

    def began(self, exchange: Observed) -> None:
        for each in self._all:
            each.began(exchange)

    def first_byte(self, exchange: Observed) -> None:
        for each in self._all:
            each.first_byte(exchange)

    def done(self, exchange: Observed) -> None:
        for each in self._all:
            each.done(exchange)

    def ended(self, exchange: Observed, status: int, remark: str) -> None:
        for each in self._all:
            each.ended(exchange, status, remark)

    def refused(
        self, peer: Peer, head: RequestHead | None, refusal: Refusal, exchange: Observed | None
    ) -> None:
        for each in self._all:
            each.refused(peer, head, refusal, exchange)

    def answered(self, peer: Peer, head: RequestHead, response: StaticResponse) -> None:
        for each in self._all:
            each.answered(peer, head, response)

    def upgraded(self, exchange: Observed) -> None:
        for each in self._all:
            each.upgraded(exchange)

    def closed(
        self, exchange: Observed, sent: int, received: int, remark: str, messages: Any
    ) -> None:
        for each in self._all:
            each.closed(exchange, sent, received, remark, messages)


def combined(observers: Sequence[Observer]) -> Observer | None:
    """One observer that stands for all; ``None`` where there are none."""
    if len(observers) < 2:
        return observers[0] if observers else None
    return Observers(observers)
