"""A certificate for the servers of this folder, and what their clients trust."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import trustme
from uploads import Trust

from katana_asgi.worker.loop import loop_factory


class Site(NamedTuple):
    """A certificate with its key in one file, and the context of a client that trusts it."""

    file: str
    trust: Trust

    @property
    def flags(self) -> tuple[str, str]:
        """For the command line."""
        return ("--ssl-certfile", self.file)


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Site:
    """A site of TLS."""
    place = tmp_path_factory.mktemp("site")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(place / "site.pem"))
    return Site(str(place / "site.pem"), Trust.of(authority, str(place / "ca.pem")))


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict:
    """The loops a test runs on: both, where what is tested is the connection."""
    if item.path.name == "test_streams_end.py":
        return {name: loop_factory(name) for name in ("asyncio", "auto")}
    return {"auto": loop_factory("auto")}
