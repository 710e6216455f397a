"""States times events: whatever happens when, a connection keeps to its table of transitions.

Hypothesis chooses events (bytes, turns of the loop, what the application does, what the peer
does, what the clock and the worker do) and looks for a sequence that breaks a promise.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from katana_asgi import StaticRoute
from katana_asgi.http.refusal import TOO_MANY_CONNECTIONS
from katana_asgi.http1.connection import Http1Connection
from katana_asgi.http1.states import (
    BUSY,
    CLOSED,
    DRAINING,
    LINGERING,
    NAMES,
    READY,
    RECEIVING,
    TRANSITIONS,
)
from katana_asgi.testing import FakeTimeLoop, MemoryServer, opening, turns
from katana_asgi.worker import switchboard
from katana_asgi.worker.drain import announce_end
from tests.amounts import examples
from tests.machines import RARELY, Endings, PeerMachine
from tests.wire.answers import read_answers

ALLOWED = {(before, after) for before, _, after in TRANSITIONS}
ALLOWED |= {(state, CLOSED) for state in range(len(NAMES))}  # aborted or lost, from everywhere
ALLOWED |= {(state, state) for state in range(len(NAMES))}

SEEN: Counter[tuple[int, int]] = Counter()
"""Changes of state over all runs: the test of the table looks whether each was met."""

HIGH_WATER = 200
"""Of the transports here: low, so that writing pauses."""


class Watched(Http1Connection):
    """A connection that writes down each change of its state."""

    __slots__ = ("_now",)

    @property
    def state(self) -> int:
        return self._now

    @state.setter
    def state(self, state: int) -> None:
        before = getattr(self, "_now", READY)
        self._now = state
        SEEN[before, state] += 1
        assert (before, state) in ALLOWED, f"{NAMES[before]} to {NAMES[state]}"


class Worker(MemoryServer):
    """One worker for all runs. Its application waits for orders: a word for each step."""

    def __init__(self) -> None:
        super().__init__(
            self.application,
            static_route=(StaticRoute(path="/static", body="cached"),),
            lifespan="off",
            date_header=False,
            limit_body_size=300,
            limit_unread_body=60,
            limit_keep_alive_requests=6,
            timeout_disconnect=0,
        )
        self.orders: asyncio.Queue[str] = asyncio.Queue()
        self.calls = 0

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        if scope["type"] == "websocket":
            await self._websocket(receive, send)
            return
        headers = [(b"x-method", scope["method"].encode())]
        if scope["path"] == "/now":
            headers.append((b"content-length", b"3"))
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"now"})
            return
        started = False
        while True:
            order = await self.orders.get()
            if order == "fail":
                raise ZeroDivisionError
            if order == "return":
                return
            if order == "receive":
                await receive()
                continue
            if not started:
                started = True
                await send({"type": "http.response.start", "status": 200, "headers": headers})
            more = order != "end"
            await send({"type": "http.response.body", "body": b"piece" * 9, "more_body": more})
            if not more:
                return

    async def _websocket(self, receive: Any, send: Any) -> None:
        await receive()
        order = await self.orders.get()
        if order == "end":
            await send({"type": "websocket.accept"})
        elif order == "fail":
            raise ZeroDivisionError
        while (await receive())["type"] != "websocket.disconnect":
            pass


HOST = b" HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /wait" + HOST + b"Content-Length: 50\r\n\r\n"

PIECES = [
    b"GET /now" + HOST + b"\r\n",
    b"GET /wait" + HOST + b"\r\n",
    b"HEAD /wait" + HOST + b"\r\n",
    b"GET /static" + HOST + b"\r\n",
    b"GET /wait" + HOST + b"Connection: close\r\n\r\n",
    b"GET /static" + HOST + b"Connection: close\r\n\r\n",
    b"GET /wait HTTP/1.0\r\n\r\n",
    b"GET /wa",
    b"it" + HOST + b"\r\n",
    b"\r\n",
    b"\r",
    POST,
    POST + b"x" * 50,
    b"x" * 25,
    b"POST /wait" + HOST + b"Content-Length: 200\r\nExpect: 100-continue\r\n\r\n",
    b"POST /wait" + HOST + b"Content-Length: 299\r\n\r\n",
    b"POST /wait" + HOST + b"Content-Length: 999\r\n\r\n",
    b"POST /wait" + HOST + b"Transfer-Encoding: chunked\r\n\r\n",
    b"a\r\n0123456789\r\n",
    b"0\r\n\r\n",
    b"zz\r\n",
    b"nonsense\r\n\r\n",
    opening(),
]


class ConnectionMachine(PeerMachine):
    """One connection, and everything that may happen to it."""

    loop: FakeTimeLoop
    worker: Worker

    @initialize(
        takes=st.booleans(),
        fails_at=st.sampled_from([0, 0, 0, 1, 2, 3, 5]),
        half_closes=st.sampled_from([True, True, False]),
    )
    def connect(self, takes: bool, fails_at: int, half_closes: bool) -> None:
        self.worker.server.context.observer = self.observer = Endings()
        self.worker.orders = asyncio.Queue()
        self.eof = False
        self.connection: Watched

        def connected() -> None:
            self.transport = self.worker.connect(
                takes=takes, fails_at=fails_at, half_closes=half_closes, high_water=HIGH_WATER
            )
            self.connection = self.transport.get_protocol()

        self.happens(connected)

    @property
    def upgraded(self) -> bool:
        return self.transport.get_protocol() is not self.connection

    # -- the peer

    @precondition(lambda self: self.transport.reading and not self.eof)
    @rule(pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=3), count=st.integers(0, 3))
    def bytes_come(self, pieces: list[bytes], count: int) -> None:
        self.happens(self.read, b"".join(pieces), count=count)

    # -- the application

    @rule(
        order=st.sampled_from(["piece", "piece", "end", "receive", "return", "fail"]),
        count=st.integers(0, 4),
    )
    def the_application_goes_on(self, order: str, count: int) -> None:
        self.happens(self.worker.orders.put_nowait, order, count=count)

    # -- the loop, the clock and the worker

    @precondition(lambda self: self.connection in self.worker.server.context.clock.watched)
    @rule(
        really=RARELY, how=st.sampled_from(["shutdown", "wind down", "wind down at once", "abort"])
    )
    def the_worker_ends(self, really: bool, how: str) -> None:
        if not really:
            return
        calls = {
            "shutdown": (self.connection.shutdown,),
            "wind down": (self.connection.wind_down, 0.001),
            "wind down at once": (self.connection.wind_down, 0.0),
            "abort": (self.connection.abort,),
        }
        self.happens(*calls[how])

    # -- what holds at all times

    @invariant()
    def answers_are_well_framed(self) -> None:
        if not hasattr(self, "transport"):
            return
        sent = bytes(self.transport.sent)
        if self.upgraded:
            sent = sent.partition(b"HTTP/1.1 101 ")[0]
        answers, rest = read_answers(sent, ended=False)
        final = [answer for answer in answers if answer.status >= 200]
        closing = [b"close" in answer.fields.get(b"connection", b"") for answer in final]
        assert not any(closing[:-1]), "a response behind the last one"
        if any(closing):
            assert not rest, "bytes behind the last response"

    @invariant()
    def what_has_ended_stays_so(self) -> None:
        if not hasattr(self, "connection"):
            return
        if self.transport.closing or self.transport.ended:
            if getattr(self, "calls", None) is None and not self.upgraded:
                self.loop.run_until_complete(turns(8))
                self.calls = self.worker.calls
            assert self.upgraded or self.worker.calls == self.calls

    @invariant()
    def what_is_held_is_bounded(self) -> None:
        if hasattr(self, "connection"):
            assert self.connection.reading.held < 70_000

    def teardown(self) -> None:
        if not hasattr(self, "transport"):
            return
        context = self.worker.server.context
        if not self.transport.closing:
            self.happens(self.transport.fail)
        self.happens(self.transport.take)
        for _ in range(20):
            if context.running:
                self.worker.orders.put_nowait("return")
            self.loop.run_until_complete(turns(5))
        assert self.connection.state == CLOSED
        assert not context.running
        assert not context.clock.watched
        assert not context.clock.stalled
        for endings in self.observer.endings.values():
            assert len(endings) == 1, endings


@pytest.fixture
def machine(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    """The machine with a worker to run on."""
    caplog.set_level("CRITICAL", "katana_asgi.error")
    monkeypatch.setattr(switchboard, "Http1Connection", Watched)
    loop = FakeTimeLoop()
    worker = Worker()
    loop.run_until_complete(worker.start())
    yield type("Machine", (ConnectionMachine,), {"loop": loop, "worker": worker})
    loop.run_until_complete(worker.close())
    loop.close()


def test_whatever_happens_when_the_table_and_the_promises_hold(machine):
    SEEN.clear()
    for _ in range(5):  # what is drawn may be poor in one run; most need no second
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=max(75, examples(300)),
                stateful_step_count=50,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        if len({pair for pair in SEEN if pair[0] != pair[1]}) > 5:
            return
    pytest.fail(f"only {SEEN}")


def plain(machine: type[ConnectionMachine], **options: Any) -> ConnectionMachine:
    """A connection whose peer is well behaved, unless told otherwise."""
    made = machine()
    made.connect(**{"takes": True, "fails_at": 0, "half_closes": True, **options})
    return made


CHUNKED = b"POST /wait" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"

HAPPENINGS: dict[tuple[int, str, int], list[Any]] = {
    (READY, "part of a head", RECEIVING): [b"GET /wa"],
    (READY, "head", BUSY): [b"GET /wait" + HOST + b"\r\n"],
    (READY, "head for a static route", READY): [b"GET /static" + HOST + b"\r\n"],
    (READY, "idle too long, shutdown or end of file", CLOSED): [80.0],
    (READY, "too many connections", LINGERING): ["refuse"],
    (RECEIVING, "rest of the head", BUSY): [b"GET /wa", b"it" + HOST + b"\r\n"],
    (RECEIVING, "rest of a head for a static route", READY): [
        b"GET /sta",
        b"tic" + HOST + b"\r\n",
    ],
    (RECEIVING, "breach of the protocol, or too slow", LINGERING): [b"GET /wa", 32.0],
    (RECEIVING, "end of file", CLOSED): [b"GET /wa", "end of file"],
    (BUSY, "response and content complete", READY): [b"GET /wait" + HOST + b"\r\n", "end"],
    (BUSY, "response complete, content not", DRAINING): [CHUNKED, "end"],
    (BUSY, "last response complete, or refused", LINGERING): [CHUNKED, b"zz\r\n"],
    (BUSY, "last response complete to a peer that sends no more, or broken off", CLOSED): [
        b"GET /wait HTTP/1.0\r\n\r\n",
        "end",
    ],
    (BUSY, "upgraded", CLOSED): [opening(), "end"],
    (DRAINING, "rest of the content", READY): [CHUNKED, "end", b"0\r\n\r\n"],
    (DRAINING, "too slow, broken content, or shutdown", LINGERING): [CHUNKED, "end", "shutdown"],
    (LINGERING, "peer closed, or had its time", CLOSED): [b"nonsense\r\n\r\n", 32.0],
}
"""For each line of the table what leads there: bytes, seconds, or a word."""

UNREAD = (READY, "idle too long or shutdown, the last response still on its way", LINGERING)


def test_the_table_has_no_line_that_is_not_tested():
    assert HAPPENINGS.keys() | {UNREAD} == set(TRANSITIONS)


@pytest.mark.parametrize("transition", [*HAPPENINGS, UNREAD], ids=lambda each: each[1])
def test_each_line_of_the_table_happens(machine, transition):
    made = plain(machine, takes=transition is not UNREAD)
    SEEN.clear()
    events = HAPPENINGS.get(transition, [b"GET /now" + HOST + b"\r\n", "shutdown"])
    for event in events:
        if isinstance(event, bytes):
            made.bytes_come(pieces=[event], count=4)
        elif isinstance(event, float):
            made.time_passes(seconds=event)
        elif event == "end of file":
            made.the_peer_ends_its_side(really=True, count=2)
        elif event == "shutdown":
            made.the_worker_ends(really=True, how="shutdown")
        elif event == "refuse":
            made.happens(made.connection.refuse, TOO_MANY_CONNECTIONS)
        else:
            made.the_application_goes_on(order=event, count=4)
    before, _, after = transition
    assert (before, after) in SEEN or before == after == made.connection.state
    made.answers_are_well_framed()
    made.teardown()


def test_a_newcomer_of_a_worker_that_hands_over_has_the_time_of_idle_connections(machine):
    """It may also be one that another worker has moved here before it knew of the end."""
    announce_end(machine.worker.server.context, 20.0)
    made = plain(machine)
    made.time_passes(seconds=11.0)
    made.bytes_come(pieces=[b"GET /now" + HOST + b"\r\n"], count=4)
    assert bytes(made.transport.sent).endswith(b"connection: close\r\n\r\nnow")
    made.teardown()
    silent = plain(machine)
    silent.time_passes(seconds=32.0)
    assert silent.transport.closing


def test_every_state_can_be_reached_and_left():
    reached = {READY}
    while more := {after for before, _, after in TRANSITIONS if before in reached} - reached:
        reached |= more
    assert reached == set(range(len(NAMES)))
    assert {before for before, _, _ in TRANSITIONS} == reached - {CLOSED}
    assert {BUSY, DRAINING} < reached
