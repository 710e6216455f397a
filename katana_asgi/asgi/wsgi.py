"""WSGI applications through a2wsgi, whose threads end when the client has gone.

A thread writes into a queue that a task empties. When that task ends, because ``send()`` raised or
the call was cancelled, the thread would wait for room in the queue for ever, and ten clients that
leave would be the end of the service.
"""

from __future__ import annotations

from typing import Any

from a2wsgi import WSGIMiddleware
from a2wsgi.wsgi import WSGIResponder

from katana_asgi.errors import ClientDisconnected

__all__ = ["EndingMiddleware"]


class EndingMiddleware(WSGIMiddleware):
    """As its base class, with a responder whose threads end."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            responder = EndingResponder(self.app, self.executor, self.send_queue_size)
            await responder(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class EndingResponder(WSGIResponder):
    """One call; ``over``: nothing that the thread sends will be wanted."""

    over = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._end()

    async def sender(self, send: Any) -> None:
        """Send what the thread writes, until ``None``."""
        try:
            await super().sender(send)
        except ClientDisconnected:
            pass  # the thread hears of it below, and raises it there
        finally:
            self._end()

    def _end(self) -> None:
        self.over = True
        while not self.send_queue.empty():
            self.send_queue.get_nowait()  # a thread that waits for room goes on

    def send(self, message: Any) -> None:
        """Called in the thread; raising ends the iteration there and closes the iterable."""
        if self.over:
            raise ClientDisconnected("the client has disconnected")
        super().send(message)
