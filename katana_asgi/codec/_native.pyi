"""The C module, where it was built; each function's twin says what it does."""

from collections.abc import Iterable
from typing import Any

from katana_asgi.codec.fields import ResponseFields as ResponseFields
from katana_asgi.codec.framing import Field
from katana_asgi.codec.heads import RequestHead as RequestHead
from katana_asgi.codec.hpack import Decoded
from katana_asgi.codec.nodes import Hop

def scan_head(
    head: bytes, max_line: int, max_size: int, max_count: int
) -> tuple[RequestHead, int] | None: ...
def field_value(fields: list[Field], name: bytes) -> bytes | None: ...
def printable(data: bytes) -> str | None: ...
def scan_next(
    data: bytes, start: int, max_line: int, max_size: int, max_count: int
) -> tuple[RequestHead, int, int] | None: ...
def check_fields(headers: Iterable[Any]) -> ResponseFields | None: ...
def render_head(
    first: bytes, fields: ResponseFields, length: int | None, last: bytes, content: bytes
) -> bytes: ...
def mask(data: bytes | bytearray | memoryview, key: bytes) -> bytes: ...
def parse_node(node: bytes) -> tuple[str, int] | None: ...
def nearest_hop(
    fields: list[Field], positions: tuple[int, ...], believed: frozenset[bytes]
) -> Hop | None: ...
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
) -> Decoded: ...
def decode_huffman(data: bytes) -> bytes: ...
def encode_fields(fields: Iterable[Field], codes: dict[bytes, bytes]) -> bytes: ...
