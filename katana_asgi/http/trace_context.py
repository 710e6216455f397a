"""The ``traceparent`` field (W3C Trace Context, §3.2), pure: which trace a request belongs to."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["trace_id"]

_match_parent: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
).fullmatch


def trace_id(value: bytes) -> str | None:
    """The trace id of a ``traceparent``, 32 hexadecimal digits; ``None`` where it is not valid.

    A later version may say more behind a dash (§3.2.4); version 00 may not, and ff is none.
    """
    match = _match_parent(value)
    if match is None or (match[2] is not None and value.startswith(b"00")):
        return None
    return match[1].decode("ascii")
