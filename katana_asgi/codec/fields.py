"""Response fields of an application: checked, and written as HTTP/1.1 writes them; the twins."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.codec.grammar import TOKEN, list_members
from katana_asgi.errors import LocalProtocolError

if TYPE_CHECKING:
    from katana_asgi.codec.framing import Field

__all__ = ["DATE", "SERVER", "ResponseFields", "check_fields", "render_head"]

DATE: Final = 1
SERVER: Final = 2

_CONNECTION_SPECIFIC: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Framing and persistence are the server's (RFC 9110 §7.6.1); HTTP/2 forbids these (RFC 9113
§8.2.2)."""

_match_name: Final = re.compile(TOKEN).fullmatch
_find_forbidden: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search


class ResponseFields:
    """Checked fields of a response, without those that are the server's, whatever the version.

    ``pairs`` are lower-cased names with trimmed values. ``content_length`` is what the
    application announced, or ``None``. ``own`` is a set of ``DATE`` and ``SERVER`` bits: those
    the application sent itself. ``close`` says that it asked for the connection to end.
    ``wire`` is for what a protocol version made of them, ``None`` at first.
    """

    __slots__ = ("close", "content_length", "own", "pairs", "wire")

    def __init__(
        self,
        pairs: tuple[Field, ...] = (),
        content_length: int | None = None,
        own: int = 0,
        close: bool = False,
    ) -> None:
        self.pairs = pairs
        self.content_length = content_length
        self.own = own
        self.close = close
        self.wire: Any = None


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


def check_fields(
    headers: Iterable[Any], make: Callable[..., ResponseFields] = ResponseFields
) -> ResponseFields:
    """Check an application's headers, whatever they are; see ``_check`` for what is raised."""
    pairs: list[Field] = []
    content_length: int | None = None
    close = False
    own = 0
    for name, value in headers:
        pair = _check(name, value)
        name = pair[0]
        if name in _CONNECTION_SPECIFIC:
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
    return make(tuple(pairs), content_length, own, close)


def render_head(
    first: bytes, fields: ResponseFields, length: int | None, last: bytes, content: bytes
) -> bytes:
    """``first``, a line for each of ``fields``, ``last`` and ``content`` (RFC 9112 §4, §5).

    ``first`` is the status line and whatever stands before the application's fields, ``last``
    what stands behind them, the empty line included; ``length`` is a Content-Length between.
    """
    lines = [b"%b: %b\r\n" % pair for pair in fields.pairs]
    if length is not None:
        lines.append(b"content-length: %d\r\n" % length)
    return b"".join([first, *lines, last, content])
