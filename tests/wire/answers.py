"""A small strict reader of HTTP/1.1 responses for the wire corpus.

It takes everything a connection has received so far and returns the whole answers in it,
or says what is wrong with them: a server that frames badly must not pass by luck.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["Answer", "BadAnswer", "read_answers"]

_status_line: Final = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2}) [\x20-\x7e]*")
_field_line: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e\t]*?)[ \t]*")
_chunk_line: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")


class BadAnswer(Exception):
    """The bytes are not a well-framed response (RFC 9112 §4, §6)."""


class Answer(NamedTuple):
    """One response: its status, its fields with lower-cased names, its content."""

    status: int
    fields: dict[bytes, bytes]
    content: bytes


def read_answers(data: bytes, ended: bool) -> tuple[list[Answer], bytes]:
    """Read every whole response in ``data`` and return them with the bytes left over.

    ``ended`` says that the server has closed: content without a length ends there.
    A response to HEAD is known by the field ``x-method`` that the application sends.

    Raises ``BadAnswer`` for a response that breaks the framing rules.
    """
    found: list[Answer] = []
    while data:
        result = _read_one(data, ended)
        if result is None:
            break
        answer, data = result
        found.append(answer)
    return found, data


def _read_one(data: bytes, ended: bool) -> tuple[Answer, bytes] | None:
    head, mark, rest = data.partition(b"\r\n\r\n")
    if not mark:
        return None
    first, *lines = head.split(b"\r\n")
    match = _status_line.fullmatch(first)
    if match is None:
        raise BadAnswer(f"status line {first!r}")
    status = int(match[1])
    fields = _read_fields(lines)
    if status < 200 or status in (204, 304) or fields.get(b"x-method") == b"HEAD":
        return Answer(status, fields, b""), rest
    framed = _read_content(fields, rest, ended)
    if framed is None:
        return None
    content, rest = framed
    return Answer(status, fields, content), rest


def _read_fields(lines: list[bytes]) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    for line in lines:
        match = _field_line.fullmatch(line)
        if match is None:
            raise BadAnswer(f"field line {line!r}")
        name = match[1].lower()
        if name in fields:
            raise BadAnswer(f"field {name!r} twice")
        fields[name] = match[2]
    if b"content-length" in fields and b"transfer-encoding" in fields:
        raise BadAnswer("Content-Length and Transfer-Encoding together")
    return fields


def _read_content(
    fields: dict[bytes, bytes], rest: bytes, ended: bool
) -> tuple[bytes, bytes] | None:
    coding = fields.get(b"transfer-encoding")
    if coding is not None:
        if coding != b"chunked":
            raise BadAnswer(f"transfer coding {coding!r}")
        return _read_chunks(rest)
    if b"content-length" not in fields:
        return (rest, b"") if ended else None
    if not fields[b"content-length"].isdigit():
        raise BadAnswer(f"length {fields[b'content-length']!r}")
    length = int(fields[b"content-length"])
    return (rest[:length], rest[length:]) if len(rest) >= length else None


def _read_chunks(rest: bytes) -> tuple[bytes, bytes] | None:
    content = b""
    while True:
        if b"\r\n" not in rest:
            return None
        match = _chunk_line.match(rest)
        if match is None:
            raise BadAnswer(f"chunk size line {rest[:20]!r}")
        size, rest = int(match[1], 16), rest[match.end() :]
        if len(rest) < size + 2:
            return None
        if rest[size : size + 2] != b"\r\n":
            raise BadAnswer("no CRLF after chunk data")
        content, rest = content + rest[:size], rest[size + 2 :]
        if size == 0:
            return content, rest
