"""A connection that answers every request with the same place over https (RFC 9110 §15.4.9).

A request that HTTP/1.1 does not allow is refused as on any other connection, so a place is made
of one valid Host and one valid target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http1.connection import Http1Connection
from katana_asgi.http1.ending import BUSY

if TYPE_CHECKING:
    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.http.message import RequestHead
    from katana_asgi.http1.settings import Http1Settings

__all__ = ["RedirectConnection", "place_over_https"]

PERMANENT_REDIRECT: Final = 308
"""Unlike 301 it never turns a POST into a GET."""

HTTPS_PORT: Final = 443


class RedirectConnection(Http1Connection):
    """Answers, and closes: the next request will come over TLS. ``port`` is that of https.

    ``settings`` are without a memo: a head that is known is answered before anybody is asked.
    """

    __slots__ = ("_hsts", "_port")

    def __init__(
        self, context: WorkerContext, settings: Http1Settings, port: int, hsts: bytes = b""
    ) -> None:
        super().__init__(context, settings)
        self._port = port
        self._hsts = hsts  # a line that must not go out here (RFC 6797 §7.2)

    def request_received(self, head: RequestHead) -> None:
        """Say where to go instead."""
        self._context.requests += 1
        self._head = head
        self._state = BUSY
        place = place_over_https(head, self._port)
        if place is None:
            self._refuse(RemoteProtocolError("no host to redirect to", 400))
        else:
            fields = ((b"location", place),)
            self._refuse(RemoteProtocolError("use https", PERMANENT_REDIRECT, fields))

    def _own_fields(self) -> bytes:
        fields = super()._own_fields()
        return fields.replace(self._hsts, b"") if self._hsts else fields


def place_over_https(head: RequestHead, port: int) -> bytes | None:
    """The target of a request as a URI of https; ``None`` where nobody says of which host."""
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
