"""Sending a part of a file: by sendfile on a plain socket, in chunks through anything else.

sendfile goes through a duplicate of the transport's descriptor, because uvloop refuses a writer
on one that belongs to a transport. That is sound while nothing else writes to the transport:
what it has buffered must go first, and what comes later waits until this is done.

A file may shrink or vanish while it is sent. The promised length cannot be kept then, so
``FileShrank`` is raised and the connection has to break.
"""

from __future__ import annotations

import asyncio
import errno
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from katana_asgi.errors import ClientDisconnected, KatanaError

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from katana_asgi.files.disk import Disk
    from katana_asgi.files.response import FileRange

__all__ = ["CHUNK", "FileShrank", "RangeReader", "SendfileUnsupported", "Sending", "send_in_chunks"]

_AT_ONCE: Final = 1024 * 1024
"""Bytes of one sendfile, after which other connections have their turn."""

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
        "_count",
        "_done",
        "_duplicate",
        "_loop",
        "_offset",
        "_progress",
        "_source",
        "_transport",
        "sent",
    )

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        part: FileRange,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._transport = transport
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
            if self._transport.get_write_buffer_size() or not self._advance():
                self._loop.add_writer(self._duplicate, self._writable)
                await self._done
        finally:
            self._loop.remove_writer(self._duplicate)
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
            if self._advance():
                done.set_result(None)
        except OSError as error:
            done.set_exception(error)

    def _advance(self) -> bool:
        """Let the kernel accept what it can, up to a limit; whether that was the rest."""
        left = self._count - self.sent
        try:
            count = os.sendfile(
                self._duplicate,
                self._source.descriptor,
                self._offset + self.sent,
                min(left, _AT_ONCE),
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
        return count == left


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
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_READERS, "katana-files")
            loop = asyncio.get_running_loop()
            reading = loop.run_in_executor(self._threads, self._disk.read, descriptor, size, offset)
            try:
                data = await asyncio.shield(reading)
            except asyncio.CancelledError:
                # The thread still uses the descriptor, which must not be closed under it.
                await asyncio.wait([reading])
                raise
        if not data:
            raise FileShrank(f"the file ended {part.length - position} bytes early")
        return data

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
