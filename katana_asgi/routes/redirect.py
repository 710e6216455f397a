"""The answer of a plain listener that only sends clients on to https (RFC 9110 §15.4.9).

A request that HTTP does not allow is refused as on any other connection, so a location is made of
one valid Host and one valid target.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from katana_asgi.http.refusal import Blame, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.http.message import RequestHead

__all__ = ["location_over_https", "redirect_to_https"]

PERMANENT_REDIRECT: Final = 308
"""Unlike 301 it never turns a POST into a GET."""

HTTPS_PORT: Final = 443


def redirect_to_https(port: int) -> Callable[[RequestHead], Refusal]:
    """A function from a request to the response that names the same URI over https."""
    return partial(_redirect, port)


def _redirect(port: int, head: RequestHead) -> Refusal:
    location = location_over_https(head, port)
    if location is None:
        return Refusal(400, "no host to redirect to")
    return Refusal(PERMANENT_REDIRECT, "use https", ((b"location", location),), Blame.SERVER)


def location_over_https(head: RequestHead, port: int) -> bytes | None:
    """The target of a request as an https URI; ``None`` where no field says of which host."""
    hosts = [value for name, value in head.fields if name == b"host"]
    if len(hosts) != 1 or not hosts[0]:
        return None
    host = hosts[0]
    if not host.endswith(b"]"):
        name, colon, _ = host.rpartition(b":")
        host = name if colon else host
    if port != HTTPS_PORT:
        host = b"%b:%d" % (host, port)
    path = b"/" if head.path == "*" else head.raw_path
    query = b"?" + head.query if head.query else b""
    return b"https://%b%b%b" % (host, path, query)
