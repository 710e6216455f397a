"""Departures, writes in parts, the outbox and what the kernel does not tell, each on its own."""

from __future__ import annotations

import asyncio
import select
import socket
import struct
import sys
from contextlib import closing
from typing import Any

import pytest

from katana_asgi.net import parts
from katana_asgi.net.admission import UNLIMITED, free_descriptors
from katana_asgi.net.backlog import backlog_for
from katana_asgi.net.departure import has_ended, has_gone
from katana_asgi.net.listener import accept_the_rest, bound_unsent
from katana_asgi.net.outbox import MAX_WAITING, Outbox
from katana_asgi.net.peer import Peer
from katana_asgi.net.reset import reset
from katana_asgi.net.stall import WriteStall, unsent
from tests.support import within

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel")


class Wire(asyncio.Transport):
    """A transport over ``sock`` that only knows its socket."""

    def __init__(self, sock: socket.socket | None, **extra: object) -> None:
        super().__init__(extra if sock is None else {"socket": sock, **extra})
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return 7

    def abort(self) -> None:
        self.aborted = True


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    return ours, theirs


# -- departures


def test_a_transport_without_a_socket_tells_of_no_departure():
    assert not has_gone(Wire(None))
    assert not has_ended(Wire(None))


def test_a_peer_that_is_there_has_neither_ended_nor_gone():
    ours, theirs = tcp_pair()
    with ours, theirs:
        theirs.sendall(b"more")
        assert not has_gone(Wire(ours))
        assert not has_ended(Wire(ours))


@linux_only
def test_a_peer_that_ended_its_side_is_told_from_one_that_has_gone():
    ours, theirs = tcp_pair()
    with ours, theirs:
        theirs.sendall(b"unread")
        theirs.shutdown(socket.SHUT_WR)
        select.select([ours], [], [])
        assert has_ended(Wire(ours))
        assert not has_gone(Wire(ours))


def test_a_peer_that_has_reset_the_connection_has_gone():
    ours, theirs = tcp_pair()
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        select.select([ours], [], [])
        assert has_gone(Wire(ours))


def test_behind_a_closed_descriptor_is_no_one():
    ours, theirs = tcp_pair()
    theirs.close()
    ours.close()
    assert has_gone(Wire(ours))


def test_a_reset_reaches_the_peer_instead_of_an_end():
    ours, theirs = tcp_pair()
    with theirs:
        wire = Wire(ours)
        reset(wire)
        assert wire.aborted
        ours.close()
        with pytest.raises(ConnectionResetError):
            theirs.recv(1)


def test_a_connection_without_a_socket_is_aborted():
    wire = Wire(None)
    reset(wire)
    assert wire.aborted


# -- what waits to be sent


def test_unsent_is_what_the_buffer_has_where_the_kernel_is_not_asked():
    assert unsent(Wire(None)) == 7
    ours, theirs = tcp_pair()
    theirs.close()
    ours.close()
    assert unsent(Wire(ours)) == 7


@linux_only
def test_unsent_counts_what_the_kernel_holds_for_a_peer_that_does_not_read():
    ours, theirs = tcp_pair()
    with ours, theirs:
        ours.setblocking(False)
        sent = 0
        while select.select([], [ours], [], 0)[1]:
            sent += ours.send(bytes(65536))
        held = unsent(Wire(ours)) - 7
        assert 0 < held <= sent


def test_a_stall_begins_anew_whenever_enough_was_taken():
    stall = WriteStall(100_000)
    assert stall.look(99_000, 5.0) == 5.0
    assert stall.look(99_000, 5.0) == 10.0
    assert stall.look(100_000, 5.0) == 15.0  # more to send is nothing taken
    assert stall.look(90_000, 5.0) == 20.0  # 11,000 in all
    assert stall.look(80_000, 5.0) == 0.0
    assert stall.look(80_000, 5.0) == 5.0


# -- writes in parts


@pytest.mark.parametrize("forgetful", [False, True])
async def test_parts_arrive_in_order_and_pause_the_protocol(forgetful, monkeypatch):
    """Also on a Python whose ``writelines`` does not pause it."""
    monkeypatch.setattr(parts, "FORGETFUL", forgetful)
    paused = asyncio.Event()

    class Pausing(asyncio.Protocol):
        def pause_writing(self) -> None:
            paused.set()

    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    transport, _ = await loop.create_connection(Pausing, sock=ours)
    with closing(transport), theirs:
        pieces = [b"head", bytes(range(256)) * 4096, b"tail"]
        if forgetful:
            parts.parts_writer(transport)(pieces)
            assert paused.is_set()
        else:
            parts.write_parts(transport, pieces)
        theirs.setblocking(False)
        expected = b"".join(pieces)
        found = b""
        while len(found) < len(expected):
            found += await loop.sock_recv(theirs, 2**20)
        assert found == expected


class Noted:
    """A sender that notes when it was flushed."""

    def __init__(self, name: int, log: list[int]) -> None:
        self._name = name
        self._log = log

    def flush(self) -> None:
        self._log.append(self._name)


async def test_the_outbox_is_flushed_in_order_when_it_is_full_or_the_turn_ends():
    log: list[int] = []
    outbox = Outbox(asyncio.get_running_loop())
    for number in range(MAX_WAITING - 1):
        outbox.add(Noted(number, log))
    assert log == []
    outbox.add(Noted(MAX_WAITING - 1, log))
    assert log == list(range(MAX_WAITING))
    outbox.add(Noted(99, log))
    assert log[-1] == MAX_WAITING - 1
    await asyncio.sleep(0)
    assert log[-1] == 99


# -- limits and listeners


def test_without_a_limit_of_descriptors_there_are_plenty(monkeypatch):
    import resource

    unlimited = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda which: (unlimited, unlimited))
    assert free_descriptors() == UNLIMITED


class Foreign(socket.socket):
    """A listening socket that the kernel's table of Unix sockets does not know."""

    @property
    def family(self) -> Any:
        return socket.AF_UNIX


@linux_only
def test_a_socket_whose_backlog_the_kernel_does_not_tell_gets_the_setting():
    with Foreign(socket.AF_INET) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(7)
        assert backlog_for(sock, 99) == 99


async def test_accepting_the_rest_passes_over_sockets_that_are_closed():
    closed = socket.create_server(("127.0.0.1", 0))
    closed.close()
    with socket.create_server(("127.0.0.1", 0)) as empty:
        await within(accept_the_rest([closed, empty]))


@linux_only
def test_only_tcp_sockets_get_a_bound_for_what_is_unsent():
    with socket.create_server(("127.0.0.1", 0)) as sock, socket.socket(socket.AF_UNIX) as unix:
        bound_unsent(sock)
        bound_unsent(unix)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 128 * 1024


def test_a_peer_of_a_unix_socket_has_no_address_and_its_server_a_path(tmp_path):
    path = str(tmp_path / "app.sock")
    peer = Peer(False, "http")
    peer.connected(Wire(None, peername="", sockname=path))
    assert (peer.client, peer.server) == (None, (path, None))
