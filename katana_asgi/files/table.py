"""All mounts of a worker: which of them a request is for."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from katana_asgi.files.mount import FileMount, file_memory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from katana_asgi.config.static_files import StaticFiles
    from katana_asgi.files.disk import Disk
    from katana_asgi.files.response import FileResponse
    from katana_asgi.http.message import Field

__all__ = ["FileTable"]


class FileTable:
    """The mounts, the longest path first; they share one memory."""

    __slots__ = ("_mounts",)

    def __init__(self, settings: Iterable[StaticFiles], disk: Disk | None = None) -> None:
        memory = file_memory()
        mounts = [FileMount(each, memory, disk) for each in settings]
        mounts.sort(key=_prefix_length, reverse=True)
        self._mounts = [(mount.prefix.encode("utf-8"), mount) for mount in mounts]

    def __len__(self) -> int:
        return len(self._mounts)

    def find(self, raw_path: bytes) -> tuple[FileMount, bytes] | None:
        """The mount of a path, and what of the path follows the mount's own.

        ``raw_path`` is the path of the target as sent. A mount's path may be percent-encoded
        where it need not be; an encoded slash is never a separator.
        """
        for prefix, mount in self._mounts:
            rest = _below(prefix, raw_path)
            if rest is not None:
                return mount, rest
        return None

    def respond(
        self, method: str, raw_path: bytes, query: bytes, fields: Iterable[Field]
    ) -> FileResponse | None:
        """The response to a request; ``None`` where the application has to answer."""
        found = self.find(raw_path)
        if found is None:
            return None
        mount, rest = found
        return mount.respond(method, rest, query, fields)


def _prefix_length(mount: FileMount) -> int:
    return mount.prefix.count("/")


def _below(prefix: bytes, raw_path: bytes) -> bytes | None:
    """What follows ``prefix`` in ``raw_path``, segment by segment."""
    if raw_path.startswith(prefix):
        rest = raw_path[len(prefix) :]
        if rest[:1] == b"/" or (prefix and not rest):
            return rest
    if b"%" not in raw_path or b"%2f" in raw_path[: 3 * len(prefix)].lower():
        return None
    count = prefix.count(b"/")
    segments = raw_path.split(b"/", count + 1)
    if unquote_to_bytes(b"/".join(segments[: count + 1])) != prefix:
        return None
    return b"/" + segments[count + 1] if len(segments) > count + 1 else b""
