"""The head of a request and the fields of a response, as every protocol version has them.

Heads are immutable by convention; what an application may change (its ``headers`` list) is
copied into the scope.
"""

from __future__ import annotations

from typing import TypeAlias

from katana_asgi.codec import RequestHead, ResponseFields

__all__ = ["Field", "RequestHead", "ResponseFields"]

Field: TypeAlias = tuple[bytes, bytes]
"""One field line (RFC 9110 §5): a lower-cased name and its value, both bytes."""
