"""States times events of an exchange: messages in any order, and a peer that does as it likes.

The exchange, the dispatch and the worker context are the real ones. The writer is one that holds
them to its contract (``asgi/writer.py``), and a model says which messages ASGI allows when.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from katana_asgi.asgi.dispatch import begin, end_call, open_exchange
from katana_asgi.errors import LocalProtocolError, RemoteProtocolError
from katana_asgi.http.message import RequestHead
from katana_asgi.net.peer import Peer
from katana_asgi.testing import FakeTimeLoop, MemoryTransport, turns
from tests.amounts import examples
from tests.machines import RARELY, Machine, Obedient

CONTENT = b"0123456789"
LIMIT = 300


class Writer:
    """The way of one response, which complains where it is not used as it must be."""

    def __init__(self) -> None:
        self.write_paused = False
        self.writable = asyncio.Event()
        self.exchange: Any = None
        self.heads: list[int] = []  # statuses, informational ones too
        self.length: int | None = None
        self.content = b""
        self.end = ""  # how it came: complete, refused, abandoned
        self.taken = 0

    def send_response(
        self, status: int, fields: Any, length: int | None, content: bytes, more: bool
    ) -> None:
        assert not self.end
        assert not [each for each in self.heads if each >= 200], "a second head"
        self.heads.append(status)
        self.length = fields.content_length if length is None else length
        self._take(content, more)

    def send_content(self, data: bytes, more: bool) -> None:
        assert self.heads[-1] >= 200, "content before the head"
        self._take(data, more)

    def _take(self, data: bytes, more: bool) -> None:
        assert not self.end
        assert not self.exchange.disconnected, "sent to a peer that has gone"
        self.content += data
        if not more:
            self.end = "complete"

    async def send_file(self, part: Any, progress: Any) -> None:
        await asyncio.sleep(0)  # the peer may go meanwhile
        if not self.exchange.disconnected:
            self._take(os.pread(part.file.descriptor, part.length, part.offset), True)
            progress(part.length)

    def send_trailers(self, fields: Any) -> None:
        assert not self.end
        self.end = "complete"

    def send_informational(self, status: int, fields: Any) -> None:
        assert not [each for each in self.heads if each >= 200], "informational behind the head"
        self.heads.append(status)

    def content_taken(self, size: int) -> None:
        self.taken += size

    def refuse(self, refusal: Any) -> None:
        assert not self.end, f"refused, and {self.end}"
        self.end = "refused"
        self.exchange.disconnect()
        self.exchange.cancel_in_time()

    def abandoned(self) -> None:
        assert not self.end, f"abandoned, and {self.end}"
        self.end = "abandoned"

    async def drain(self) -> None:
        await self.writable.wait()


class Worker(Obedient):
    """Keeps what became of each message."""

    def __init__(self) -> None:
        super().__init__(limit_body_size=LIMIT, timeout_disconnect=1.0)

    def begin(self) -> None:
        super().begin()
        self.outcomes: list[tuple[Any, BaseException | None]] = []

    async def carry_out(self, order: Any, send: Any) -> None:
        try:
            await send(order)
        except (LocalProtocolError, TypeError, KeyError) as error:
            self.outcomes.append((order, error))
        else:
            self.outcomes.append((order, None))


def start(length: int | None = None, status: int = 200, **more: Any) -> dict[str, Any]:
    fields = [] if length is None else [(b"content-length", b"%d" % length)]
    return {"type": "http.response.start", "status": status, "headers": fields, **more}


def body(size: int, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": CONTENT[:size], "more_body": more}


FILE = tempfile.NamedTemporaryFile()  # noqa: SIM115 - as long as the module
FILE.write(CONTENT)
FILE.flush()

MESSAGES = st.sampled_from(
    [
        start(),
        start(),
        start(10),
        start(status=304),
        start(status=42),
        start(trailers=True),
        body(0, True),
        body(5, True),
        body(5, False),
        body(10, False),
        {"type": "http.response.body"},
        {"type": "http.response.body", "body": "text"},
        {"type": "http.response.early_hint", "links": [b"</a>"]},
        {"type": "http.response.pathsend", "path": FILE.name},
        {"type": "http.response.zerocopysend", "file": FILE.fileno(), "offset": 0, "count": 5},
        {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]},
        {"type": "websocket.send", "text": "no"},
    ]
)


class Model:
    """What ASGI allows: the state of one response, as far as the application goes."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.state = "initial"
        self.left: int | None = None

    def takes(self, message: dict[str, Any], trailers: bool) -> bool | None:
        """Whether ``message`` is right now; ``None``: it is not for this model to say."""
        kind = message["type"].rpartition(".")[2]
        if message["type"] == "websocket.send" or message.get("status") == 42:
            return False
        if kind == "start":
            if self.state != "initial":
                return False
            self.state = "started"
            bodiless = self.method == "HEAD" or message["status"] == 304
            lengths = [int(value) for _, value in message["headers"]]
            self.left = lengths[0] if lengths and not bodiless else None
            return True
        if kind == "early_hint":
            return self.state == "initial"
        if kind == "body":
            return self._takes_body(message)
        return None if self.state != "initial" else False

    def _takes_body(self, message: dict[str, Any]) -> bool:
        content, more = message.get("body", b""), message.get("more_body", False)
        if self.state not in ("started", "streaming") or isinstance(content, str):
            return False
        if self.left is not None:
            left = self.left - len(content)
            if left < 0 or (left and not more):
                return False
            self.left = left
        self.state = "streaming" if more else "complete"
        return True


