"""Reads the status of a running server from its admin listener, for the commands."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, Final

from katana_asgi.config.metrics_settings import admin_place, check_admin_bind
from katana_asgi.errors import ConfigurationError, KatanaError

__all__ = ["AdminClient", "Unreachable"]

TIMEOUT: Final = 5.0
"""Seconds for one answer."""


class Unreachable(KatanaError):
    """The admin listener does not answer, or not with a status."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._path)


class AdminClient:
    """``address`` is what ``--admin-bind`` was given. Raises ``ConfigurationError``."""

    def __init__(self, address: str, token: str = "") -> None:
        if not address:
            raise ConfigurationError("no admin listener given; use --admin HOST:PORT or unix:PATH")
        check_admin_bind(address)
        self.address = address
        self._place = admin_place(address)
        self._token = token

    def status(self) -> dict[str, Any]:
        """The status as ``/status.json`` has it. Raises ``Unreachable``."""
        place = self._place
        connection: http.client.HTTPConnection
        if isinstance(place, str):
            connection = _UnixConnection(place)
        else:
            connection = http.client.HTTPConnection(*place, timeout=TIMEOUT)
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            connection.request("GET", "/status.json", headers=headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self.address} does not answer: {error}") from error
        finally:
            connection.close()
        if response.status == 401:
            raise Unreachable(f"{self.address} asks for its token; use --token")
        try:
            status = json.loads(content)
        except ValueError:
            status = None
        if response.status != 200 or not isinstance(status, dict):
            raise Unreachable(f"{self.address} answers {response.status} and no status")
        return status
