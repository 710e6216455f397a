"""Whether a peer takes what is sent to it: by bytes that left us, not by what it pretends."""

from __future__ import annotations

import asyncio
import socket

from katana_asgi.net.stall import ENOUGH, WriteStall, unsent

WHOLE = 10**6


def seconds_after(takes, *, seconds=1.0) -> float:
    """How long a peer is stalled that takes so many bytes between any two looks."""
    left = WHOLE
    stall = WriteStall(left)
    stalled = 0.0
    for taken in takes:
        left -= taken
        stalled = stall.look(left, seconds)
    return stalled


def test_a_peer_that_takes_nothing_stalls_from_the_first_look_on():
    assert seconds_after([0] * 7) == 7


def test_a_peer_that_takes_enough_does_not_stall():
    assert seconds_after([ENOUGH] * 20) == 0


def test_a_little_at_a_time_counts_together():
    assert seconds_after([ENOUGH // 4] * 4) == 0
    assert seconds_after([ENOUGH // 4] * 3) == 3


def test_a_byte_at_a_time_is_a_stall():
    assert seconds_after([1] * 60) == 60


def test_after_enough_the_time_begins_anew():
    assert seconds_after([0, 0, ENOUGH, 0]) == 1


def test_what_the_application_adds_is_not_taken_back():
    stall = WriteStall(1000)
    assert stall.look(WHOLE, 1.0) == 1
    assert stall.look(WHOLE - ENOUGH, 1.0) == 0


async def test_what_the_kernel_holds_is_unsent_until_the_peer_has_it():
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    with here, there:
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=here)
        assert unsent(transport) == 0
        transport.write(bytes(10_000))
        assert unsent(transport) >= 10_000
        assert transport.get_write_buffer_size() == 0
        there.recv(20_000)
        assert unsent(transport) == 0
        transport.abort()


async def test_a_closed_transport_has_no_kernel_to_ask():
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    with here, there:
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=here)
        transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert unsent(transport) == 0
