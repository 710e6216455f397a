"""Sending a part of a file: by sendfile on a plain socket, in chunks through anything else.

sendfile goes through a duplicate of the transport's descriptor, because uvloop refuses a writer
on one that belongs to a transport. That is sound while nothing else writes to the transport:
what it has buffered must go first, and what comes later waits until this is done.

What is not in the page cache is first read by a thread, so a slow disk holds up its own response
only.

A file may shrink or vanish while it is sent. The promised length cannot be kept then, so
``FileShrank`` is raised and the connection has to break.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from katana_asgi.errors import ClientDisconnected, KatanaError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from katana_asgi.files.disk import Disk
    from katana_asgi.files.response import FileRange, OpenFile

__all__ = ["CHUNK", "FileShrank", "RangeReader", "SendfileUnsupported", "Sending", "send_in_chunks"]

_AT_ONCE: Final = 2 * 1024 * 1024
"""Bytes of one sendfile, after which other connections have their turn."""

_READS_ON: Final = 1024 * 1024
"""Bytes after which a client is one that reads, so that more may wait in its socket. With the
bound that a listener sets against clients that do not, 100 MiB took 1.4 times the CPU time."""

_WAITING: Final = 2 * 1024 * 1024
"""Bytes that wait in the socket of such a client; they are pages of the file, not copies."""

_NOTSENT_LOWAT: Final = getattr(socket, "TCP_NOTSENT_LOWAT", 0)

CHUNK: Final = 256 * 1024
"""Bytes of one read; with more, slow clients hold more memory."""

_READERS: Final = 4
"""Threads of a worker that wait for the disk."""

_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSOCK})


class FileShrank(KatanaError, OSError):
    """A file ended before the length that was promised of it."""


class SendfileUnsupported(KatanaError, OSError):
    """This file or this socket cannot be used with sendfile; nothing was sent."""


class Sending:
    """One part of a file on its way into a socket.

    ``sent`` counts what the kernel has accepted, for a deadline that watches progress. The
    connection calls ``cancel`` when it is lost or the deadline has passed: the duplicate would
    keep the socket open otherwise.
    """

    __slots__ = (
        "_bound",
        "_count",
        "_done",
        "_duplicate",
        "_loop",
        "_offset",
        "_progress",
        "_reader",
        "_reading",
        "_source",
        "_transport",
        "_warm",
        "sent",
    )

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        part: FileRange,
        progress: Callable[[int], None] | None = None,
        reader: RangeReader | None = None,
    ) -> None:
        """``reader`` reads what is not in the page cache; without one, sendfile waits for it."""
        self._transport = transport
        self._reader = reader
        self._reading: asyncio.Future[None] | None = None
        self._warm = 0  # so much of the part has been read for sendfile
        self._bound: int | None = None  # what may wait in the socket otherwise
        self._source = part.file
        self._offset = part.offset
        self._count = part.length
        self._progress = progress
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] | None = None
        self._duplicate = -1
        self.sent = 0

    async def run(self) -> None:
        """Send the part.

        Raises ``FileShrank``, ``SendfileUnsupported``, ``ClientDisconnected``, what ``cancel``
        was given, and ``OSError`` where the disk fails.
        """
        sock: socket.socket | None = self._transport.get_extra_info("socket")
        if sock is None or self._transport.is_closing():
            raise ClientDisconnected("the connection has ended")
        if not self._count:
            return
        self._done = self._loop.create_future()
        self._duplicate = os.dup(sock.fileno())
        try:
            # Once without asking: most sockets are writable, and most files fit into them.
            waits = self._transport.get_write_buffer_size() or self._is_cold()
            if waits or not self._advance():
                self._loop.add_writer(self._duplicate, self._writable)
                await self._done
        finally:
            self._loop.remove_writer(self._duplicate)
            if self._bound is not None:
                self._let_wait(self._bound)
            if self._reading is not None:  # the thread still uses the file
                await asyncio.wait([self._reading])
            os.close(self._duplicate)
            self._duplicate = -1

    @property
    def left(self) -> int:
        """Bytes that the kernel has not accepted yet."""
        return self._count - self.sent

    def cancel(self, error: BaseException) -> None:
        """End ``run`` with ``error``, unless it has ended."""
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)

    def _writable(self) -> None:
        done = self._done
        if done is None or done.done():
            return
        if self._transport.is_closing():
            done.set_exception(ClientDisconnected("the connection has ended"))
            return
        if self._transport.get_write_buffer_size():
            return  # the transport writes first; the same socket wakes us again
        try:
            if self._is_cold():
                self._read_ahead()
            elif self._advance():
                done.set_result(None)
        except OSError as error:
            done.set_exception(error)

    def _next_size(self) -> int:
        return min(self._count - self.sent, _AT_ONCE)

    def _is_cold(self) -> bool:
        """Whether the next sendfile would wait for the disk; its last byte stands for the others,
        because files are read from front to back."""
        last = self.sent + self._next_size()
        if self._reader is None or last <= self._warm:
            return False
        return self._reader.is_cold(self._source, self._offset + last - 1)

    def _read_ahead(self) -> None:
        """Let a thread read what comes next, and go on when it has."""
        assert self._reader is not None  # noqa: S101 - else nothing is cold
        self._loop.remove_writer(self._duplicate)
        position, size = self._offset + self.sent, self._next_size()
        self._reading = self._reader.read_ahead(self._source, position, size)
        self._reading.add_done_callback(self._was_read)

    def _was_read(self, reading: asyncio.Future[None]) -> None:
        self._reading = None
        done = self._done
        error = None if reading.cancelled() else reading.exception()
        if done is None or done.done():
            return
        if error is not None:
            done.set_exception(error)
            return
        self._warm = self.sent + self._next_size()
        self._loop.add_writer(self._duplicate, self._writable)

    def _advance(self) -> bool:
        """Let the kernel accept what it can, up to a limit; whether that was the rest."""
        left = self._count - self.sent
        try:
            count = os.sendfile(
                self._duplicate,
                self._source.descriptor,
                self._offset + self.sent,
                self._next_size(),
            )
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionError) as error:
            raise ClientDisconnected("the connection has ended") from error
        except OSError as error:
            if error.errno in _UNSUPPORTED and not self.sent:
                raise SendfileUnsupported(*error.args) from None
            raise
        if not count:
            raise FileShrank(f"the file ended {left} bytes early")
        self.sent += count
        if self._progress is not None:
            self._progress(count)
        if self._bound is None and count < left and self.sent >= _READS_ON:
            self._bound = self._let_wait(_WAITING)
        return count == left

    def _let_wait(self, size: int) -> int:
        """Set how many bytes may wait in the socket until they can be sent; what it was before."""
        sock = socket.socket(fileno=self._duplicate)
        before = 0
        try:
            with suppress(OSError):  # no TCP
                before = sock.getsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT)
                sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, size)
        finally:
            sock.detach()
        return before


class RangeReader:
    """Reads parts of files without blocking the event loop: from the page cache, or by a thread."""

    __slots__ = ("_disk", "_threads")

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._threads: ThreadPoolExecutor | None = None

    async def read(self, part: FileRange, position: int, size: int) -> bytes:
        """``size`` bytes of ``part`` from ``position`` on, or fewer; never none.

        Raises ``FileShrank`` where the file has ended, and ``OSError`` where the disk fails.
        """
        descriptor = part.file.descriptor
        offset = part.offset + position
        size = min(size, part.length - position)
        data = self._disk.read_now(descriptor, size, offset)
        if not data:
            loop = asyncio.get_running_loop()
            reading = loop.run_in_executor(
                self._executor(), self._disk.read, descriptor, size, offset
            )
            try:
                data = await asyncio.shield(reading)
            except asyncio.CancelledError:
                # The thread still uses the descriptor, which must not be closed under it.
                await asyncio.wait([reading])
                raise
        if not data:
            raise FileShrank(f"the file ended {part.length - position} bytes early")
        return data

    def is_cold(self, file: OpenFile, offset: int) -> bool:
        """Whether this byte is not in the page cache."""
        return self._disk.is_cold(file.descriptor, offset)

    def read_ahead(self, file: OpenFile, offset: int, size: int) -> asyncio.Future[None]:
        """Have a thread read ``size`` bytes into the page cache; fails with ``OSError``."""
        return asyncio.get_running_loop().run_in_executor(
            self._executor(), self._read_all, file.descriptor, offset, offset + size
        )

    def _read_all(self, descriptor: int, position: int, end: int) -> None:
        while position < end:
            data = self._disk.read(descriptor, min(CHUNK, end - position), position)
            if not data:
                return  # sendfile finds out
            position += len(data)

    def _executor(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_READERS, "katana-files")
        return self._threads

    def close(self) -> None:
        """End the threads; what they read is waited for."""
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None


async def send_in_chunks(
    reader: RangeReader,
    part: FileRange,
    send: Callable[[bytes], Awaitable[None]],
    start: int = 0,
) -> None:
    """Send a part through ``send``, which returns when it may be given more."""
    position = start
    while position < part.length:
        data = await reader.read(part, position, CHUNK)
        position += len(data)
        await send(data)
