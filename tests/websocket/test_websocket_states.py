"""States times events of a WebSocket, from the handshake to the end: whatever happens when.

The session, its stream and the connection before are the real ones; the peer, the application and
the clock do what Hypothesis chooses, and every frame is read by a parser of its own.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from katana_asgi.errors import ClientDisconnected, LocalProtocolError
from katana_asgi.testing import FakeTimeLoop, opening, turns
from tests.amounts import examples
from tests.machines import RARELY, Endings, Obedient, PeerMachine
from tests.websocket.websocket_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, masked
from tests.websocket_peer import bye

HIGH_WATER = 200
"""Of the transports here: low, so that writing pauses."""

BIG = "b" * 20_000

FRAMES = {
    "binary": masked(BINARY, b"\0\1\2"),
    "big": masked(TEXT, b"x" * 70_000),
    "begin": masked(TEXT, b"one", fin=False),
    "go on": masked(CONTINUATION, b"two", fin=False),
    "end": masked(CONTINUATION, b"three"),
    "ping": masked(PING, b"are you there"),
    "pong": masked(PONG, b""),
    "close": bye(),
    "close without code": bye(None),
    "close with a code that may not be sent": bye(1006),
    "half a frame": masked(TEXT, b"in two")[:5],
    "its rest": masked(TEXT, b"in two")[5:],
    "not masked": b"\x81\x02hi",
    "no UTF-8": masked(TEXT, b"\xff\xfe"),
}

ORDERS = {
    "accept": {"type": "websocket.accept"},
    "text": {"type": "websocket.send", "text": "an answer"},
    "bytes": {"type": "websocket.send", "bytes": b"\7" * 50},
    "big": {"type": "websocket.send", "text": BIG},
    "nothing": {"type": "websocket.send"},
    "close": {"type": "websocket.close", "code": 3000, "reason": "enough"},
    "bad close": {"type": "websocket.close", "code": 1},
    "denial": {"type": "websocket.http.response.start", "status": 401, "headers": []},
    "its content": {"type": "websocket.http.response.body", "body": b"no", "more_body": True},
    "its end": {"type": "websocket.http.response.body", "body": b"never"},
    "unknown": {"type": "http.response.start", "status": 200},
}


class Worker(Obedient):
    """Keeps what came of what its application was told."""

    def __init__(self) -> None:
        super().__init__(date_header=False, timeout_ws_idle=100, timeout_disconnect=0)

    def begin(self) -> None:
        super().begin()
        self.sent: list[Any] = []  # messages that were taken
        self.accepted = False

    async def carry_out(self, order: Any, send: Any) -> None:
        message = ORDERS[order]
        try:
            await send(message)
        except (LocalProtocolError, ClientDisconnected):
            assert order in ORDERS
        else:
            self.accepted |= order == "accept"
            if message["type"] == "websocket.send":
                self.sent.append(message.get("text") or message["bytes"])


def frames_in(data: bytes) -> list[tuple[int, bytes]]:
    """The whole frames of a server; its frames are neither masked nor in pieces."""
    frames = []
    while len(data) >= 2:
        first, size, start = data[0], data[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start])
        assert data[1] < 0x80, "masked"
        assert first & 0xF0 == 0x80, "in pieces"
        if len(data) < start + size:
            break
        frames.append((first & 0xF, data[start : start + size]))
        data = data[start + size :]
    return frames


class SocketMachine(PeerMachine):
    """One WebSocket, and everything that may happen to it."""

    worker: Worker

    @initialize(
        takes=st.booleans(),
        fails_at=st.sampled_from([0, 0, 0, 0, 2, 3, 5]),
        half_closes=st.booleans(),
        accepts=st.sampled_from([True, True, True, False]),
        ends=st.sampled_from(["vanishes", "drains"]),
    )
    def connect(
        self, takes: bool, fails_at: int, half_closes: bool, accepts: bool, ends: str
    ) -> None:
        self.worker.server.context.observer = self.observer = Endings()
        self.worker.begin()
        self.eof = False
        self.number = 0
        self.ends = ends

        def connected() -> None:
            self.transport = self.worker.connect(
                takes=takes, fails_at=fails_at, half_closes=half_closes, high_water=HIGH_WATER
            )
            self.connection = self.transport.get_protocol()
            self.transport.feed(opening())

        self.happens(connected)
        if accepts:
            for order in ("receive", "accept"):
                self.worker.orders.put_nowait(order)
            self.happens(int, count=3)

    # -- the peer

    @precondition(lambda self: self.transport.reading and not self.eof)
    @rule(
        names=st.lists(st.sampled_from([*FRAMES, "text"]), min_size=1, max_size=3),
        count=st.integers(0, 3),
        really=RARELY,
    )
    def any_frames_come(self, names: list[str], count: int, really: bool) -> None:
        if really:
            self.happens(self.read, b"".join(map(self.frame, names)), count=count)

    @precondition(lambda self: self.transport.reading and not self.eof)
    @rule(
        names=st.lists(
            st.sampled_from(["text", "text", "text", "binary", "ping", "pong"]),
            min_size=1,
            max_size=4,
        )
    )
    def frames_come(self, names: list[str]) -> None:
        self.happens(self.read, b"".join(map(self.frame, names)), count=2)

    def frame(self, name: str) -> bytes:
        """A frame of that name; texts are numbered."""
        if name != "text":
            return FRAMES[name]
        self.number += 1
        return masked(TEXT, b"%d" % self.number)

    @precondition(lambda self: self.transport.reading and not self.eof and self.was_closed)
    @rule(more=st.sampled_from([b"", FRAMES["binary"], FRAMES["close"]]))
    def the_peer_answers_a_close(self, more: bytes) -> None:
        self.happens(self.read, FRAMES["close"] + more, count=2)

    @property
    def frames(self) -> list[tuple[int, bytes]]:
        """What was sent behind the handshake."""
        head, _, data = bytes(self.transport.sent).partition(b"\r\n\r\n")
        return frames_in(data) if head.startswith(b"HTTP/1.1 101 ") else []

    @property
    def was_closed(self) -> bool:
        """Whether the server has sent a close frame."""
        return self.frames[-1:] != [] and self.frames[-1][0] == CLOSE

    # -- the application and the worker

    @rule(
        order=st.sampled_from([*ORDERS, *["receive", "text"] * 3]),
        count=st.integers(0, 4),
    )
    def the_application_goes_on(self, order: str, count: int) -> None:
        self.happens(self.worker.orders.put_nowait, order, count=count)

    @rule(times=st.integers(1, 4))
    def the_application_receives(self, times: int) -> None:
        for _ in range(times):
            self.happens(self.worker.orders.put_nowait, "receive", count=2)

    @rule(how=st.sampled_from(["return", "raise"]), really=RARELY)
    def the_application_ends(self, how: str, really: bool) -> None:
        if really:
            self.happens(self.worker.orders.put_nowait, how, count=3)

    @rule(really=RARELY)
    def the_worker_drains(self, really: bool) -> None:
        if really:
            self.drain()

    def drain(self) -> None:
        for connection in list(self.worker.server.context.clock.watched):
            self.happens(connection.shutdown, count=1)

    # -- what holds at all times

    @invariant()
    def what_is_sent_are_the_messages_in_order_and_at_most_one_close(self) -> None:
        if not hasattr(self, "transport"):
            return
        frames = self.frames
        kinds = [kind for kind, _ in frames]
        assert CLOSE not in kinds[:-1], "a frame behind the close frame"
        assert all(content == b"are you there" for kind, content in frames if kind == PONG)
        messages = [
            content.decode() if kind == TEXT else content
            for kind, content in frames
            if kind in (TEXT, BINARY)
        ]
        # One may be on its way: ``send`` returns once the peer takes data again.
        assert messages[: len(self.worker.sent)] == self.worker.sent[: len(messages)]
        assert len(messages) <= len(self.worker.sent) + 1

    @invariant()
    def what_is_received_is_in_order_and_ends_once(self) -> None:
        if not hasattr(self, "transport"):
            return
        kinds = [message["type"] for message in self.worker.received]
        assert kinds[:1] in ([], ["websocket.connect"])
        gone = kinds.index("websocket.disconnect") if "websocket.disconnect" in kinds else None
        assert set(kinds[1:gone]) <= {"websocket.receive"}
        if gone is not None:
            assert set(kinds[gone:]) == {"websocket.disconnect"}
            assert len({message["code"] for message in self.worker.received[gone:]}) == 1
        texts = [message.get("text") or "" for message in self.worker.received]
        numbers = [int(text) for text in texts if text.isdigit()]
        assert numbers == sorted(set(numbers))

    def teardown(self) -> None:
        if not hasattr(self, "transport"):
            return
        context = self.worker.server.context
        if not self.worker.accepted:  # an ordinary exchange ends with its call
            self.happens(self.worker.orders.put_nowait, "return", count=3)
        if self.ends == "vanishes" and not self.transport.closing:
            self.happens(self.transport.fail)
        else:  # a peer that does nothing more at all
            self.drain()
        self.time_passes(90.0)
        left = list(context.clock.watched)
        if left:  # the next run has the same worker
            self.happens(self.transport.abort, count=2)
        for _ in range(20):
            if context.running:
                self.worker.orders.put_nowait("return")
            self.loop.run_until_complete(turns(5))
        assert not left, "the connection does not end"
        assert not context.running, "the call does not end"
        assert not context.clock.stalled
        for endings in self.observer.endings.values():
            assert len(endings) == 1, endings
            if self.worker.accepted:
                assert endings == ["closed"]


@pytest.fixture
def machine(caplog: pytest.LogCaptureFixture):
    """The machine with a worker to run on."""
    caplog.set_level("CRITICAL", "katana_asgi.error")
    loop = FakeTimeLoop()
    worker = Worker()
    loop.run_until_complete(worker.start())
    yield type("Machine", (SocketMachine,), {"loop": loop, "worker": worker})
    loop.run_until_complete(worker.close())
    loop.close()


def test_whatever_happens_a_websocket_keeps_order_and_ends(machine):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples(300),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
