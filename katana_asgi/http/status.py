"""Status codes and their reason phrases (RFC 9110 §15, IANA registry)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

__all__ = ["FIRST_FINAL", "LAST", "NO_CONTENT", "reason_phrase"]

FIRST_FINAL: Final = 200
LAST: Final = 999
"""RFC 9110 §15 calls codes above 599 invalid, but they parse and some applications use them."""

NO_CONTENT: Final = frozenset({204, 304})
"""Final responses that never have content (RFC 9110 §6.4.1)."""

_PHRASES: Final = {
    **{status.value: status.phrase.encode("ascii") for status in HTTPStatus},
    # as RFC 9110 has them; Python follows it from 3.13 on
    413: b"Content Too Large",
    414: b"URI Too Long",
    416: b"Range Not Satisfiable",
    422: b"Unprocessable Content",
}


def reason_phrase(status: int) -> bytes:
    """The registered phrase, or an empty one for an unregistered status."""
    return _PHRASES.get(status, b"")
