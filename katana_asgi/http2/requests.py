"""From a checked head to its answer: a static route, a refusal, an exchange or a tunnel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from katana_asgi.asgi.dispatch import begin, open_exchange, refusal_for
from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.refusal import Blame, Refusal, refusal_of

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.http2.heads import CheckedHead
    from katana_asgi.http2.settings import Http2Settings
    from katana_asgi.http2.stream import Http2Stream
    from katana_asgi.net.peer import Peer

__all__ = ["answer"]

NO_TUNNEL = Refusal(501, "this protocol is not spoken in a tunnel", (), Blame.CLIENT)


def answer(
    context: WorkerContext,
    settings: Http2Settings,
    peer: Peer,
    stream: Http2Stream,
    checked: CheckedHead,
) -> None:
    """Answer the request that opened ``stream``, or have the application answer it."""
    head = checked.head
    context.requests += 1
    redirect = settings.redirect
    if context.routes is not None and redirect is None:
        simple = (
            head.content_length == 0 and not checked.expects_continue and checked.protocol is None
        )
        response = context.routes.match(head, simple=simple)
        if response is not None:
            if context.draining:
                response = response.while_draining()
            stream.send_static(response)
            if context.observer is not None:
                context.observer.answered(peer, head, response)
            return
    if context.limited or redirect is not None:
        refusal = refusal_for(context, head) if redirect is None else redirect(head)
        if refusal is not None:
            stream.refuse(refusal)
            return
    if checked.protocol is None:
        exchange = open_exchange(context, stream, head, peer, trailers=checked.takes_trailers)
    else:
        if settings.connect is None:
            stream.refuse(NO_TUNNEL)
            return
        try:
            opened = settings.connect(stream, checked, peer)
        except RemoteProtocolError as error:
            stream.refuse(refusal_of(error))
            return
        if opened is None:
            stream.refuse(NO_TUNNEL)
            return
        exchange = opened
    exchange.continue_due = checked.expects_continue and head.content_length != 0
    stream.exchange = exchange
    begin(context, exchange)
