"""A directory below a path of the server: from a request to the response of a file.

What small files give is kept in memory and compared with the disk at most once a second. All
other steps are a few microseconds on the event loop, a tenth of what a thread would cost; what
may wait for the disk, the content of larger files, is left to what sends the response.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from katana_asgi.bounded import Bounded, content_weight
from katana_asgi.config.static_files import APPLICATION, NOT_FOUND
from katana_asgi.files.disk import Disk
from katana_asgi.files.listing import render_listing
from katana_asgi.files.naming import Naming
from katana_asgi.files.representation import (
    CONDITIONS,
    Representation,
    respond,
    signature,
)
from katana_asgi.files.response import FileResponse, OpenFile
from katana_asgi.files.root import Root
from katana_asgi.files.target import Target, parse_target
from katana_asgi.http.codings import accepted_codings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from katana_asgi.config.static_files import StaticFiles
    from katana_asgi.files.disk import Symlinks
    from katana_asgi.files.representation import Signature
    from katana_asgi.http.message import Field

__all__ = ["FileMemory", "FileMount", "file_memory"]

logger = logging.getLogger("katana_asgi.error")

SIDECARS: Final = (b"br", b"zstd", b"gzip")
"""Codings of compressed files, in the server's order."""

SUFFIXES: Final = {b"br": b".br", b"zstd": b".zst", b"gzip": b".gz"}

MOST_IN_MEMORY: Final = 64 * 1024
"""Bytes of a file that is kept in memory; what is larger goes by sendfile."""

_MEMORY: Final = 16 * 1024 * 1024
"""Bytes of files that a worker keeps in memory."""

_OVERHEAD: Final = 6 * 1024
"""Bytes of an entry besides its content and its key: objects, fields, and what the protocol
versions make of them."""

TRUSTED_FOR: Final = 1.0
"""Seconds for which what is in memory is not compared with the disk."""

SETTLED: Final = 2.0
"""Seconds since a file's last change after which it is kept; two changes within one tick of a
file system's clock cannot be told apart."""

