"""An application around the application that compresses what it sends.

The start of a response is held until its first content, because the size decides. Content of
unknown length is flushed with each message, so that what the application sends early arrives
early; content of a known length is not. Large pieces are compressed by a thread.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.compress.eligible import coded_fields, eligibility, type_filter, with_vary
from katana_asgi.compress.encoders import available_codings, new_encoder
from katana_asgi.errors import LocalProtocolError
from katana_asgi.http.cache_control import directives
from katana_asgi.http.codings import accepted_codings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from katana_asgi.asgi_types import ASGIApplication, Message, Receive, Scope, Send
    from katana_asgi.compress.encoders import Encoder

__all__ = ["DEFAULT_MINIMUM", "compressed"]

DEFAULT_MINIMUM: Final = 1024
"""Bytes below which compressing saves no packet."""

_IN_THREAD: Final = 64 * 1024
"""Bytes from which on a piece is compressed by a thread; on the loop they cost milliseconds."""


def compressed(
    application: ASGIApplication,
    minimum: int = DEFAULT_MINIMUM,
    types: Iterable[str] = (),
) -> ASGIApplication:
    """``application`` with its responses compressed where the client accepts that.

    ``minimum`` is the least content in bytes, where it is known; ``types`` are media types
    instead of those known to compress well.
    """
    wanted = type_filter(types)
    codings = available_codings()

    async def compressing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        coding = _coding_for(scope, codings)
        response = _Response(send, coding, wanted, minimum)
        await application(scope, receive, response.send)
        await response.end()

    return compressing


def _coding_for(scope: Scope, codings: tuple[bytes, ...]) -> bytes:
    """The coding of a response; empty for none."""
    accepted = []
    cache_control = []
    for name, value in scope["headers"]:
        if name == b"accept-encoding":
            accepted.append(value)
        elif name == b"cache-control":
            cache_control.append(value)
    if scope["method"] == "HEAD" or not accepted:
        return b""
    if cache_control and b"no-transform" in directives(cache_control):
        return b""
    found = accepted_codings(b",".join(accepted), codings)
    return found[0] if found else b""


class _Response:
    """One response on its way: held start, then coded or as it is."""

    __slots__ = (
        "_coding",
        "_encoder",
        "_flushing",
        "_held",
        "_length",
        "_minimum",
        "_passing",
        "_seen",
        "_send",
        "_wanted",
    )

    def __init__(
        self, send: Send, coding: bytes, wanted: Callable[[str], bool], minimum: int
    ) -> None:
        self._send = send
        self._coding = coding
        self._wanted = wanted
        self._minimum = minimum
        self._held: Message | None = None
        self._encoder: Encoder | None = None
        self._length: int | None = None
        self._seen = 0  # bytes of content
        self._flushing = True
        self._passing = False

    async def send(self, message: Message) -> None:
        """Take one message of the application."""
        kind = message["type"]
        if self._passing:
            await self._send(message)
        elif kind == "http.response.start" and self._held is None:
            await self._start(message)
        elif kind == "http.response.body" and self._encoder is not None:
            await self._content(message)
        elif kind == "http.response.body" and self._held is not None:
            await self._first_content(message)
        else:  # pathsend and the like, informational responses, mistakes
            if kind not in _BEFORE_START:
                await self.end()
            await self._send(message)

    async def end(self) -> None:
        """Let go what is held, as it is."""
        held, self._held = self._held, None
        if held is not None:
            self._passing = True
            await self._send(held)

    async def _start(self, message: Message) -> None:
        fields = list(message.get("headers", ()))
        found = eligibility(message["status"], fields, self._wanted)
        if not found.eligible or (found.length is not None and found.length < self._minimum):
            self._passing = True
            await self._send({**message, "headers": fields})
            return
        self._held = {**message, "headers": with_vary(fields)}
        if not self._coding:
            await self.end()
            return
        self._length = found.length
        # With a known length the client waits for the whole, not for single pieces.
        self._flushing = found.length is None or found.event_stream

    async def _first_content(self, message: Message) -> None:
        body = message.get("body", b"")
        more = message.get("more_body", False)
        if not more and len(body) < self._minimum:
            await self.end()
            await self._send(message)
            return
        self._count(body, more)
        held = self._held
        self._held = None
        encoder = self._encoder = new_encoder(self._coding)
        coded = await _coded(encoder, body, self._last_step(encoder, more))
        # A length would leave no place for the trailers that the application has promised.
        unbounded = more or (held is not None and held.get("trailers", False))
        length = None if unbounded else len(coded)
        fields = coded_fields(held["headers"] if held else (), self._coding, length)
        await self._send({**(held or {}), "headers": fields})
        self._passing = not more
        await self._send({**message, "body": coded})

    async def _content(self, message: Message) -> None:
        encoder = self._encoder
        more = message.get("more_body", False)
        if encoder is None:
            return
        self._count(message.get("body", b""), more)
        coded = await _coded(encoder, message.get("body", b""), self._last_step(encoder, more))
        if not more:
            self._passing = True  # a further message is a mistake that the server reports
        if coded or not more:
            await self._send({**message, "body": coded})

    def _count(self, body: Any, more: bool) -> None:
        """Compare with what was announced: the server cannot, and coded it would look complete."""
        self._seen += len(body)
        length = self._length
        if length is not None and (self._seen > length or (not more and self._seen < length)):
            raise LocalProtocolError(f"content-length is {length}, {self._seen} bytes were sent")

    def _last_step(self, encoder: Encoder, more: bool) -> Callable[[], bytes] | None:
        if not more:
            return encoder.finish
        return encoder.flush if self._flushing else None


_BEFORE_START: Final = frozenset({"http.response.early_hint", "http.response.debug"})


async def _coded(encoder: Encoder, body: Any, then: Callable[[], bytes] | None) -> bytes:
    """``body`` through the encoder, in a thread where that would hold up others."""
    if len(body) >= _IN_THREAD:
        return await asyncio.to_thread(_encode, encoder, body, then)
    return _encode(encoder, body, then)


def _encode(encoder: Encoder, body: Any, then: Callable[[], bytes] | None) -> bytes:
    coded = encoder.encode(bytes(body)) if body else b""
    return coded + then() if then is not None else coded
