"""What a protocol version can do for an exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from katana_asgi.asgi.fields import ResponseFields

__all__ = ["ResponseWriter"]


class ResponseWriter(Protocol):
    """The way of a response back to the peer; the exchange has checked order and lengths."""

    write_paused: bool
    """Whether more is buffered than the peer takes: await ``drain()`` before sending more."""

    def send_response(
        self,
        status: int,
        fields: ResponseFields,
        length: int | None,
        content: bytes,
        more: bool,
    ) -> None:
        """Send a head and its first content in one write.

        ``length`` is a content length to announce where ``fields`` has none.
        """

    def send_content(self, data: bytes, more: bool) -> None:
        """Send further content; ``more`` false ends the response."""

    def send_informational(self, status: int) -> None:
        """Send an informational response without fields, such as 100."""

    def content_taken(self) -> None:
        """The application took buffered request content: reading may go on."""

    def fail(self, status: int) -> None:
        """End the exchange for a broken application: answer ``status`` where no head has
        gone out, else end the connection so that the peer sees an incomplete response."""

    async def drain(self) -> None:
        """Wait until the peer takes data again, or has gone."""