_ABSENT: Final = frozenset(
    {
        errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EXDEV, errno.EACCES,
        errno.EPERM, errno.EINVAL, errno.ENXIO, errno.ENODEV, errno.EISDIR, errno.EILSEQ,
    }
)  # fmt: skip
"""Errors that are answered like a missing file; a 403 would reveal that there is one."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})

_NO_CONTENT: Final = (b"content-length", b"0")


class _Remembered:
    """A representation, the file it was read from, and when the two were last compared."""

    __slots__ = ("checked", "representation", "signature")

    def __init__(self, representation: Representation, found: Signature, checked: float) -> None:
        self.representation = representation
        self.signature = found
        self.checked = checked


Key = tuple[str, bytes, tuple[bytes, ...]]
"""A mount, a path as sent and the acceptable codings."""

FileMemory = Bounded[Key, _Remembered]
"""Small files; one memory for all mounts of a worker."""


def file_memory(most: int = _MEMORY) -> FileMemory:
    """A memory of at most that many bytes."""
    return Bounded(most)


class _Asked(NamedTuple):
    """What a request asks for: the key of a representation, and the conditions on it."""

    method: str
    path: bytes
    codings: tuple[bytes, ...]
    conditions: list[Field]


class _Found:
    """An open file or directory."""

    __slots__ = ("file", "state")

    def __init__(self, file: OpenFile, state: os.stat_result) -> None:
        self.file = file
        self.state = state

    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.state.st_mode)

    def is_regular(self) -> bool:
        return stat.S_ISREG(self.state.st_mode)


class FileMount:
    """Answers requests below one path with the files of one directory."""

    def __init__(
        self,
        settings: StaticFiles,
        memory: FileMemory,
        disk: Disk | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.prefix = settings.path.rstrip("/")
        self._settings = settings
        self._symlinks = cast("Symlinks", settings.symlinks)
        self._disk = disk or Disk()
        self._root = Root(settings.directory, self._disk, monotonic)
        self._naming = Naming(settings)
        self.memory = memory
        self._monotonic = monotonic
        self._wall = wall
        self._codings = SIDECARS if settings.precompressed else ()

    def respond(
        self, method: str, path: bytes, query: bytes, fields: Iterable[Field]
    ) -> FileResponse | None:
        """The response to a request; ``None`` where the application has to answer.

        ``path`` is what follows the mount's own path in that of the target, as sent.
        """
        if method not in ("GET", "HEAD"):
            if self._settings.fallback == APPLICATION:
                return None
            return FileResponse(405, [(b"allow", b"GET, HEAD"), _NO_CONTENT])
        asked, accepts_html = self._asked(method, path, fields)
        try:
            response = self._from_memory(asked)
            if response is None:
                response = self._from_disk(asked, query)
            if response is None:
                response = self._missing(asked, accepts_html)
        except OSError as error:
            response = _refusal(error, self._settings.path, path)
        return response

    def remembered(self, method: str, path: bytes, fields: Iterable[Field]) -> FileResponse | None:
        """The response to GET or HEAD where that needs no look at the disk; ``None`` elsewhere."""
        return self._from_memory(self._asked(method, path, fields)[0])

    def _asked(self, method: str, path: bytes, fields: Iterable[Field]) -> tuple[_Asked, bool]:
        """What the fields ask for, and whether they accept HTML."""
        conditions = []
        accepted = None
        accepts_html = False
        codings = self._codings
        for field in fields:
            name, value = field
            if name in CONDITIONS:
                conditions.append(field)
                if name == b"range":
                    codings = ()  # a part of compressed bytes is of no use to what joins parts
            elif name == b"accept-encoding":
                accepted = value if accepted is None else accepted + b"," + value
            elif name == b"accept":
                accepts_html = accepts_html or b"text/html" in value.lower()
        return _Asked(method, path, accepted_codings(accepted, codings), conditions), accepts_html

    def _from_memory(self, asked: _Asked) -> FileResponse | None:
        """The response of a file that was compared with the disk within the last second."""
        kept = self.memory.get((self.prefix, asked.path, asked.codings))
        if kept is None or self._monotonic() - kept.checked >= TRUSTED_FOR:
            return None
        return respond(kept.representation, asked.method, asked.conditions, None, self._wall())

    def _from_disk(self, asked: _Asked, query: bytes) -> FileResponse | None:
        target = parse_target(asked.path, self._settings.dotfiles)
        if target is None:
            return None
        segments = target.segments
        if target.directory:
            index = self._index(segments)
            if index is None:
                return self._listing(asked.method, segments)
            found, segments = index
        else:
            opened = self._open(segments)
            if opened is None:
                return None
            if not opened.is_regular():
                opened.file.close()
                return self._redirect(target, query) if opened.is_directory() else None
            found = opened
        return self._represent(asked, segments, found)

    def _represent(self, asked: _Asked, segments: list[bytes], found: _Found) -> FileResponse:
        """Choose among the file and its sidecars, and answer with what was chosen."""
        names = self._naming.of(segments)
        coding = b""
        if names.may_have_sidecars:
            found, coding = self._sidecar(segments, found, asked.codings)
        key = (self.prefix, asked.path, asked.codings)
        now = self._wall()
        representation = self._unchanged(key, found)
        if representation is None:
            vary = bool(self._codings) and names.may_have_sidecars
            fields = self._naming.fields(names, vary)
            representation = Representation(found.state, coding, names.content_type, fields, now)
            if asked.method == "GET" and representation.length <= MOST_IN_MEMORY:
                self._load(key, found, representation, now)
        response = respond(representation, asked.method, asked.conditions, found.file, now)
        if response.file is None:
            found.file.close()
        return response

    def _unchanged(self, key: Key, found: _Found) -> Representation | None:
        """What is in memory, where the file is still the one that was read."""
        kept = self.memory.peek(key)
        if kept is None:
            return None
        if kept.signature == signature(found.state):
            kept.checked = self._monotonic()
            return kept.representation
        self.memory.pop(key)
        return None

    def _load(self, key: Key, found: _Found, representation: Representation, now: float) -> None:
        """Read a small file, where that does not wait, and keep it unless it has just changed."""
        content = self._read_small(found)
        if content is None:
            return
        representation.hold(content)
        if now - found.state.st_ctime > SETTLED:
            entry = _Remembered(representation, signature(found.state), self._monotonic())
            weight = content_weight(len(content)) + len(key[1]) + _OVERHEAD
            self.memory.put(key, entry, weight)

    def _read_small(self, found: _Found) -> bytes | None:
        """The whole content, unless that is known to wait, or something changed meanwhile."""
        size = found.state.st_size
        descriptor = found.file.descriptor
        content = self._disk.read_now(descriptor, size, 0) if size else b""
        if content is None and not self._disk.is_cold(descriptor, size - 1):
            # Overlay file systems, so all images of containers, and tmpfs cannot say what they
            # have in memory. Reading once, to keep it, waits no longer than opening does.
            content = self._disk.read(descriptor, size, 0)
        if content is None or len(content) != size:
            return None
        after = self._disk.stat(found.file.descriptor)
        return content if signature(after) == signature(found.state) else None

    def _open(self, segments: list[bytes]) -> _Found | None:
        """What is there; ``None`` where nothing is that this process may read."""
        try:
            descriptor = self._disk.open(self._root.descriptor(), segments, self._symlinks)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            if error.errno in (errno.EACCES, errno.EPERM):
                name = os.fsdecode(b"/".join(segments))
                logger.warning("Cannot read %r in %s", name, self._settings.directory)
            return None
        file = OpenFile(self._disk, descriptor)
        try:
            return _Found(file, self._disk.stat(descriptor))
        except BaseException:
            file.close()
            raise

    def _index(self, segments: list[bytes]) -> tuple[_Found, list[bytes]] | None:
        for name in self._settings.index:
            inside = [*segments, os.fsencode(name)]
            found = self._open(inside)
            if found is not None and found.is_regular():
                return found, inside
            if found is not None:
                found.file.close()
        return None

    def _sidecar(
        self, segments: list[bytes], plain: _Found, codings: tuple[bytes, ...]
    ) -> tuple[_Found, bytes]:
        """The compressed file the client likes best, where it is as new as the plain one."""
        for coding in codings:
            found = self._open([*segments[:-1], segments[-1] + SUFFIXES[coding]])
            if found is None:
                continue
            if found.is_regular() and found.state.st_mtime_ns >= plain.state.st_mtime_ns:
                plain.file.close()
                return found, coding
            found.file.close()
        return plain, b""

    def _redirect(self, target: Target, query: bytes) -> FileResponse:
        """To the same address with a slash: relative, so that it is right behind any proxy.

        It starts with a dot, so no name can make it an address of another host.
        """
        name = target.segments[-1] if target.segments else os.fsencode(self.prefix)
        location = b"./" + self._naming.quoted(name.rpartition(b"/")[2]) + b"/"
        if query:
            location += b"?" + query
        return FileResponse(308, [(b"location", location), _NO_CONTENT])

    def _listing(self, method: str, segments: list[bytes]) -> FileResponse | None:
        found = self._open(segments) if self._settings.listing else None
        if found is None:
            return None
        try:
            if not found.is_directory():
                return None
            entries = self._disk.names(found.file.descriptor)
        finally:
            found.file.close()
        content = render_listing(segments, entries, dotfiles=self._settings.dotfiles)
        fields = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-length", b"%d" % len(content)),
            *self._naming.plain_fields,
        ]
        return FileResponse(200, fields, content if method == "GET" else b"")

    def _missing(self, asked: _Asked, accepts_html: bool) -> FileResponse | None:
        fallback = self._settings.fallback
        if fallback == APPLICATION:
            return None
        navigates = accepts_html and b"." not in asked.path.rpartition(b"/")[2]
        if fallback != NOT_FOUND and navigates:
            response = self._own_page(asked.method, fallback, asked.codings)
            if response is not None:
                return response
        if self._settings.not_found:
            page = self._own_page("GET", self._settings.not_found, ())
            if page is not None:
                return _as_not_found(page, asked.method)
        return FileResponse(404, [_NO_CONTENT])

    def _own_page(self, method: str, page: str, codings: tuple[bytes, ...]) -> FileResponse | None:
        """A file of the mount, without the conditions of the request."""
        asked = _Asked(method, self._naming.quoted(os.fsencode(page)), codings, [])
        return self._from_memory(asked) or self._from_disk(asked, b"")


_OF_SUCCESS: Final = frozenset({b"etag", b"last-modified", b"accept-ranges", b"cache-control"})


def _as_not_found(page: FileResponse, method: str) -> FileResponse:
    """The same content with status 404, and without what only a 200 can say."""
    fields = [field for field in page.fields if field[0] not in _OF_SUCCESS]
    if method == "HEAD":
        page.close()
        return FileResponse(404, fields)
    return FileResponse(404, fields, page.content, page.file)


def _refusal(error: OSError, mount: str, path: bytes) -> FileResponse:
    """The status of a failure that is not the client's."""
    if error.errno in _EXHAUSTED:
        logger.warning("Files below %s: %s", mount, error.strerror)
        return FileResponse(503, [(b"retry-after", b"1"), _NO_CONTENT])
    logger.error("Files below %s: cannot read %a: %s", mount, path, error.strerror)
    return FileResponse(500, [_NO_CONTENT])
