"""The further messages of ASGI's HTTP extensions: early hints, files and trailers.

They are the same for every protocol version: what differs is in the ``ResponseWriter``.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.asgi.exchange import (
    COMPLETE,
    INITIAL,
    NONE_AT_ALL,
    STARTED,
    STREAMING,
    Exchange,
)
from katana_asgi.codec import check_fields
from katana_asgi.errors import LocalProtocolError
from katana_asgi.files.disk import READ_ONLY, Disk
from katana_asgi.files.response import FileRange, OpenFile
from katana_asgi.http.status import NO_CONTENT

if TYPE_CHECKING:
    from katana_asgi.asgi_types import Message
    from katana_asgi.http.message import Field

__all__ = ["ExtendedExchange", "TrailersExchange"]

_DISK: Final = Disk()

_NOT_IN_TRAILERS: Final = frozenset(
    {
        b"age", b"authorization", b"cache-control", b"content-encoding", b"content-length",
        b"content-range", b"content-type", b"date", b"expires", b"host", b"location",
        b"retry-after", b"set-cookie", b"trailer", b"vary", b"www-authenticate",
    }
)  # fmt: skip
"""Fields about framing, routing, control and format, which come too late at the end
(RFC 9110 §6.5.1)."""


class ExtendedExchange(Exchange):
    """An exchange whose application may also send early hints and files."""

    __slots__ = ()

    async def _send_other(self, kind: object, message: Message) -> None:
        """A message of an extension."""
        if kind == "http.response.pathsend":
            await self._send_path(message)
        elif kind == "http.response.zerocopysend":
            await self._send_open_file(message)
        elif kind == "http.response.early_hint":
            self._send_hint(message)
        else:
            raise LocalProtocolError(f"unexpected message type {kind!r}")

    def _send_hint(self, message: Message) -> None:
        """103 (Early Hints) before the response (RFC 8297)."""
        if self.state != INITIAL:
            raise LocalProtocolError("http.response.early_hint was sent after the start")
        links = check_fields([(b"link", link) for link in message["links"]]).pairs
        if links and not self.disconnected:
            self._writer.send_informational(103, links)

    async def _send_path(self, message: Message) -> None:
        """All of a file, which is the whole content."""
        # Where the application was slow to send it, the head has gone alone.
        alone = self.state == STREAMING and (not self.sent or self.disconnected)
        if self.state != STARTED and not alone:
            raise LocalProtocolError("http.response.pathsend is not all of the response")
        path = message["path"]
        if not os.path.isabs(path):
            raise LocalProtocolError(f"http.response.pathsend needs an absolute path, not {path!r}")
        file = OpenFile(_DISK, os.open(path, READ_ONLY))
        try:
            await self.send_part(FileRange(file, 0, _size(file)), more=False)
        finally:
            file.close()

    async def _send_open_file(self, message: Message) -> None:
        """A part of a file that the application has open, and keeps open."""
        file: Any = message["file"]
        number = file if type(file) is int else file.fileno()
        offset, count = message.get("offset"), message.get("count")
        more = bool(message.get("more_body", False))
        # The application may close its file as soon as ``send`` has returned, and others may
        # move its position: neither concerns a duplicate that is read at offsets.
        own = OpenFile(_DISK, os.dup(number))
        try:
            size = _size(own)
            if offset is None:
                offset = os.lseek(own.descriptor, 0, os.SEEK_CUR)
            if count is None:
                count = max(0, size - offset)
            if offset < 0 or count < 0 or offset + count > size:
                raise LocalProtocolError("http.response.zerocopysend goes beyond the file's end")
            await self.send_part(FileRange(own, offset, count), more=more)
        finally:
            own.close()

    async def send_part(self, part: FileRange, *, more: bool) -> None:
        """Send a part of a file as content, the first or a further one; ``more`` will follow.

        Raises ``FileShrank`` and ``OSError`` where the content cannot be read to its end: the
        response has to break off then.
        """
        if self.disconnected:
            await self._drop({"more_body": more})
            return
        if self.state == STARTED:
            self._begin_content(part.length, more)
        elif self.state != STREAMING:
            self._send_further(b"", more)  # which raises
        left = self._left
        if left != NONE_AT_ALL and part.length:
            if left is not None:
                self._owed(left, part.length, more)
            await self._writer.send_file(part, self._progress)
            if self._has_gone():
                await self._drop({"more_body": more})
                return
        if more:
            if self._writer.write_paused:
                await self._writer.drain()
        else:
            await self._end_content()

    def _begin_content(self, size: int, more: bool) -> None:
        """Send the head of a response whose content begins with ``size`` bytes of a file."""
        fields = self.fields
        assert fields is not None  # noqa: S101 - set together with STARTED
        announced = fields.content_length
        if announced is None:
            if not more and self.status not in NO_CONTENT:
                length = (b"content-length", b"%d" % size)
                self.fields = check_fields([*fields.pairs, length])
        elif self.status not in NO_CONTENT and self.head.method != "HEAD":
            self._owed(announced, size, more)  # before anything is sent: it can still be a 500
        self._send_body({"body": b"", "more_body": True})

    async def _end_content(self) -> None:
        """No further content."""
        self._send_further(b"", False)

    def _has_gone(self) -> bool:
        return self.disconnected

    def _progress(self, size: int) -> None:
        """So much of a file has been sent."""
        self.sent += size
        if self._left is not None:
            self._left -= size


class TrailersExchange(ExtendedExchange):
    """An exchange whose client wants trailer fields."""

    __slots__ = ("_ended", "_promised", "_trailers")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._promised = False  # the application will send trailers
        self._ended = False  # ... and has sent all content
        self._trailers: list[Field] = []

    async def send(self, message: Message) -> None:
        """The ASGI ``send``; see ``Exchange``."""
        await super().send(message)
        if message["type"] == "http.response.start":
            self._promised = bool(message.get("trailers", False))

    async def _send_other(self, kind: object, message: Message) -> None:
        if kind != "http.response.trailers" or not self._promised:
            await super()._send_other(kind, message)
            return
        if not self._ended:
            raise LocalProtocolError("http.response.trailers was sent before the content's end")
        if self.state == COMPLETE:
            raise LocalProtocolError("the response is complete")
        fields = check_fields(message.get("headers", ())).pairs
        for name, _ in fields:
            if name in _NOT_IN_TRAILERS:
                raise LocalProtocolError(f"{name!r} must not be a trailer field")
        self._trailers += fields
        if not message.get("more_trailers", False):
            self.state = COMPLETE
            if not self.disconnected:
                self._writer.send_trailers(tuple(self._trailers))
            if self._event is not None:
                self._event.set()

    def _send_body(self, message: Message) -> None:
        if self._ended:
            raise LocalProtocolError("the content has ended: only trailers follow")
        if not self._promised or message.get("more_body", False):
            super()._send_body(message)
            return
        super()._send_body({**message, "more_body": True})
        self._check_end()

    async def _end_content(self) -> None:
        if self._promised:
            self._check_end()
        else:
            await super()._end_content()

    async def _drop(self, message: Message) -> None:
        if self._promised and not message.get("more_body", False):
            await super()._drop({"more_body": True})
            self._ended = True
        else:
            await super()._drop(message)

    def _check_end(self) -> None:
        if self._left is not None and self._left != NONE_AT_ALL:
            self._owed(self._left, 0, False)
        self._ended = True


def _size(file: OpenFile) -> int:
    """The size of a regular file; raises ``LocalProtocolError`` for anything else."""
    state = os.fstat(file.descriptor)
    if not stat.S_ISREG(state.st_mode):
        raise LocalProtocolError("only regular files can be sent")
    return state.st_size
