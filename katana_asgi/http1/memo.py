"""Clients repeat themselves: remember what a head, piece by piece, was parsed to.

A head is a pure function of its bytes, and so are its parts: the request line, the header
section, each field line (RFC 9112 §5: its validity does not depend on its neighbours), and
what the few fields that matter to the server say together. Whole and parts are remembered on
their own, so a head costs what is new about it. What was never seen goes to the back end.

Every table is bounded in entries and in the size of each, holds only what was accepted, and
takes only what came twice. Credentials and queries never enter. ``--no-memo`` switches it
off; a property test holds that this changes nothing but speed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.fields import TOKEN
from katana_asgi.http.message import RequestHead
from katana_asgi.http.target import Target, parse_target
from katana_asgi.http1.head import (
    EXAMINED,
    FieldParser,
    check_field_bytes,
    judge,
    split_request_line,
)

if TYPE_CHECKING:
    from katana_asgi.http.message import Field, Framing
    from katana_asgi.http1.limits import HeadLimits

__all__ = ["HeadMemo"]

MAX_ENTRIES: Final = 1024
"""Against clients that never repeat themselves: a full table starts again, empty."""

MAX_LINE: Final = 256
"""Bytes of a line worth remembering, against few but huge entries."""

MAX_SECTION: Final = 2048
"""Bytes of a header section worth remembering; with ``MAX_ENTRIES`` that is 10 MB at most."""

MAX_NEW_LINES: Final = 3
"""Up to so many new field lines are parsed one by one; a stranger's head is llhttp's work."""

_match_field: Final = re.compile(
    rb"(%b):[ \t]*((?:[!-~\x80-\xff]+(?:[ \t]+[!-~\x80-\xff]+)*)?)[ \t]*" % TOKEN
).fullmatch

_PRIVATE: Final = frozenset({b"authorization", b"cookie", b"proxy-authorization"})

Value = TypeVar("Value")


class _Table(Generic[Value]):
    """A bounded dictionary that takes a key when it comes for the second time."""

    __slots__ = ("_seen", "known")

    def __init__(self) -> None:
        self.known: dict[Any, Value] = {}
        self._seen: set[int] = set()

    def repeats(self, key: Any) -> bool:
        """Whether the key came before; remembers that it came."""
        mark = hash(key)
        if mark in self._seen:
            return True
        if len(self._seen) >= MAX_ENTRIES:
            self._seen.clear()
        self._seen.add(mark)
        return False

    def store(self, key: Any, value: Value) -> None:
        """Remember a value."""
        if len(self.known) >= MAX_ENTRIES:
            self.known.clear()
        self.known[key] = value


class HeadMemo:
    """A ``HeadParser`` that gives what ``parse_fields`` and ``head.py`` would, but faster."""

    __slots__ = (
        "_framings",
        "_heads",
        "_limits",
        "_lines",
        "_parse_fields",
        "_requests",
        "_sections",
    )

    def __init__(self, parse_fields: FieldParser, limits: HeadLimits) -> None:
        self._parse_fields = parse_fields
        self._limits = limits
        self._heads: _Table[RequestHead] = _Table()
        self._sections: _Table[tuple[list[Field], Framing]] = _Table()  # of HTTP/1.1
        self._lines: _Table[Field] = _Table()
        self._requests: _Table[tuple[str, bytes, str, Target]] = _Table()
        self._framings: _Table[Framing] = _Table()  # by the examined fields of HTTP/1.1

    def __call__(self, head: bytes) -> RequestHead:
        """Parse a whole head; raises ``RemoteProtocolError`` as the back end would."""
        whole = self._heads.known.get(head)
        if whole is not None:
            return whole
        line_end = head.find(b"\r\n")
        section = head[line_end:]
        known = self._sections.known.get(section)
        if known is None or line_end > self._limits.line:
            self._limits.check(head)
        line = head[:line_end]
        request = self._requests.known.get(line)
        if request is None:
            request = self._request_line(line)
        method, target, version, parsed = request
        if known is not None and version == "1.1":
            fields, framing = known
            made = RequestHead(method, target, version, parsed, fields, framing)
            if b"?" not in target and self._heads.repeats(head):
                self._heads.store(head, made)
            return made
        fields, framing = self._section(section, version)
        return RequestHead(method, target, version, parsed, fields, framing)

    def _request_line(self, line: bytes) -> tuple[str, bytes, str, Target]:
        method, target, version = split_request_line(line)
        parts = (method, target, version, parse_target(target, method))
        if len(line) <= MAX_LINE and b"?" not in target and self._requests.repeats(line):
            self._requests.store(line, parts)
        return parts

    def _section(self, section: bytes, version: str) -> tuple[list[Field], Framing]:
        """Fields and framing of a header section, from the CRLF before it to the one behind."""
        lines = section[2:-4].split(b"\r\n") if len(section) > 4 else []
        found = list(map(self._lines.known.get, lines))
        complete = all(found)
        fields = cast("list[Field]", found) if complete else self._fill(section, lines, found)
        examined = tuple([field for field in fields if field[0] in EXAMINED])
        if version != "1.1":
            return fields, judge(examined, version)
        framing = self._framings.known.get(examined)
        if framing is None:
            framing = self._judge(examined)
        if complete and len(section) <= MAX_SECTION and self._sections.repeats(section):
            self._sections.store(section, (fields, framing))
        return fields, framing

    def _judge(self, examined: tuple[Field, ...]) -> Framing:
        framing = judge(examined, "1.1")
        size = sum([len(value) for _, value in examined])
        if size <= MAX_LINE and self._framings.repeats(examined):
            self._framings.store(examined, framing)
        return framing

    def _fill(self, section: bytes, lines: list[bytes], found: list[Field | None]) -> list[Field]:
        """Parse the lines that are new: a few one by one, a stranger's head by the back end."""
        new = [index for index, field in enumerate(found) if field is None]
        fields = found
        if len(new) > MAX_NEW_LINES or not self._parse_lines(lines, found, new):
            check_field_bytes(section[2:])
            fields = list(self._parse_fields(section[2:]))
            if len(fields) != len(lines):
                raise RemoteProtocolError("invalid head")
        for index in new:
            line, field = lines[index], fields[index]
            if field is None or len(line) > MAX_LINE or field[0] in _PRIVATE:
                continue
            if self._lines.repeats(line):
                self._lines.store(line, field)
        return cast("list[Field]", fields)

    @staticmethod
    def _parse_lines(lines: list[bytes], fields: list[Field | None], new: list[int]) -> bool:
        """Parse lines by the grammar of RFC 9112 §5; false: let the back end judge."""
        for index in new:
            match = _match_field(lines[index])
            if match is None:
                return False
            fields[index] = (match[1].lower(), match[2])
        return True
