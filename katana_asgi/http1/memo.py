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
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

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
        "_sections",
        "_targets",
    )

    def __init__(self, parse_fields: FieldParser, limits: HeadLimits) -> None:
        self._parse_fields = parse_fields
        self._limits = limits
        self._heads: _Table[RequestHead] = _Table()
        self._sections: _Table[tuple[list[Field], Framing]] = _Table()  # of HTTP/1.1
        self._lines: _Table[Field] = _Table()
        self._targets: _Table[tuple[str, bytes, str, Target]] = _Table()
        self._framings: _Table[Framing] = _Table()

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
        method, target, version, parsed = self._request_line(head[:line_end])
        if known is not None and version == "1.1":
            fields, framing = known
        else:
            fields, framing = self._section(head, line_end, section, version)
        made = RequestHead(method, target, version, parsed, fields, framing)
        if known is not None and b"?" not in target and self._heads.repeats(head):
            self._heads.store(head, made)
        return made

    def _section(
        self, head: bytes, line_end: int, section: bytes, version: str
    ) -> tuple[list[Field], Framing]:
        fields = self._fields(head, line_end)
        examined = tuple([field for field in fields if field[0] in EXAMINED])
        framing = self._framings.known.get((version, examined))
        if framing is None:
            framing = self._judge(version, examined)
        if (
            version == "1.1"
            and len(section) <= MAX_SECTION
            and self._sections.repeats(section)
            and _PRIVATE.isdisjoint([name for name, _ in fields])
        ):
            self._sections.store(section, (fields, framing))
        return fields, framing

    def _request_line(self, line: bytes) -> tuple[str, bytes, str, Target]:
        known = self._targets.known.get(line)
        if known is not None:
            return known
        method, target, version = split_request_line(line)
        parts = (method, target, version, parse_target(target, method))
        if len(line) <= MAX_LINE and b"?" not in target and self._targets.repeats(line):
            self._targets.store(line, parts)
        return parts

    def _judge(self, version: str, examined: tuple[Field, ...]) -> Framing:
        framing = judge(examined, version)
        key = (version, examined)
        if sum([len(value) for _, value in examined]) <= MAX_LINE and self._framings.repeats(key):
            self._framings.store(key, framing)
        return framing

    def _fields(self, head: bytes, line_end: int) -> list[Field]:
        known = self._lines.known
        lines = head[line_end + 2 : -4].split(b"\r\n") if line_end + 4 < len(head) else []
        try:
            return [known[line] for line in lines]
        except KeyError:
            return self._new_fields(head, line_end, lines)

    def _new_fields(self, head: bytes, line_end: int, lines: list[bytes]) -> list[Field]:
        known = self._lines.known
        found = [known.get(line) for line in lines]
        if found.count(None) <= MAX_NEW_LINES:
            parsed = [field or _parse_line(line) for line, field in zip(lines, found, strict=True)]
            complete = [field for field in parsed if field is not None]
            if len(complete) == len(lines):
                self._remember(lines, found, complete)
                return complete
        section = head[line_end + 2 :]
        check_field_bytes(section)
        fields = self._parse_fields(section)
        if len(fields) == len(lines):
            self._remember(lines, found, fields)
        return fields

    def _remember(self, lines: list[bytes], found: list[Field | None], fields: list[Field]) -> None:
        for line, before, field in zip(lines, found, fields, strict=True):
            new = before is None and len(line) <= MAX_LINE and field[0] not in _PRIVATE
            if new and self._lines.repeats(line):
                self._lines.store(line, field)


def _parse_line(line: bytes) -> Field | None:
    """One field line by the grammar of RFC 9112 §5; ``None``: let the back end judge."""
    match = _match_field(line)
    return None if match is None else (match[1].lower(), match[2])
