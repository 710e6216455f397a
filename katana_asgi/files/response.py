"""What a file is answered with: plain values, without any protocol version's bytes.

The content is bytes, or parts of which some are ranges of an open file: HTTP/1.1 sends those
with sendfile, HTTP/2 and TLS read them in chunks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from katana_asgi.files.disk import Disk
    from katana_asgi.http.message import Field

__all__ = ["Content", "FileRange", "FileResponse", "OpenFile"]


class OpenFile:
    """A descriptor that is closed once, by ``close`` or at the latest with this object."""

    __slots__ = ("_disk", "descriptor")

    def __init__(self, disk: Disk, descriptor: int) -> None:
        self._disk = disk
        self.descriptor = descriptor

    def close(self) -> None:
        """Close the descriptor; again, nothing happens."""
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            self._disk.close(descriptor)

    def __del__(self) -> None:
        self.close()


class FileRange(NamedTuple):
    """``length`` bytes of an open file, from ``offset`` on."""

    file: OpenFile
    offset: int
    length: int


Content: TypeAlias = bytes | tuple[bytes | FileRange, ...]


class FileResponse:
    """A response: its fields, Content-Length among them, and its content.

    ``content`` is empty for HEAD, 304 and the like, whatever Content-Length says. ``file`` is
    what the ranges in ``content`` read from, and is closed by what sends the response. Responses
    from memory have none and are shared: nothing in them may be changed, but ``rendered`` is
    free for what a protocol version makes of one.
    """

    __slots__ = ("content", "fields", "file", "rendered", "status")

    def __init__(
        self,
        status: int,
        fields: list[Field],
        content: Content = b"",
        file: OpenFile | None = None,
    ) -> None:
        self.status = status
        self.fields = fields
        self.content = content
        self.file = file
        self.rendered: Any = None

    def close(self) -> None:
        """Close the file, if there is one."""
        if self.file is not None:
            self.file.close()
