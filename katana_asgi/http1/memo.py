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
from urllib.parse import unquote

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
    from collections.abc import Mapping

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
    rb"(%b):[ \t]*+((?:[!-~\x80-\xff]++(?:[ \t]++[!-~\x80-\xff]++)*)?)[ \t]*+" % TOKEN
).fullmatch
"""Possessive: where it does not match, no run of spaces is tried again and again."""

_match_origin: Final = re.compile(
    rb"(%b) ((/[!\"$->@-~]*)(?:\?([!\"$-~]*))?) HTTP/1\.1" % TOKEN
).fullmatch
"""Nearly every request line: a target in origin-form (RFC 9112 §3.2.1) and HTTP/1.1."""

_METHODS: Final = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
}

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
        "_examined",
        "_framings",
        "_heads",
        "_limits",
        "_parse_fields",
        "_plain",
        "_requests",
        "_sections",
    )

    def __init__(self, parse_fields: FieldParser, limits: HeadLimits) -> None:
        self._parse_fields = parse_fields
        self._limits = limits
        self._heads: _Table[RequestHead] = _Table()
        self._sections: _Table[tuple[list[Field], Framing]] = _Table()  # of HTTP/1.1
        self._plain: _Table[Field] = _Table()  # lines that decide nothing for the server
        self._examined: _Table[Field] = _Table()  # ... and those that may
        self._requests: _Table[tuple[str, bytes, str, Target]] = _Table()
        self._framings: _Table[Framing] = _Table()  # of HTTP/1.1, by its examined lines

    @property
    def heads(self) -> Mapping[bytes, RequestHead]:
        """Whole heads as they are remembered now; always the same mapping."""
        return self._heads.known

    def __call__(self, head: bytes) -> RequestHead:
        """Parse a whole head; raises ``RemoteProtocolError`` as the back end would."""
        whole = self._heads.known.get(head)
        if whole is not None:
            return whole
        try:
            return self._by_parts(head)
        except RemoteProtocolError:
            self._limits.check(head)  # whatever else is wrong, the limit is said first
            raise

    def _by_parts(self, head: bytes) -> RequestHead:
        limits = self._limits
        line_end = head.find(b"\r\n")
        if line_end > limits.line or len(head) - line_end > limits.size:
            limits.check(head)
        line = head[:line_end]
        request = self._requests.known.get(line)
        if request is None:
            request = self._request_line(line)
        method, target, version, parsed = request
        section = head[line_end:]
        known = self._sections.known.get(section)
        if known is None or version != "1.1":
            fields, framing = self._section(section, version)
            return RequestHead(method, target, version, parsed, fields, framing)
        fields, framing = known
        made = RequestHead(method, target, version, parsed, fields, framing)
        if b"?" not in target and self._heads.repeats(head) and line_end <= MAX_LINE:
            self._heads.store(head, made)
        return made

    def _request_line(self, line: bytes) -> tuple[str, bytes, str, Target]:
        match = _match_origin(line)
        method = None if match is None else _METHODS.get(match[1])
        if match is None or method is None:
            method, target, version = split_request_line(line)
            parsed = parse_target(target, method)
        else:
            version = "1.1"
            _, target, raw_path, query = match.groups()
            path = raw_path.decode("ascii")
            parsed = (unquote(path) if "%" in path else path, raw_path, query or b"", None)
        request = (method, target, version, parsed)
        if b"?" not in line and len(line) <= MAX_LINE and self._requests.repeats(line):
            self._requests.store(line, request)
        return request

    def _section(self, section: bytes, version: str) -> tuple[list[Field], Framing]:
        """Fields and framing of a header section, from the CRLF before it to the one behind."""
        lines = section[2:-4].split(b"\r\n") if len(section) > 4 else []
        if len(lines) > self._limits.count:
            raise RemoteProtocolError("too many header fields", 431)
        found: list[Field | None] = list(map(self._plain.known.get, lines))
        plain = len(lines) - found.count(None)
        examined = self._find_others(lines, found)
        if examined is None:
            fields = self._by_back_end(section, lines)
            return fields, judge(_examined(fields), version)
        fields = cast("list[Field]", found)
        if version != "1.1":
            return fields, judge(_examined(fields), version)
        framing = self._framings.known.get(examined)
        if framing is None:
            framing = judge(_examined(fields), "1.1")
            if sum(map(len, examined)) <= MAX_LINE and self._framings.repeats(examined):
                self._framings.store(examined, framing)
        all_known = plain + len(examined) == len(lines)
        if all_known and len(section) <= MAX_SECTION and self._sections.repeats(section):
            self._sections.store(section, (fields, framing))
        return fields, framing

    def _find_others(
        self, lines: list[bytes], fields: list[Field | None]
    ) -> tuple[bytes, ...] | None:
        """Fill in the fields that are no plain and known ones; returns the examined lines.

        ``None``: a stranger's head, or a line that is wrong. Both are the back end's.
        """
        known = self._examined.known.get
        examined = []
        new = 0
        index = -1
        for _ in range(fields.count(None)):
            index = fields.index(None, index + 1)
            line = lines[index]
            field = known(line)
            if field is None:
                new += 1
                match = _match_field(line) if new <= MAX_NEW_LINES else None
                if match is None:
                    return None
                field = (match[1].lower(), match[2])
                self._remember(line, field)
            if field[0] in EXAMINED:
                examined.append(line)
            fields[index] = field
        return tuple(examined)

    def _by_back_end(self, section: bytes, lines: list[bytes]) -> list[Field]:
        check_field_bytes(section[2:])
        fields = list(self._parse_fields(section[2:]))
        if len(fields) != len(lines):
            raise RemoteProtocolError("invalid head")
        for line, field in zip(lines, fields, strict=True):
            self._remember(line, field)
        return fields

    def _remember(self, line: bytes, field: Field) -> None:
        name = field[0]
        if len(line) <= MAX_LINE and name not in _PRIVATE:
            table = self._examined if name in EXAMINED else self._plain
            if table.repeats(line):
                table.store(line, field)


def _examined(fields: list[Field]) -> list[Field]:
    return [field for field in fields if field[0] in EXAMINED]
