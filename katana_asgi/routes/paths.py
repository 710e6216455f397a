"""The paths of routes: how they are written, and how request targets spell them.

A path may be written as text (``/café``) or as it is sent (``/caf%C3%A9``). A request may
encode more than it needs to; an encoded slash is another path, never a separator (RFC 3986 §2.2).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from katana_asgi.errors import ConfigurationError

__all__ = ["ENCODED_SLASH", "Pattern", "as_sent", "decoded", "parse_path"]

ENCODED_SLASH: Final = b"%2f"

_SENT_AS_WRITTEN: Final = "/%:@!$&'()*+,;=-._~"
_find_unsendable: Final = re.compile("[\x00-\x1f\x7f?#\ud800-\udfff]").search
_find_placeholder: Final = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}").search
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


class Pattern(NamedTuple):
    """A path around its placeholder, as sent; ``marker`` is the placeholder with its braces."""

    prefix: bytes
    marker: str
    suffix: bytes


def as_sent(path: str) -> bytes:
    """The path as a request target spells it: what is not allowed there percent-encoded."""
    return quote(path, safe=_SENT_AS_WRITTEN).encode("ascii")


def decoded(path: str) -> str | None:
    """The percent-decoded path, or ``None`` where different targets would decode to it."""
    plain = unquote(path)
    if _REPLACEMENT in plain or ENCODED_SLASH in as_sent(path).lower():
        return None
    return plain


def parse_path(path: str) -> Pattern | None:
    """Check a route's path: ``None`` for an exact one, its parts for one with a placeholder.

    Raises ``ConfigurationError``.
    """
    if not isinstance(path, str) or not path.startswith("/"):
        raise ConfigurationError(f"static route {path!r}: a path starts with a slash")
    if _find_unsendable(path):
        raise ConfigurationError(
            f"static route {path!r}: a path holds no '?', '#', control character or surrogate"
        )
    found = _find_placeholder(path)
    prefix, suffix = (path, "") if found is None else (path[: found.start()], path[found.end() :])
    if "{" in prefix + suffix or "}" in prefix + suffix:
        raise ConfigurationError(
            f"static route {path!r}: braces hold a placeholder, such as {{name}}, once"
        )
    if found is None:
        return None
    return Pattern(as_sent(prefix), found[0], as_sent(suffix))
