"""Servers in threads of one process, each with a loop of its own: nothing of one meets another.

Where there is a GIL, threads take turns as often as it lets them.
"""

from __future__ import annotations

import http.client
import ssl
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from katana_asgi import Server, StaticRoute
from tests.amounts import repetitions
from tests.applications import content_of, respond
from tests.support import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVERS = 3
ROUNDS = repetitions(500, otherwise=40)


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    await respond(send, await content_of(receive))


@contextmanager
def served(number: int, settings: dict[str, Any]) -> Iterator[Server]:
    """A server in a thread; its responses have its number."""
    server = Server(
        app,
        port=0,
        access_log=False,
        header=[("x-server", str(number))],
        static_route=[StaticRoute("/static", f"of {number}")],
        **settings,
    )
    started = threading.Event()
    failed: list[Exception] = []

    def run() -> None:
        try:
            server.run()
        except Exception as error:  # noqa: BLE001 - asserted on below
            failed.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    while not (server.started or started.wait(0.01)):
        pass
    assert failed == []
    try:
        yield server
    finally:
        server.stop()
        thread.join(TIMEOUT)
    assert not thread.is_alive()


def ask(connection: http.client.HTTPConnection, number: int) -> None:
    """Requests of all kinds over one connection to one server."""
    content = bytes([number]) * 60_000
    for _ in range(ROUNDS):
        for method, path, sent, expected in (
            ("GET", "/static", None, f"of {number}".encode()),
            ("POST", "/echo", content, content),
            ("GET", "/", None, b""),
        ):
            connection.request(method, path, sent)
            response = connection.getresponse()
            body = response.read()
            assert (response.status, response.getheader("x-server")) == (200, str(number))
            assert body == expected


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("frequent_switches")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_servers_in_threads_answer_their_own_clients_only(tmp_path: Path, tls: bool, loop: str):
    pytest.importorskip(loop)
    settings: dict[str, Any] = {"loop": loop}
    if tls:
        authority = trustme.CA()
        chain = tmp_path / "chain.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(chain))
        settings |= {"ssl_certfile": chain, "ssl_keyfile": chain}
        trust = ssl.create_default_context()
        authority.configure_trust(trust)
    with ExitStack() as stack:
        servers = [stack.enter_context(served(number, settings)) for number in range(SERVERS)]
        threads = stack.enter_context(ThreadPoolExecutor(2 * SERVERS))
        asked = []
        for number, server in [*enumerate(servers)] * 2:
            place = server.addresses[0][:2]
            client = (
                http.client.HTTPSConnection(*place, timeout=TIMEOUT, context=trust)
                if tls
                else http.client.HTTPConnection(*place, timeout=TIMEOUT)
            )
            stack.callback(client.close)
            asked.append(threads.submit(ask, client, number))
        for each in asked:
            each.result()
