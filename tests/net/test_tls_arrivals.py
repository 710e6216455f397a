"""Connections before their TLS handshake: none left behind, whatever the system or peer does."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from katana_asgi.net import tls_listener
from katana_asgi.net.clock import NEVER, Clock
from katana_asgi.net.proxy_header import ProxyHeaderReader
from katana_asgi.net.tls_listener import Arrival, Arrivals, TlsListener
from katana_asgi.net.tls_proxied import ProxiedArrival
from tests.support import within


class Nothing(asyncio.Protocol):
    """The protocol of a connection that has arrived."""


@pytest.fixture
async def arrivals() -> Any:
    """What connections share; nothing is served, since no certificate is loaded."""
    loop = asyncio.get_running_loop()
    clock = Clock(loop)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    admission: Any = SimpleNamespace(at_all=100)
    return Arrivals(loop, context, clock, admission, clock.watched.discard, 5.0, 5.0)


def pair() -> tuple[socket.socket, socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    theirs.setblocking(False)
    return ours, theirs


async def turned(condition: Any) -> None:
    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0)

    await within(wait())


class Exhausted(socket.socket):
    """A listening socket for which there is no descriptor at first."""

    failures = 1

    def accept(self) -> Any:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


async def test_a_listener_rests_when_there_is_no_descriptor_and_goes_on(arrivals, monkeypatch):
    monkeypatch.setattr(tls_listener, "REST", 0.0)
    reports: list[Any] = []
    arrivals.loop.set_exception_handler(lambda loop, context: reports.append(context))
    arrived: list[socket.socket] = []
    with Exhausted() as sock:
        sock.bind(("127.0.0.1", 0))
        listener = TlsListener(
            arrivals, lambda *_: Nothing(), sock, 5, lambda *found: arrived.append(found[2])
        )
        with socket.create_connection(sock.getsockname()):
            await turned(lambda: arrived)
        listener.close()
        listener.close()
        assert sock.fileno() < 0
    assert [report["message"] for report in reports] == ["accept() failed"]
    assert reports[0]["exception"].errno == errno.EMFILE
    arrived[0].close()


async def test_a_listener_that_rests_can_be_closed(arrivals):
    arrivals.loop.set_exception_handler(lambda loop, context: None)
    with Exhausted() as sock:
        sock.bind(("127.0.0.1", 0))
        listener = TlsListener(arrivals, lambda *_: Nothing(), sock, 5, Arrival)
        with socket.create_connection(sock.getsockname()):
            await turned(lambda: not sock.failures)
            listener.close()
    assert not arrivals.clock.watched


async def test_what_is_diverted_is_not_taken_and_what_is_too_much_is_closed(arrivals):
    arrived: list[Any] = []
    diverted: list[socket.socket] = []

    def diverts(sock: socket.socket) -> bool:
        diverted.append(sock)
        return len(diverted) == 1

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        listener = TlsListener(
            arrivals, lambda *_: Nothing(), sock, 5, lambda *found: arrived.append(found), diverts
        )
        with socket.create_connection(sock.getsockname()):
            await turned(lambda: diverted)
            assert arrived == []
        arrivals.admission.at_all = -1
        with socket.create_connection(sock.getsockname()) as client:
            await turned(lambda: len(diverted) == 2)
            assert client.recv(1) == b""
        assert arrived == []
        listener.close()
    diverted[0].close()


async def test_a_peer_that_leaves_before_a_byte_leaves_nothing(arrivals):
    ours, theirs = pair()
    arrival = Arrival(arrivals, lambda *_: Nothing(), ours)
    assert arrivals.clock.watched == {arrival}
    theirs.close()
    await turned(lambda: not arrivals.clock.watched)
    assert ours.fileno() < 0
    assert arrival.deadline == NEVER


class Broken(socket.socket):
    """A socket on which the calls in ``fails`` fail."""

    fails: tuple[str, ...] = ()

    def recv(self, *arguments: Any) -> Any:
        return self._call("recv", *arguments)

    def shutdown(self, *arguments: Any) -> Any:
        return self._call("shutdown", *arguments)

    def getpeername(self) -> Any:
        return self._call("getpeername")

    def _call(self, name: str, *arguments: Any) -> Any:
        if name in self.fails:
            raise ConnectionResetError
        return getattr(super(), name)(*arguments)


def broken(sock: socket.socket, *fails: str) -> Broken:
    made = Broken(fileno=sock.detach())
    made.fails = fails
    return made


async def test_a_peer_that_is_reset_before_a_byte_leaves_nothing(arrivals):
    ours, theirs = pair()
    with theirs:
        Arrival(arrivals, lambda *_: Nothing(), broken(ours, "recv"))
        assert not arrivals.clock.watched


async def test_a_peer_that_is_reset_before_it_is_told_of_https_leaves_nothing(arrivals):
    ours, theirs = pair()
    with theirs:
        theirs.send(b"GET / HTTP/1.1\r\n\r\n")
        Arrival(arrivals, lambda *_: Nothing(), broken(ours, "shutdown"))
        await turned(lambda: not arrivals.clock.watched)


@pytest.mark.parametrize(("first", "told"), [(b"GET /", True), (b"\x00\x01", False)])
async def test_a_peer_that_does_not_speak_tls_is_told_if_it_speaks_http(first, told, arrivals):
    ours, theirs = pair()
    with theirs:
        theirs.send(first)
        sock = broken(ours)
        arrival = Arrival(arrivals, lambda *_: Nothing(), sock)
        received = b""

        async def end() -> bytes:
            nonlocal received
            while data := await arrivals.loop.sock_recv(theirs, 1000):
                received += data
            return received

        assert (await within(end())).startswith(b"HTTP/1.1 400 ") is told
        assert arrivals.clock.watched == {arrival}
        sock.fails = ("recv",)
        theirs.send(b"more")
        await turned(lambda: not arrivals.clock.watched)


async def test_an_arrival_that_is_aborted_before_its_handshake_began_closes_its_socket(arrivals):
    ours, theirs = pair()
    with theirs:
        theirs.send(b"\x16")
        await turned(lambda: ours.recv(1, socket.MSG_PEEK))
        arrival = Arrival(arrivals, lambda *_: Nothing(), ours)
        arrival.abort()
        await turned(lambda: not arrivals.clock.watched)
        assert ours.fileno() < 0


@pytest.mark.parametrize(("grace", "stays"), [(3.0, True), (0.0, False)])
async def test_an_arrival_stays_for_the_grace_of_a_worker_that_winds_down(grace, stays, arrivals):
    ours, theirs = pair()
    with theirs:
        arrival = Arrival(arrivals, lambda *_: Nothing(), ours)
        arrival.wind_down(grace)
        assert (arrival in arrivals.clock.watched) is stays
        if stays:
            assert arrival.deadline == arrivals.clock.after(3.0)
            arrival.deadline_passed()
        assert not arrivals.clock.watched
        assert ours.fileno() < 0


# -- behind a balancer


def rules(arrivals: Arrivals, seen: list[Any], *, trusts: bool) -> Any:
    """A factory of readers; ``seen`` notes what they pass on."""

    def successor(origin: Any) -> Any:
        seen.append(origin)
        return lambda agreed=None: Nothing()

    def factory(agreed: str | None = None) -> ProxyHeaderReader:
        return ProxyHeaderReader(
            arrivals.clock, 5.0, lambda address: trusts, successor, arrivals.gone
        )

    return factory


async def test_a_header_may_come_in_parts_before_the_handshake(arrivals):
    seen: list[Any] = []
    ours, theirs = pair()
    with theirs:
        arrival = ProxiedArrival(arrivals, rules(arrivals, seen, trusts=True), ours)
        for part in (b"PROXY TCP4 192.0.2.1 ", b"198.51.100.1 1 2\r", b"\nG"):
            assert seen == []
            theirs.send(part)
            await asyncio.sleep(0)
        await turned(lambda: seen)
        assert seen[0].source == ("192.0.2.1", 1)
        arrival.abort()
    assert not arrivals.clock.watched


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n", b""])
async def test_a_balancer_that_sends_no_header_is_closed(sent, arrivals):
    seen: list[Any] = []
    ours, theirs = pair()
    with theirs:
        theirs.send(sent)
        theirs.shutdown(socket.SHUT_WR)
        ProxiedArrival(arrivals, rules(arrivals, seen, trusts=True), ours)
        await turned(lambda: not arrivals.clock.watched)
    assert seen == []
    assert ours.fileno() < 0


@pytest.mark.parametrize("fails", ["getpeername", "recv"])
async def test_a_balancer_that_is_reset_leaves_nothing(fails, arrivals):
    ours, theirs = pair()
    with theirs:
        ProxiedArrival(arrivals, rules(arrivals, [], trusts=True), broken(ours, fails))
        assert not arrivals.clock.watched


async def test_a_peer_that_is_no_balancer_goes_on_at_once(arrivals):
    seen: list[Any] = []
    ours, theirs = pair()
    with theirs:
        arrival = ProxiedArrival(arrivals, rules(arrivals, seen, trusts=False), ours)
        assert seen == [None]
        arrival.abort()


async def test_a_header_that_does_not_come_in_time_is_logged(arrivals, caplog):
    ours, theirs = pair()
    with theirs:
        arrival = ProxiedArrival(arrivals, rules(arrivals, [], trusts=True), ours)
        arrival.deadline_passed()
        assert not arrivals.clock.watched
    assert "did not come in time" in caplog.text
