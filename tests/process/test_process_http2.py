"""HTTP/2 through rolling reloads: GOAWAY says what was served, and clients lose nothing."""

from __future__ import annotations

import asyncio
import signal
from urllib.parse import urlsplit

from katana_asgi.http2.frames import LARGEST_ID
from tests.http2.client import Client
from tests.support import ServerProcess, within

ROLLING = """
import asyncio

async def app(scope, receive, send):
    await asyncio.sleep(0.002)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})
"""


class Fleet:
    """A client that keeps a connection full, and opens another when it is told to leave."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self.answered = 0
        self.connections = 0
        self.enough = False

    async def run(self) -> None:
        while not self.enough:
            async with await Client.open(*self._address) as client:
                self.connections += 1
                await asyncio.gather(*[self._ask(client, number) for number in range(8)])

    async def _ask(self, client: Client, caller: int) -> None:
        count = 0
        while not (self.enough or client.closed or client.goaways):
            count += 1
            path = f"/{caller}/{count}"
            stream = await client.get(path)
            if stream.content == path.encode():
                self.answered += 1
                continue
            # RFC 9113 §6.8: only what is above the last number may be sent again.
            last = min((last for last, _ in client.goaways), default=LARGEST_ID)
            assert stream.number > last, "a request was lost"


async def stay_through_reloads(server: ServerProcess) -> None:
    url = urlsplit(await asyncio.to_thread(server.wait_listening))
    fleet = Fleet(url.hostname or "", url.port or 0)
    clients = [asyncio.create_task(fleet.run()) for _ in range(3)]
    for number in (1, 2):
        before = fleet.answered
        server.signal(signal.SIGHUP)
        while server.stderr.count("Reloaded: all") < number or fleet.answered < before + 100:
            await asyncio.sleep(0.02)
            assert not any(client.done() for client in clients)
    fleet.enough = True
    await within(asyncio.gather(*clients))
    assert fleet.connections > 3


def test_rolling_reloads_lose_no_request_over_http_2(tmp_path):
    (tmp_path / "main.py").write_text(ROLLING)
    arguments = ("main:app", "--workers", "2", "--lifespan", "off", "--no-access-log")
    with ServerProcess(*arguments, cwd=tmp_path) as server:
        asyncio.run(stay_through_reloads(server))
        assert server.stop() == 0
    assert "Traceback" not in server.stderr
