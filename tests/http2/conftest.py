"""Both event loops, and HTTP/2 with and without TLS."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

if TYPE_CHECKING:
    from pathlib import Path

LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop}
try:
    import uvloop
except ImportError:
    pass
else:
    LOOP_FACTORIES["uvloop"] = uvloop.new_event_loop


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict:
    """The loops a test runs on."""
    return LOOP_FACTORIES


class Certified:
    """A server's certificate in a file, and a client that trusts it."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost", "127.0.0.1")
        file = str(folder / "site.pem")
        certificate.private_key_and_cert_chain_pem.write_to_path(file)
        self.authority = str(folder / "authority.pem")
        authority.cert_pem.write_to_path(self.authority)
        self.settings: dict[str, Any] = {"ssl_certfile": file}
        self._ca = authority

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        return context


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    """One certificate for all tests."""
    return Certified(tmp_path_factory.mktemp("certificate"))
