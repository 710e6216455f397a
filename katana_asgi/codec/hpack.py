"""Field compression for HTTP/2 (RFC 7541): header blocks to fields and back; the twin of hpack.c.

Decoding has no state of its own: the entries of the dynamic table are the caller's list, oldest
first, and its size and capacity go in and come out. Encoding has none at all: responses refer to
the static table and never enter the peer's dynamic one, so a block depends on its fields alone
and can be remembered. Strings are sent as they are: the Huffman code costs more than it saves.

Decoding also notes what only the bytes can show: pseudo-fields, which fields the server has to
examine, and the first thing that makes a request malformed. The block is decoded to its end all
the same, because the table must stay in step with the peer's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from katana_asgi.codec.huffman import decode_huffman

if TYPE_CHECKING:
    from collections.abc import Iterable

    from katana_asgi.codec.framing import Field

__all__ = [
    "BAD_NAME",
    "BAD_PSEUDO",
    "BAD_VALUE",
    "NAME_CODES",
    "STATIC_TABLE",
    "TOO_LARGE",
    "Decoded",
    "decode_fields",
    "encode_fields",
    "encode_status",
]

TOO_LARGE: Final = 1
"""The field list is longer than allowed; what is above the limit was dropped."""
BAD_NAME: Final = 2
"""A name that is empty, no token, or not in lower case (RFC 9113 §8.2.1)."""
BAD_VALUE: Final = 3
"""A value with a control byte, or with white space around it (RFC 9113 §8.2.1)."""
BAD_PSEUDO: Final = 4
"""A pseudo-field that is unknown, repeated, not visible ASCII or behind a field (§8.3)."""

Pseudo: TypeAlias = tuple[bytes | None, bytes | None, bytes | None, bytes | None, bytes | None]

Decoded: TypeAlias = "tuple[list[Field], Pseudo, int, list[int], int, int, int]"
"""All fields in order, the pseudo-fields at the front included; the values of ``:method``,
``:scheme``, ``:authority``, ``:path`` and ``:protocol``; how many pseudo-fields there are; where
the fields to be examined stand; the first fault or 0; size and capacity of the dynamic table."""

_PSEUDO: Final = {b":method": 0, b":scheme": 1, b":authority": 2, b":path": 3, b":protocol": 4}

ENTRY_OVERHEAD: Final = 32
"""What an entry counts besides its bytes (RFC 7541 §4.1), in a field list too (RFC 9113 §6.5.2)."""

LARGEST_INTEGER: Final = (1 << 28) - 1
"""More than any length or index can be; against integers that do not end (RFC 7541 §5.1)."""

_NAMES_AND_VALUES: Final = """
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate
"""


def _static_table() -> tuple[Field, ...]:
    """RFC 7541 appendix A; index 1 is the first."""
    lines = [line.partition(" ") for line in _NAMES_AND_VALUES.strip().split("\n")]
    return tuple((name.encode(), value.encode()) for name, _, value in lines)


STATIC_TABLE: Final = _static_table()

_STATIC_SIZE: Final = len(STATIC_TABLE)

_NAME_BYTES: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"

_VALUE_BYTES: Final = bytes({*range(0x20, 0x100), 0x09} - {0x7F})
"""VCHAR, obs-text, SP and HTAB (RFC 9110 §5.5), as in HTTP/1.1."""

_VISIBLE: Final = bytes(range(0x21, 0x7F))

_WHITE_SPACE: Final = b" \t"


class _Cursor:
    """A place in a header block."""

    __slots__ = ("at", "block")

    def __init__(self, block: bytes) -> None:
        self.block = block
        self.at = 0

    def byte(self) -> int:
        """The next byte."""
        if self.at >= len(self.block):
            raise ValueError("truncated header block")
        self.at += 1
        return self.block[self.at - 1]

    def integer(self, first: int, bits: int) -> int:
        """RFC 7541 §5.1: an integer that begins in the low ``bits`` of ``first``."""
        mask = (1 << bits) - 1
        value = first & mask
        if value < mask:
            return value
        for shift in range(0, 35, 7):
            more = self.byte()
            value += (more & 127) << shift
            if value > LARGEST_INTEGER:
                break
            if more < 128:
                return value
        raise ValueError("integer too large in a header block")

    def string(self) -> bytes:
        """RFC 7541 §5.2: a string literal."""
        first = self.byte()
        end = self.integer(first, 7) + self.at
        if end > len(self.block):
            raise ValueError("truncated string in a header block")
        data = self.block[self.at : end]
        self.at = end
        return decode_huffman(data) if first & 128 else data


class _Table:
    """The static and the dynamic table in one numbering (RFC 7541 §2.3)."""

    __slots__ = ("capacity", "entries", "size")

    def __init__(self, entries: list[Field], size: int, capacity: int) -> None:
        self.entries = entries
        self.size = size
        self.capacity = capacity

    def find(self, index: int) -> Field:
        """The entry with an index, the newest one first behind the static ones."""
        if 1 <= index <= _STATIC_SIZE:
            return STATIC_TABLE[index - 1]
        if _STATIC_SIZE < index <= _STATIC_SIZE + len(self.entries):
            return self.entries[_STATIC_SIZE - index]
        raise ValueError("index outside the header table")

    def add(self, field: Field) -> None:
        """RFC 7541 §4.4: make room for an entry; one above the capacity empties the table."""
        size = len(field[0]) + len(field[1]) + ENTRY_OVERHEAD
        self.shrink(self.capacity - size)
        if size <= self.capacity:
            self.entries.append(field)
            self.size += size

    def shrink(self, size: int) -> None:
        """RFC 7541 §4.3: evict the oldest entries until what is left fits into ``size``."""
        entries = self.entries
        evicted = 0
        while self.size > size and evicted < len(entries):
            name, value = entries[evicted]
            self.size -= len(name) + len(value) + ENTRY_OVERHEAD
            evicted += 1
        del entries[:evicted]

    def resize(self, capacity: int) -> None:
        """Change the capacity."""
        self.capacity = capacity
        self.shrink(capacity)


def decode_fields(
    block: bytes,
    static: tuple[Field, ...],
    examined: frozenset[bytes],
    entries: list[Field],
    size: int,
    capacity: int,
    ceiling: int,
    max_size: int,
    max_count: int,
) -> Decoded:
    """Decode a header block, updating ``entries``, the dynamic table.

    ``static`` is ``STATIC_TABLE``; ``examined`` are the names of fields that the server itself
    reads; ``ceiling`` is the largest capacity that was announced; ``max_size`` and ``max_count``
    limit the field list. Raises ``ValueError`` where RFC 7541 asks for a decoding error; the
    table is lost then.
    """
    cursor = _Cursor(block)
    table = _Table(entries, size, capacity)
    found = _Fields(examined, max_size, max_count)
    while cursor.at < len(block):
        first = cursor.byte()
        if first & 0x80:  # §6.1
            found.add(table.find(cursor.integer(first, 7)))
        elif first & 0xE0 == 0x20:  # §6.3
            capacity = cursor.integer(first, 5)
            if capacity > ceiling or found.begun:
                raise ValueError("dynamic table size update where none is allowed")
            table.resize(capacity)
        else:  # §6.2
            indexed = bool(first & 0x40)
            index = cursor.integer(first, 6 if indexed else 4)
            name = table.find(index)[0] if index else cursor.string()
            field = (name, cursor.string())
            if indexed:
                table.add(field)
            found.add(field)
    values = found.values
    pseudo = (values[0], values[1], values[2], values[3], values[4])
    return (
        found.fields,
        pseudo,
        found.leading,
        found.special,
        found.fault,
        table.size,
        table.capacity,
    )


class _Fields:
    """The fields of one block and what is noted about them."""

    __slots__ = (
        "begun",
        "examined",
        "fault",
        "fields",
        "leading",
        "left",
        "max_count",
        "special",
        "values",
    )

    def __init__(self, examined: frozenset[bytes], max_size: int, max_count: int) -> None:
        self.examined = examined
        self.left = max_size
        self.max_count = max_count
        self.fields: list[Field] = []
        self.values: list[bytes | None] = [None] * len(_PSEUDO)
        self.leading = 0
        self.special: list[int] = []
        self.fault = 0
        self.begun = False

    def add(self, field: Field) -> None:
        """Note a field; behind a fault nothing is kept."""
        self.begun = True
        if self.fault:
            return
        self.left -= len(field[0]) + len(field[1]) + ENTRY_OVERHEAD
        if self.left < 0 or len(self.fields) >= self.max_count:
            self.fault = TOO_LARGE
            return
        self.fault = self._fault_of(*field)
        if field[0] in self.examined:
            self.special.append(len(self.fields))
        self.fields.append(field)

    def _fault_of(self, name: bytes, value: bytes) -> int:
        if name[:1] == b":":
            number = _PSEUDO.get(name)
            if number is None or self.values[number] is not None or value.translate(None, _VISIBLE):
                return BAD_PSEUDO
            if self.leading != len(self.fields):
                return BAD_PSEUDO
            self.values[number] = value
            self.leading += 1
            return 0
        if not name or name.translate(None, _NAME_BYTES):
            return BAD_NAME
        if value.translate(None, _VALUE_BYTES) or value.strip(_WHITE_SPACE) != value:
            return BAD_VALUE
        return 0


# -- encoding ------------------------------------------------------------------------------------

_NEVER_INDEXED: Final = frozenset({b"authorization", b"proxy-authorization", b"set-cookie"})
"""Secrets: no intermediary may put them into a table of its own either (RFC 7541 §7.1.3)."""


def _integer(value: int, bits: int, pattern: int) -> bytes:
    mask = (1 << bits) - 1
    if value < mask:
        return bytes((pattern | value,))
    coded = bytearray((pattern | mask,))
    value -= mask
    while value >= 128:
        coded.append(value & 127 | 128)
        value >>= 7
    coded.append(value)
    return bytes(coded)


def _name_codes() -> dict[bytes, bytes]:
    codes: dict[bytes, bytes] = {}
    for index, (name, _) in enumerate(STATIC_TABLE, 1):
        codes.setdefault(name, _integer(index, 4, 0x10 if name in _NEVER_INDEXED else 0))
    return codes


NAME_CODES: Final = _name_codes()
"""How a literal field begins whose name is in the static table (RFC 7541 §6.2.2, §6.2.3)."""

_STATUS_CODES: Final = {
    int(value): _integer(index, 7, 0x80)
    for index, (name, value) in enumerate(STATIC_TABLE, 1)
    if name == b":status"
}


def encode_status(status: int) -> bytes:
    """The field with which every response begins."""
    return _STATUS_CODES.get(status) or b"%b\x03%d" % (NAME_CODES[b":status"], status)


def encode_fields(fields: Iterable[Field], codes: dict[bytes, bytes]) -> bytes:
    """Encode fields without state; ``codes`` is ``NAME_CODES``."""
    parts = []
    for name, value in fields:
        code = codes.get(name)
        if code is None:
            parts.append(b"\0" + _integer(len(name), 7, 0))
            code = name
        parts.append(code)
        parts.append(_integer(len(value), 7, 0))
        parts.append(value)
    return b"".join(parts)
