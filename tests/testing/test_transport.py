"""A transport in memory behaves as one of a kernel, and misbehaves when it is told to."""

from __future__ import annotations

import asyncio

import pytest

from katana_asgi.testing import MemoryTransport, turns


class Noting(asyncio.Protocol):
    """Notes what it is told."""

    def __init__(self, *, stays: bool = False) -> None:
        self.stays = stays
        self.told: list[object] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.told.append(transport)

    def data_received(self, data: bytes) -> None:
        self.told.append(data)

    def eof_received(self) -> bool:
        self.told.append("end")
        return self.stays

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append(("lost", exc and type(exc)))


LOST = ("lost", None)


def attached(*, stays: bool = False, **options) -> tuple[MemoryTransport, list[object]]:
    """A transport with its protocol, and what the protocol is told from now on."""
    transport, protocol = MemoryTransport(**options), Noting(stays=stays)
    transport.attach(protocol)
    assert protocol.told.pop() is transport
    return transport, protocol.told


async def test_what_is_sent_comes_in_one_read_or_in_small_ones():
    transport, told = attached()
    transport.feed(b"abcde")
    transport.feed(b"abcde", 2)
    transport.feed(b"")
    assert told == [b"abcde", b"ab", b"cd", b"e"]


async def test_what_is_sent_while_nothing_is_read_waits_and_the_end_behind_it():
    transport, told = attached()
    transport.pause_reading()
    assert not transport.is_reading()
    transport.feed(b"abcd", 3)
    transport.end()
    await turns()
    assert told == []
    transport.resume_reading()
    assert told == []  # in a turn of its own, as a loop does it
    await turns(3)
    assert told == [b"abc", b"d", "end", LOST]


async def test_a_protocol_that_pauses_between_two_reads_gets_the_second_later():
    transport, told = attached()

    class Pausing(Noting):
        def data_received(self, data: bytes) -> None:
            transport.pause_reading()
            told.append(data)

    transport.set_protocol(Pausing())
    transport.feed(b"abcd", 2)
    assert told == [b"ab"]
    transport.resume_reading()
    await turns()
    assert told == [b"ab", b"cd"]


async def test_writing_pauses_above_the_high_water_until_the_peer_has_taken_most():
    transport, told = attached(takes=False, high_water=100)
    transport.write(bytes(100))
    assert told == []
    transport.writelines([b"a", b"b"])
    assert told == ["pause"]
    assert transport.get_write_buffer_size() == 102
    transport.take(76)
    assert told == ["pause"]
    transport.take(1)
    assert told == ["pause", "resume"]
    assert len(transport.sent) == 102
    assert transport.writes == 2


async def test_a_peer_may_stop_taking_and_begin_again():
    transport, told = attached(high_water=10)
    transport.write(bytes(100))
    transport.hold()
    transport.write(bytes(100))
    assert told == ["pause"]
    transport.take()
    transport.write(bytes(100))
    assert told == ["pause", "resume"]
    assert transport.get_write_buffer_size() == 0


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_the_write_of_that_number_fails(number):
    transport, told = attached(fails_at=number)
    for _ in range(4):
        transport.write(b"ab")
    assert bytes(transport.sent) == b"ab" * (number - 1)
    assert transport.dropped == 2 * (4 - number)
    assert transport.is_closing()
    assert told == []
    await turns()
    assert told == [("lost", ConnectionResetError)]


async def test_either_side_may_end_on_its_own():
    transport, told = attached(stays=True)
    transport.end()
    assert told == ["end"]
    assert not transport.closing
    transport.write(b"more")
    transport.write_eof()
    assert transport.ended
    assert not transport.closing
    with pytest.raises(RuntimeError):
        transport.write(b"too late")


async def test_over_tls_no_side_ends_on_its_own():
    transport, _ = attached(half_closes=False)
    assert not transport.can_write_eof()
    with pytest.raises(NotImplementedError):
        transport.write_eof()


async def test_closing_waits_for_the_peer_and_aborting_does_not():
    transport, told = attached(takes=False)
    transport.write(b"abc")
    transport.close()
    await turns()
    assert told == []
    transport.take(3)
    await turns()
    assert told == [LOST]
    other, told = attached(takes=False)
    other.write(b"abc")
    other.abort()
    other.abort()
    await turns()
    assert told == [LOST]


async def test_behind_the_end_nothing_is_read():
    transport, told = attached()
    transport.close()
    transport.feed(b"late")
    transport.end()
    await turns(2)
    assert told == [LOST]
    with pytest.raises(RuntimeError):
        transport.resume_reading()
    with pytest.raises(RuntimeError):
        transport.pause_reading()


async def test_addresses_are_there_and_may_be_others():
    assert MemoryTransport().get_extra_info("peername") == ("192.0.2.1", 4711)
    other = MemoryTransport(extra={"peername": "a"})
    assert other.get_extra_info("peername") == "a"
    assert other.get_extra_info("sockname") is None
