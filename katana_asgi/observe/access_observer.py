"""What the access log is told of exchanges, however they end."""

from __future__ import annotations

from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from katana_asgi.cache.request import cache_outcome_of
from katana_asgi.http.forwarded import resolve
from katana_asgi.http.refusal import Blame
from katana_asgi.observe.record import NO_HEAD
from katana_asgi.observe.request_ids import request_id_of

if TYPE_CHECKING:
    from katana_asgi.http.forwarded import TrustedProxies
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http.refusal import Refusal
    from katana_asgi.net.peer import Client, Peer
    from katana_asgi.observe.access import AccessLog
    from katana_asgi.observe.observer import Observed
    from katana_asgi.routes.static import StaticResponse

__all__ = ["AccessObserver"]


class AccessObserver:
    """Makes a record of each request; see ``Observer`` for what its methods mean."""

    def __init__(self, log: AccessLog, trusted: TrustedProxies | None) -> None:
        self._log = log
        self._trusted = trusted

    @property
    def reads_fields(self) -> bool:
        return self._log.reads_fields

    def began(self, exchange: Observed) -> None:
        if self._log.reads_duration:
            exchange.began = perf_counter()

    def first_byte(self, exchange: Observed) -> None:
        """Of no interest."""

    def done(self, exchange: Observed) -> None:
        log = self._log
        log.add(
            (
                exchange.client,
                exchange.peer.scheme,
                exchange.head,
                exchange.status,
                exchange.fields,
                exchange.sent,
                exchange.received,
                "",
                None,
                cache_outcome_of(exchange.scope) if log.reads_cache else None,
                time() if log.reads_moment else 0.0,
                perf_counter() - exchange.began if exchange.began else 0.0,
                request_id_of(exchange.scope) if log.reads_ids else None,
            )
        )

    def ended(self, exchange: Observed, status: int, remark: str) -> None:
        self._log.add(
            (
                exchange.client,
                exchange.peer.scheme,
                exchange.head,
                status,
                exchange.fields,
                exchange.sent,
                exchange.received,
                remark,
                None,
                cache_outcome_of(exchange.scope),
                time(),
                perf_counter() - exchange.began if exchange.began else 0.0,
                request_id_of(exchange.scope),
            )
        )

    def refused(
        self, peer: Peer, head: RequestHead | None, refusal: Refusal, exchange: Observed | None
    ) -> None:
        self._log.add(
            (
                self._client(peer, head) if exchange is None else exchange.client,
                peer.scheme,
                NO_HEAD if head is None else head,
                refusal.status,
                refusal,
                0 if head is not None and head.method == "HEAD" else len(refusal.content),
                0 if exchange is None else exchange.received,
                "" if refusal.blame is Blame.APPLICATION else refusal.reason,
                None,
                None if exchange is None else cache_outcome_of(exchange.scope),
                time(),
                perf_counter() - exchange.began if exchange is not None and exchange.began else 0.0,
                None if exchange is None else request_id_of(exchange.scope),
            )
        )

    def answered(self, peer: Peer, head: RequestHead, response: StaticResponse) -> None:
        self._log.add(
            (
                self._client(peer, head),
                peer.scheme,
                head,
                response.status,
                response,
                len(response.content),
                0,
                "",
                None,
                response.cache,
                time() if self._log.reads_moment else 0.0,
                0.0,
                None,
            )
        )

    def upgraded(self, exchange: Observed) -> None:
        """Of no interest: the line comes when the WebSocket has ended."""

    def closed(
        self, exchange: Observed, sent: int, received: int, remark: str, messages: Any
    ) -> None:
        self._log.add(
            (
                exchange.client,
                exchange.peer.scheme,
                exchange.head,
                exchange.status,
                None,
                sent,
                received,
                remark,
                messages,
                None,
                time(),
                messages[2],
                request_id_of(exchange.scope),
            )
        )

    def _client(self, peer: Peer, head: RequestHead | None) -> Client:
        """Who asked, where no scope was made that says so."""
        client = peer.client
        if head is None or not head.forwarded or self._trusted is None:
            return client
        return resolve(head.fields, head.forwarded, client, "http", self._trusted).client
