"""What an HTTP/1.1 connection tells the access log of its exchanges, however they end."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final

from katana_asgi.asgi.request_ids import request_id_of
from katana_asgi.http1.writing import Http1Writer
from katana_asgi.observe.record import NO_HEAD

if TYPE_CHECKING:
    from katana_asgi.asgi.exchange import Exchange
    from katana_asgi.errors import RemoteProtocolError
    from katana_asgi.http.message import RequestHead
    from katana_asgi.observe.record import Outcome

__all__ = ["LEFT", "Http1Records"]

LEFT: Final = 499
"""In the access log and the metrics, as in nginx: the client did not wait for its answer's end."""


class Http1Records(Http1Writer):
    """The records of a connection; nothing here runs without an access log."""

    __slots__ = ("_received",)

    _received: int  # content bytes of the present request

    def _log_complete(self, exchange: Exchange) -> None:
        """A response is with the transport: what nearly all requests come to, so as it is."""
        access = self._context.access
        if access is None:
            return
        head = self._head
        outcome = self._outcome
        if (
            outcome is None
            or outcome[2] is not head
            or outcome[3] != exchange.status
            or outcome[5] != exchange.sent
            or head.has_content
        ):
            outcome = (
                self._client,
                self._scheme,
                head,
                exchange.status,
                exchange.fields if access.reads_sent else None,
                exchange.sent,
                self._received if head.has_content else 0,
                "",
                None,
            )
            self._keep(outcome)
        records = access.records
        if access.varies:
            ended, began = (perf_counter(), exchange.began) if access.timed else (0.0, 0.0)
            request_id = request_id_of(exchange.scope) if access.reads_ids else None
            records.append((outcome, ended, began, request_id))
        else:
            records.append(outcome)
        if len(records) >= access.due:
            access.look_at_batch()

    def _log_incomplete(self, exchange: Exchange, status: int, remark: str) -> None:
        """An exchange has come to another end."""
        access = self._context.access
        if access is not None:
            ended, began = self._times(exchange)
            sent = exchange.sent if exchange.on_the_wire else 0
            received = self._received if self._head.has_content else 0
            request_id = request_id_of(exchange.scope)
            outcome: Outcome = (self.client, self._scheme, self._head, status, exchange.fields,
                                sent, received, remark, None)  # fmt: skip
            access.add((outcome, ended, began, request_id))

    def _times(self, exchange: Exchange | None) -> tuple[float, float]:
        """When an exchange ended, now, and when it began; nothing where nobody wants to know."""
        if not self._context.timed:
            return 0.0, 0.0
        now = perf_counter()
        return now, exchange.began if exchange is not None and exchange.started else now

    def _log_lost(self, exchange: Exchange, *, aborted: bool) -> None:
        """The peer has gone before its answer was complete, or we have had enough of it."""
        if aborted:
            status = exchange.status if exchange.on_the_wire else LEFT
            self._log_incomplete(exchange, status, "aborted")
        elif exchange.on_the_wire:
            self._log_incomplete(exchange, LEFT, f"client left after {exchange.status}")
        else:
            self._log_incomplete(exchange, LEFT, "client left")

    def _log_refusal(
        self,
        exchange: Exchange | None,
        head: RequestHead | None,
        error: RemoteProtocolError,
        response: bytes,
    ) -> None:
        """The server has answered by itself and lets go of the connection."""
        access = self._context.access
        if access is not None:
            ended, began = self._times(exchange)
            request_id = None if exchange is None else request_id_of(exchange.scope)
            length = len(response) - response.index(b"\r\n\r\n") - 4
            received = self._received if head is not None and head.has_content else 0
            head = NO_HEAD if head is None else head
            remark = "" if error.status == 500 else error.reason
            outcome: Outcome = (self.client, self._scheme, head, error.status, response, length,
                                received, remark, None)  # fmt: skip
            access.add((outcome, ended, began, request_id))
