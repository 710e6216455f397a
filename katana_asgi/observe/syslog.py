"""The access log to a syslog, over a Unix socket or UDP; never waiting for it."""

from __future__ import annotations

import logging
import socket
from logging.handlers import SysLogHandler

__all__ = ["QuietSysLogHandler"]


class QuietSysLogHandler(SysLogHandler):
    """One datagram a line; what the syslog does not take at once is lost.

    ``address`` is a socket's path, or host and port; the host is looked up once. Raises
    ``OSError`` where the host is unknown or the socket is not there.
    """

    def __init__(self, address: tuple[str, int] | str) -> None:
        if isinstance(address, tuple):
            found = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)
            address = found[0][4][:2]  # type: ignore[assignment]  # of the internet, as asked
        super().__init__(address, SysLogHandler.LOG_DAEMON)
        self.ident = "katana-asgi: "

    def createSocket(self) -> None:  # noqa: N802 - the library's name
        """Connect, and have sends fail rather than wait."""
        super().createSocket()
        connected = getattr(self, "socket", None)
        if connected is not None:
            connected.setblocking(False)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """A line was lost; saying so for each would be another log."""
