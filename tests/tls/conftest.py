"""Certificates for the tests of TLS, and both event loops to run them on."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme
from tls_client import Files, Site

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


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Signs the certificates of servers and clients."""
    return trustme.CA()


@pytest.fixture
def site(authority: trustme.CA, tmp_path: Path) -> Site:
    """A server's certificate in files, and a client that trusts its authority."""
    files = Files.of(authority.issue_cert("localhost", "127.0.0.1"), tmp_path, "site")
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    return Site(authority, tmp_path, files, trust)
