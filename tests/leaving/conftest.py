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


ON_BOTH_LOOPS = (
    "test_a_stream_that_does_not_listen_is_cancelled",
    "test_a_stream_whose_upload_is_not_read_ends",
    "test_a_half_closed_client_gets_an_answer_that_takes_its_time",
    "test_no_probe_comes_between_the_size_and_the_content_of_a_chunk",
    "test_a_handler_that_asks_again_after_the_disconnect_starves_no_other",
)
"""Where the transports have a part in it."""


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict:
    """The loops a test runs on."""
    names = ("asyncio", "auto") if item.name.startswith(ON_BOTH_LOOPS) else ("auto",)
    return {name: loop_factory(name) for name in names}
