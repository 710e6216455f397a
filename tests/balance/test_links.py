"""The table that workers share, and the channels between them, with real sockets."""

from __future__ import annotations

import os
import socket
from contextlib import closing

import pytest

from katana_asgi.balance.links import MESSAGE_LIMIT, Links, pass_on, receive
from katana_asgi.balance.table import LATE, LoadTable

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")


def test_what_a_process_writes_into_its_row_its_relatives_see() -> None:
    table = LoadTable()
    row = table.row(2)
    child = os.fork()
    if child == 0:
        row.enter(os.getpid(), 1000)
        row.publish(5, 3)
        row.beat(1000, 77)
        row.took()
        os._exit(0)
    os.waitpid(child, 0)
    assert (row.owner, row.connections, row.load, row.lag, row.taken) == (child, 5, 8, 77, 1)
    assert table.row(1).owner == table.row(3).owner == 0


def test_only_a_worker_that_serves_and_beats_takes_connections() -> None:
    row = LoadTable().row(1)
    assert not row.takes(0)  # starting
    assert not row.blocked(10**6)
    row.enter(1, 1000)
    assert row.takes(1000 + LATE)
    assert not row.takes(1001 + LATE)
    assert row.blocked(1001 + LATE)
    row.leave()
    assert not row.takes(1000)
    assert not row.blocked(10**6)


def test_the_table_has_a_row_for_every_worker_that_may_be() -> None:
    table = LoadTable()
    table.row(1024).enter(7, 0)
    with pytest.raises(IndexError):
        table.row(1025)
    with pytest.raises(IndexError):
        table.row(0)


def test_a_connection_goes_through_a_channel_and_lives_on() -> None:
    with closing(Links(2)) as links:
        share = links.share(1, {})
        ours, theirs = socket.socketpair()
        with theirs:
            assert pass_on(share.outboxes[0], b"hello", ours.fileno())
            ours.close()
            found = receive(share.inbox)
            assert found is not None
            message, sock = found
            assert message == b"hello"
            assert sock is not None
            with sock:
                assert sock.gettimeout() == 0
                assert not sock.get_inheritable()
                theirs.sendall(b"ping")
                assert sock.recv(10) == b"ping"
        assert receive(share.inbox) is None


def test_a_full_channel_takes_nothing_and_does_not_wait() -> None:
    with closing(Links(2)) as links, socket.socket() as sock:
        share = links.share(2, {})
        sent = 0
        while pass_on(share.outboxes[1], b"n", sock.fileno()):
            sent += 1
            assert sent < 10_000
        assert sent > 16
        assert pass_on(share.outboxes[0], b"n", sock.fileno())  # another one does
        while (found := receive(share.inbox)) is not None:
            sent -= 1
            assert found[1] is not None
            found[1].close()
        assert sent == 0


def test_a_message_that_is_too_long_leaves_no_descriptor_behind() -> None:
    with closing(Links(1)) as links, socket.socket() as sock:
        share = links.share(1, {})
        before = len(os.listdir("/dev/fd"))
        assert pass_on(share.outboxes[0], bytes(MESSAGE_LIMIT + 1), sock.fileno())
        found = receive(share.inbox)
        assert found is not None
        assert found[1] is None
        assert len(os.listdir("/dev/fd")) == before


def test_a_channel_that_has_been_closed_takes_nothing() -> None:
    with socket.socket() as sock:
        links = Links(1)
        share = links.share(1, {})
        links.close()
        assert not pass_on(share.outboxes[0], b"n", sock.fileno())
        assert receive(share.inbox) is None
