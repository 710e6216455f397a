"""What RFC 9110 says about fields; their grammar is the codec's."""

from __future__ import annotations

from typing import Final

from katana_asgi.codec.grammar import TOKEN, is_token, is_valid_host, list_members

__all__ = [
    "FORBIDDEN_IN_TRAILERS",
    "TOKEN",
    "is_token",
    "is_valid_host",
    "list_members",
]

FORBIDDEN_IN_TRAILERS: Final = frozenset(
    {
        # framing and routing (RFC 9110 §6.5.1)
        b"transfer-encoding",
        b"content-length",
        b"host",
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"upgrade",
        # request modifiers, authentication, content description
        b"cache-control",
        b"expect",
        b"max-forwards",
        b"pragma",
        b"range",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"authorization",
        b"proxy-authorization",
        b"cookie",
        b"set-cookie",
        b"content-encoding",
        b"content-type",
        b"content-range",
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
    }
)
"""Fields that must not arrive in a trailer section: they would change what was decided before."""
