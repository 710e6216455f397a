"""The ``headers`` of a response, checked once and remembered.

Applications send the same few lists again and again. A list that was checked keeps its
result, rendered for the wire, in a bounded memo; a tuple of the pairs is the key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.errors import LocalProtocolError
from katana_asgi.http.fields import TOKEN, list_members

if TYPE_CHECKING:
    from katana_asgi.http.message import Field

__all__ = ["DATE", "NO_FIELDS", "SERVER", "FieldsMemo", "ResponseFields"]

DATE: Final = 1
SERVER: Final = 2

MAX_ENTRIES: Final = 512
"""Against an application that never sends the same list twice: the memo is cleared when full."""

MAX_ENTRY_SIZE: Final = 2048
"""Bytes of a rendered list that is still remembered; larger ones are rarely repeated."""

_FRAMING: Final = frozenset({b"transfer-encoding", b"connection", b"keep-alive", b"upgrade"})
"""Connection-specific fields: framing and persistence are the server's (RFC 9110 §7.6.1)."""

_UNREPEATED: Final = frozenset(
    {
        b"set-cookie",
        b"etag",
        b"location",
        b"last-modified",
        b"x-request-id",
        b"server-timing",
    }
)
"""Fields whose values differ from response to response: not worth an entry."""

_match_name: Final = re.compile(TOKEN).fullmatch
_find_forbidden: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search


class ResponseFields:
    """Checked fields of a response, without those that belong to the server.

    ``content_length`` is what the application announced, or ``None``. ``close`` says that it
    asked for the connection to end. ``own`` is a set of ``DATE`` and ``SERVER`` bits: those
    the application sent itself. ``lines`` are the field lines as HTTP/1.1 writes them, and
    ``prefixes`` the heads it made of them.
    """

    __slots__ = ("close", "content_length", "lines", "own", "pairs", "prefixes")

    def __init__(
        self, pairs: tuple[Field, ...], content_length: int | None, close: bool, own: int
    ) -> None:
        self.pairs = pairs
        self.content_length = content_length
        self.close = close
        self.own = own
        self.lines = b"".join([b"%b: %b\r\n" % pair for pair in pairs])
        self.prefixes: dict[tuple[int, int | None, bool], bytes] = {}

    def without_length(self) -> ResponseFields:
        """The same without Content-Length (RFC 9110 §8.6: never in a 204)."""
        pairs = tuple(pair for pair in self.pairs if pair[0] != b"content-length")
        return ResponseFields(pairs, None, self.close, self.own)


def _check(name: object, value: object) -> Field:
    """One pair, its name lower-cased.

    Raises ``LocalProtocolError`` for a name that is no token and a value with CR, LF, NUL or
    another control byte (RFC 9110 §5.5); ``TypeError`` for anything but bytes.
    """
    if not isinstance(name, bytes) or not isinstance(value, bytes):
        raise TypeError(
            f"header names and values must be bytes, not {type(name).__name__} "
            f"and {type(value).__name__}"
        )
    if _match_name(name) is None:
        raise LocalProtocolError(f"invalid header name {name!r}")
    if _find_forbidden(value) is not None:
        raise LocalProtocolError(f"invalid value {value!r} of header {name!r}")
    return name.lower(), value.strip(b" \t")


def _length(value: bytes, before: int | None) -> int:
    if not value.isdigit() or len(value) > 18:
        raise LocalProtocolError(f"invalid content-length {value!r}")
    length = int(value)
    if before is not None and before != length:
        raise LocalProtocolError("two different content-length headers")
    return length


def check_fields(headers: Iterable[Any]) -> ResponseFields:
    """Check an application's headers, whatever they are; see ``_check`` for what is raised."""
    pairs: list[Field] = []
    content_length: int | None = None
    close = False
    own = 0
    for name, value in headers:
        pair = _check(name, value)
        name = pair[0]
        if name in _FRAMING:
            close = close or (name == b"connection" and b"close" in list_members(value))
            continue
        if name == b"content-length":
            repeated = content_length is not None
            content_length = _length(pair[1], content_length)
            if repeated:
                continue
        elif name == b"date":
            own |= DATE
        elif name == b"server":
            own |= SERVER
        pairs.append(pair)
    return ResponseFields(tuple(pairs), content_length, close, own)


NO_FIELDS: Final = ResponseFields((), None, False, 0)


class FieldsMemo:
    """Remembers checked lists of fields, bounded in entries and in bytes of each."""

    __slots__ = ("_entries", "_last_fields", "_last_headers")

    def __init__(self) -> None:
        # The last list once more is cheaper to recognise than any list is to look up.
        self._last_headers: list[Any] = []
        self._last_fields = NO_FIELDS
        self._entries: dict[Any, ResponseFields] = {(): NO_FIELDS}

    def __call__(self, headers: Iterable[Any]) -> ResponseFields:
        """The checked form of ``headers``; raises what ``check_fields`` raises."""
        if headers == self._last_headers:
            return self._last_fields
        key = tuple(headers)
        try:
            fields = self._entries.get(key)
        except TypeError:  # pairs that are lists cannot be a key
            return check_fields(key)
        if fields is None:
            fields = check_fields(key)
            if len(fields.lines) <= MAX_ENTRY_SIZE and not any(
                name in _UNREPEATED for name, _ in fields.pairs
            ):
                if len(self._entries) >= MAX_ENTRIES:
                    self._entries.clear()
                self._entries[key] = fields
        self._last_headers = list(key)
        self._last_fields = fields
        return fields
