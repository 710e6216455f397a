"""IMF-fixdate, the one date format a server sends (RFC 9110 §5.6.7)."""

from __future__ import annotations

from email.utils import formatdate

__all__ = ["http_date"]


def http_date(timestamp: float) -> bytes:
    """Format seconds since the epoch, such as ``b"Sun, 06 Nov 1994 08:49:37 GMT"``."""
    return formatdate(timestamp, usegmt=True).encode("ascii")
