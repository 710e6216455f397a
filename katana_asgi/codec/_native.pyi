"""The C module, where it was built; each function's twin says what it does."""

from collections.abc import Iterable
from typing import Any

from katana_asgi.codec.fields import ResponseFields as ResponseFields
from katana_asgi.codec.heads import RequestHead as RequestHead

def scan_head(
    head: bytes, max_line: int, max_size: int, max_count: int
) -> tuple[RequestHead, int] | None: ...
def check_fields(headers: Iterable[Any]) -> ResponseFields | None: ...
def render_head(
    first: bytes, fields: ResponseFields, length: int | None, last: bytes, content: bytes
) -> bytes: ...
def mask(data: bytes | bytearray | memoryview, key: bytes) -> bytes: ...
def parse_node(node: bytes) -> tuple[str, int] | None: ...
