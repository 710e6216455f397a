"""Pure functions on bytes: in C where that was built, in Python always.

Every function of the C module ``_native`` has a twin in Python, which defines what is right. The
C functions take what is common and right and decline everything else; then the twin accepts or
raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from katana_asgi.codec import fields as _fields
from katana_asgi.codec import heads as _heads
from katana_asgi.codec.fields import DATE, SERVER
from katana_asgi.codec.framing import (
    CHUNKED,
    EXPECT_CONTINUE,
    FORWARDED_FIELDS,
    KEEP_ALIVE,
    TRAILERS,
    UPGRADE,
    Field,
)
from katana_asgi.codec.heads import FieldParser, check_sizes

__all__ = [
    "CHUNKED",
    "DATE",
    "EXPECT_CONTINUE",
    "FORWARDED_FIELDS",
    "KEEP_ALIVE",
    "NATIVE",
    "SERVER",
    "TRAILERS",
    "UPGRADE",
    "Field",
    "FieldParser",
    "RequestHead",
    "ResponseFields",
    "check_fields",
    "check_sizes",
    "decode_fields",
    "encode_fields",
    "field_value",
    "mask",
    "nearest_hop",
    "parse_node",
    "printable",
    "render_head",
    "scan_head",
    "scan_head_with",
    "try_check_fields",
    "try_scan_head",
    "try_scan_next",
]

if TYPE_CHECKING:
    from collections.abc import Iterable

try:
    import katana_asgi.codec._native  # noqa: F401 - whether it was built
except ImportError:
    NATIVE = False
else:
    NATIVE = True
"""Whether the functions in C do the work."""

if TYPE_CHECKING or not NATIVE:
    from katana_asgi.codec.fields import ResponseFields, check_fields, render_head
    from katana_asgi.codec.heads import RequestHead, scan_head
    from katana_asgi.codec.heads import scan_next as try_scan_next
    from katana_asgi.codec.hpack import decode_fields, encode_fields
    from katana_asgi.codec.masking import mask
    from katana_asgi.codec.nodes import nearest_hop, parse_node
    from katana_asgi.codec.values import field_value, printable

    def try_scan_head(
        head: bytes, max_line: int, max_size: int, max_count: int
    ) -> tuple[RequestHead, int] | None:
        """``scan_head``, or ``None`` where that has to be asked."""
        return scan_head(head, max_line, max_size, max_count)

    def try_check_fields(headers: Iterable[Any]) -> ResponseFields | None:
        """``check_fields``, or ``None`` where that has to be asked."""
        return check_fields(headers)

else:
    from katana_asgi.codec._native import (
        RequestHead,
        ResponseFields,
        decode_fields,
        encode_fields,
        field_value,
        mask,
        nearest_hop,
        parse_node,
        printable,
        render_head,
    )
    from katana_asgi.codec._native import check_fields as try_check_fields
    from katana_asgi.codec._native import scan_head as try_scan_head
    from katana_asgi.codec._native import scan_next as try_scan_next

    def scan_head(
        head: bytes, max_line: int, max_size: int, max_count: int
    ) -> tuple[RequestHead, int]:
        """Parse and judge a whole head, as ``heads.scan_head`` does."""
        found = try_scan_head(head, max_line, max_size, max_count)
        if found is None:
            return scan_head_with(_heads.parse_fields, head, max_line, max_size, max_count)
        return found

    def check_fields(headers):
        """Check an application's headers, as ``fields.check_fields`` does."""
        found = try_check_fields(headers)
        return _fields.check_fields(headers, ResponseFields) if found is None else found


def scan_head_with(
    parse_fields: FieldParser, head: bytes, max_line: int, max_size: int, max_count: int
) -> tuple[RequestHead, int]:
    """``scan_head`` with the field lines split by another library."""
    return _heads.scan_head_with(parse_fields, head, max_line, max_size, max_count, RequestHead)
