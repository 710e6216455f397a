"""A certificate for the servers of this folder, and what their clients trust."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import trustme
from uploads import Trust


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