class ExchangeMachine(Machine):
    """One exchange, and everything that may happen to it."""

    worker: Worker

    @initialize(
        method=st.sampled_from(["GET", "POST", "HEAD"]),
        trailers=st.booleans(),
        expects=st.booleans(),
    )
    def begin(self, method: str, trailers: bool, expects: bool) -> None:
        self.trailers = trailers
        self.arrived = b""
        self.gone = self.half = self.whole = False
        self.model: Model | None = Model(method)
        self.worker.begin()
        self.writer = Writer()
        length = 0 if method != "POST" else None
        fields = [(b"host", b"a")]
        head = RequestHead(method, b"/a", "1.1", "", None, "/a", b"/a", b"", fields, length, ())
        context, peer = self.worker.server.context, Peer(False, "http")
        peer.connected(MemoryTransport(loop=self.loop))
        exchange = open_exchange(context, self.writer, head, peer, trailers=trailers)
        self.exchange = self.writer.exchange = exchange
        exchange.continue_due = expects and method == "POST"
        self.whole = exchange.content_complete
        self.happens(begin, context, exchange)

    # -- the application

    @rule(message=MESSAGES, count=st.integers(0, 4))
    def it_sends(self, message: dict[str, Any], count: int) -> None:
        self.happens(self.worker.orders.put_nowait, message, count=count)

    @rule(times=st.integers(1, 3), count=st.integers(0, 2))
    def it_receives(self, times: int, count: int) -> None:
        for _ in range(times):
            self.happens(self.worker.orders.put_nowait, "receive", count=count)

    @rule(how=st.sampled_from(["return", "raise"]), really=RARELY)
    def it_ends(self, how: str, really: bool) -> None:
        if really:
            self.happens(self.worker.orders.put_nowait, how, count=2)

    # -- the peer, by way of the connection

    @precondition(lambda self: not (self.whole or self.half or self.gone or self.writer.end))
    @rule(size=st.integers(1, 10), last=RARELY)
    def content_comes(self, size: int, last: bool) -> None:
        def come() -> None:
            if self.writer.end:
                return
            try:
                self.exchange.content_received(CONTENT[:size])
            except RemoteProtocolError:
                assert len(self.arrived) + size > LIMIT
                self.gone = True
                self.exchange.disconnect()
                return
            self.arrived += CONTENT[:size]
            if last:
                self.whole = True
                self.exchange.request_complete()

        self.happens(come, count=1)

    @rule(really=RARELY)
    def the_peer_ends_its_side(self, really: bool) -> None:
        if really and not self.half and not self.gone:
            self.half = True
            self.happens(self.exchange.half_close, count=1)

    @rule(really=RARELY, aborted=st.booleans())
    def the_peer_goes(self, really: bool, aborted: bool) -> None:
        if really and not self.gone and not self.writer.end:
            self.gone = True
            context = self.worker.server.context

            def end() -> None:
                end_call(context, self.exchange, aborted=aborted)

            self.happens(end, count=1)

    @rule(paused=st.booleans())
    def the_peer_reads_or_does_not(self, paused: bool) -> None:
        def change() -> None:
            self.writer.write_paused = paused
            (self.writer.writable.clear if paused else self.writer.writable.set)()

        self.happens(change, count=1)

    # -- what holds at all times

    @invariant()
    def messages_are_taken_or_refused_as_asgi_says(self) -> None:
        outcomes = self.worker.outcomes
        for message, error in outcomes:
            allowed = None if self.model is None else self.model.takes(message, self.trailers)
            # Of files and trailers, and once the peer has gone or the response has ended early,
            # no more is said than that nothing breaks.
            if allowed is None or self.trailers or self.gone or self.writer.end == "refused":
                self.model = None
                continue
            assert (error is None) is allowed, (message, error)
        outcomes.clear()

    @invariant()
    def content_is_received_in_order_and_the_disconnect_last(self) -> None:
        received = self.worker.received
        kinds = [message["type"] for message in received]
        content = b"".join(message.get("body", b"") for message in received)
        assert self.arrived.startswith(content)
        if "http.disconnect" in kinds:
            assert self.gone or self.half or self.writer.end or self.exchange.disconnected
            assert set(kinds[kinds.index("http.disconnect") :]) == {"http.disconnect"}
        for message in received:
            if message.get("more_body") is False:
                assert self.whole

    @invariant()
    def what_is_sent_has_the_length_that_was_announced(self) -> None:
        writer = self.writer if hasattr(self, "writer") else None
        if writer is None or writer.length is None or self.exchange.head.method == "HEAD":
            return
        assert len(writer.content) <= writer.length
        if writer.end == "complete" and writer.heads[-1] != 304:
            assert len(writer.content) == writer.length

    def teardown(self) -> None:
        if not hasattr(self, "exchange"):
            return
        context = self.worker.server.context
        self.writer.write_paused = False
        self.happens(self.writer.writable.set)
        if self.half or self.gone or self.exchange.disconnected:
            self.loop.run_until_complete(turns(3))
            waits = self.worker.receiving
            assert waits is None or waits.done(), "receive waits for a peer that has gone"
        for _ in range(20):
            if context.running:
                self.worker.orders.put_nowait("return")
            self.loop.run_until_complete(turns(5))
        left = context.running
        if left:  # the next run has the same worker
            assert self.exchange.task is not None
            self.happens(self.exchange.task.cancel, count=3)
        assert not left, "the call does not end"
        if not self.gone:
            assert self.writer.end, "no response, and no end of it"


@pytest.fixture
def machine(caplog: pytest.LogCaptureFixture):
    """The machine with a worker to run on."""
    caplog.set_level("CRITICAL", "katana_asgi.error")
    loop = FakeTimeLoop()
    worker = Worker()
    loop.run_until_complete(worker.start())
    yield type("Machine", (ExchangeMachine,), {"loop": loop, "worker": worker})
    loop.run_until_complete(worker.close())
    loop.close()


def test_whatever_happens_an_exchange_keeps_the_rules_of_asgi_and_ends(machine):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples(300),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
