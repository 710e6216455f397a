"""The exceptions of katana-asgi, by who broke what and how far it reaches.

::

    KatanaError
    ├── ConfigurationError          a setting is wrong: say what is allowed, exit 2
    ├── StartupError                the application or a socket cannot be had: exit status inside
    ├── ProtocolError
    │   ├── RemoteProtocolError     the peer broke the protocol: answer ``status``, then close
    │   └── LocalProtocolError      the application broke it: 500 or reset, logged
    └── ClientDisconnected          (also an OSError) ``send()`` after the peer has gone
"""

from __future__ import annotations

__all__ = [
    "ClientDisconnected",
    "ConfigurationError",
    "KatanaError",
    "LocalProtocolError",
    "ProtocolError",
    "RemoteProtocolError",
    "StartupError",
]


class KatanaError(Exception):
    """Base of every exception that katana-asgi raises on purpose."""


class ConfigurationError(KatanaError):
    """A setting has a value that cannot be used; the message names what is allowed."""


class StartupError(KatanaError):
    """The server cannot start.

    ``status`` is the exit status of the process: 1 when the application cannot be
    imported or a socket cannot be bound, 3 when lifespan startup failed.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class ProtocolError(KatanaError):
    """One side of a connection broke the protocol."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that RFC 9110 or RFC 9112 forbids, or more than a limit allows.

    ``status`` is the response status it deserves and ``fields`` are further fields of that
    response; the connection closes after it. ``reason`` never holds a client's text.
    """

    def __init__(
        self, reason: str, status: int = 400, fields: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.fields = fields
        self.without_content = False  # the request was HEAD (RFC 9110 §9.3.2)


class LocalProtocolError(ProtocolError):
    """The application broke the ASGI or HTTP rules; raised out of its own ``send()``."""


class ClientDisconnected(KatanaError, OSError):
    """The peer has gone: raised by ``send()``, an ``OSError`` as ASGI 2.4 asks."""
