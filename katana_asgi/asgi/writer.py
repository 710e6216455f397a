"""What a protocol version can do for an exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.files.response import FileRange
    from katana_asgi.http.message import Field, ResponseFields
    from katana_asgi.http.refusal import Refusal

__all__ = ["ResponseWriter"]


class ResponseWriter(Protocol):
    """The way of one response after another back to the peer.

    The exchange has checked order and lengths, and dropped content that must not be sent (HEAD,
    204, 304). No method but ``send_file`` raises: a peer that has gone is the
    connection's business.
    """

    @property
    def write_paused(self) -> bool:
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

        ``length`` is a content length to announce where ``fields`` has none; ``more`` false
        ends the response.
        """

    def send_content(self, data: bytes, more: bool) -> None:
        """Send further content; ``more`` false ends the response."""

    async def send_file(self, part: FileRange, progress: Callable[[int], None]) -> None:
        """Send a part of a file as content, behind a head that was sent with ``more``.

        Returns when all of it is with the peer's kernel or the transport, or the peer has gone;
        ``progress`` is called with the bytes of each step. Raises ``FileShrank`` where the file
        ends too early and ``OSError`` where the disk fails.
        """

    def send_trailers(self, fields: tuple[Field, ...]) -> None:
        """End the response with trailer fields, behind content that was sent with ``more``."""

    def send_informational(self, status: int, fields: tuple[Field, ...]) -> None:
        """Send an informational response (RFC 9110 §15.2), such as 100 or 103."""

    def content_taken(self, size: int) -> None:
        """The application took ``size`` bytes of request content: as many more may come."""

    def refuse(self, refusal: Refusal) -> None:
        """The exchange ends without a response of the application.

        Answer for it where no head has gone out, else break the response off so that the peer
        cannot take it for a complete one.
        """

    def abandoned(self) -> None:
        """The application returned after its client had gone: end what is left, in silence."""

    async def drain(self) -> None:
        """Wait until the peer takes data again, or has gone."""
