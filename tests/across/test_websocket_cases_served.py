"""Every case of ``websocket_cases`` once more, over a socket through the real server."""

from __future__ import annotations

import asyncio

from katana_asgi.testing import Running, WebSocketPeer, running
from tests.support import within
from tests.websocket.websocket_cases import CASES, Case
from tests.websocket.websocket_frames import CLOSE, closing, cuts, masked, plain
from tests.websocket_peer import echo

AT_ONCE = 16
SHORT = 200
"""Longer cases are not sent byte by byte: each byte is a packet."""

GOODBYE = masked(CLOSE, closing(1000))
CLOSED = plain(CLOSE, closing(1000))


async def played(server: Running, case: Case, reads: list[bytes]) -> str | None:
    """Play a case and close; returns its name where the answer is another."""
    async with await server.connect() as connection:
        peer = await WebSocketPeer.over(connection)
        sending = asyncio.ensure_future(connection.send(*reads))
        answer = await within(connection.reader.readexactly(len(case.answer)))
        await asyncio.wait([sending])
        sending.exception()  # a client that is closed at may not get rid of the rest
        if not case.ended:
            await connection.send(GOODBYE)
            answer += await within(connection.reader.readexactly(len(CLOSED)))
        expected = case.answer if case.ended else case.answer + CLOSED
        return None if answer == expected and await peer.ended() else case.name


async def play(server: Running, cases: list[tuple[Case, list[bytes]]]) -> list[str]:
    """Play cases, some at a time; returns the names of those that failed."""
    wrong = []
    for start in range(0, len(cases), AT_ONCE):
        batch = [played(server, *case) for case in cases[start : start + AT_ONCE]]
        wrong += [name for name in await asyncio.gather(*batch) if name is not None]
    return wrong


async def test_cases_whole(http):
    async with running(echo, http=http, lifespan="off") as server:
        assert await play(server, [(case, [b"".join(case.sent)]) for case in CASES]) == []


async def test_cases_frame_by_frame(http):
    async with running(echo, http=http, lifespan="off") as server:
        short = [case for case in CASES if len(case.sent) < SHORT]
        assert await play(server, [(case, list(case.sent)) for case in short]) == []


async def test_cases_byte_by_byte(http):
    async with running(echo, http=http, lifespan="off") as server:
        short = [case for case in CASES if len(b"".join(case.sent)) < SHORT]
        assert len(short) > 200
        pieces = [(case, list(cuts(b"".join(case.sent), 1))) for case in short]
        assert await play(server, pieces) == []
