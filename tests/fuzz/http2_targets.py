"""Fuzz targets of HTTP/2: header blocks, what a client may send, and a client that is strict."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import h2.config
import h2.connection
import h2.events
from h2.settings import SettingCodes
from hpack import Decoder, HPACKError

from katana_asgi import codec
from katana_asgi.codec import hpack as twin
from katana_asgi.codec.hpack import NAME_CODES, STATIC_TABLE
from katana_asgi.http.refusal import OVERLOADED
from katana_asgi.http2.flow import CONNECTION_WINDOW, GROWTH_ALLOWANCE, STREAM_WINDOW
from katana_asgi.http2.heads import EXAMINED
from katana_asgi.http2.stream import HIGH_WATER
from tests.http2.peer import Call, Peer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["header_blocks", "http2_clients", "http2_connections"]

_DECODERS: Final = [twin.decode_fields, *([codec.decode_fields] if codec.NATIVE else [])]

_LISTS: Final = ((2**20, 10_000), (200, 4))


def header_blocks(data: bytes) -> None:
    """Twin and C decode alike, and nothing that the ``hpack`` library would read differently.

    The first byte says how long the first of the blocks is, and so on.
    """
    blocks = []
    while data:
        size = data[0]
        blocks.append(data[1 : 1 + size])
        data = data[1 + size :]
    for max_size, max_count in _LISTS:
        results = [_decoded(decode, blocks, max_size, max_count) for decode in _DECODERS]
        assert all(result == results[0] for result in results), results
    library = Decoder(max_header_list_size=2**30)
    for block, decoded in zip(blocks, _decoded(_DECODERS[0], blocks, *_LISTS[0]), strict=False):
        if isinstance(decoded, str):
            with suppress(HPACKError):  # it reads integers and sizes that are refused here
                library.decode(block, raw=True)
            return
        fields = [(bytes(each[0]), bytes(each[1])) for each in library.decode(block, raw=True)]
        assert decoded[0][0] == fields[: len(decoded[0][0])]
        if not decoded[0][4]:
            assert decoded[0][0] == fields
            for encode in (twin.encode_fields, codec.encode_fields):
                again = _DECODERS[-1](
                    encode(fields, NAME_CODES), STATIC_TABLE, EXAMINED, [], 0, 0, 0, 2**20, 10_000
                )
                assert again[0] == fields
        assert decoded[1] == [*library.header_table.dynamic_entries][::-1]


def _decoded(decode: Any, blocks: list[bytes], max_size: int, max_count: int) -> list[Any]:
    entries: list[Any] = []
    size, capacity = 0, 4096
    found: list[Any] = []
    for block in blocks:
        try:
            decoded = decode(
                block, STATIC_TABLE, EXAMINED, entries, size, capacity, 4096, max_size, max_count
            )
        except ValueError as error:
            return [*found, str(error)]
        size, capacity = decoded[5:]
        assert size == sum(len(name) + len(value) + 32 for name, value in entries) <= capacity
        found.append((decoded, entries[:]))
    return found


_LIMITS: Final = {"limit_streams": 5, "limit_header_size": 400, "limit_header_count": 12}


def http2_connections(data: bytes) -> None:
    """However what a client sends is cut it has the same answer, and nothing is left behind."""
    from tests.fuzz.targets import cut

    whole = _served([data])
    assert _served(cut(data)) == whole
    for each in whole[0]:
        assert each.count("*") <= 1


def _served(reads: list[bytes]) -> tuple[list[str], list[Any]]:
    peer = Peer(**_LIMITS)
    peer.send(*reads)
    connection = peer.connection
    outcome = peer.outcome()
    seen = [(call.head.method, call.head.target, call.head.fields) for call in peer.calls]
    assert len(connection.streams) <= 5
    assert sum(not call.task.done() for call in peer.calls) <= 10
    assert all(len(call.content) <= STREAM_WINDOW for call in peer.calls if not call.complete)
    peer.tick(80)
    peer.transport.close()
    peer.loop.turn()
    assert not connection.streams
    assert connection.sender.queued == 0
    assert connection.allowance.left == GROWTH_ALLOWANCE
    assert not peer.context.clock.watched
    assert not peer.context.clock.stalled
    assert all(call.disconnected or call.task.done() for call in peer.calls)
    return outcome, seen


_AUTHORITY: Final = [(":method", "POST"), (":scheme", "http"), (":authority", "a")]


class _Client:
    """The ``h2`` library as a client: it refuses whatever a server must not send."""

    def __init__(self) -> None:
        configuration = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self.h2 = h2.connection.H2Connection(configuration)
        self.window = 500
        self.h2.initiate_connection()
        self.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: self.window})
        self.peer = Peer(handshake=False)
        self._seen = 0
        self.content: dict[int, bytes] = {}
        self.expected: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.uploading: set[int] = set()  # h2 loses a stream where it refuses to send on it
        self.live: set[int] = set()
        self.exchange()

    def exchange(self) -> None:
        """Let both sides speak until they have nothing more to say."""
        written = self.peer.transport.sent
        while True:
            data = self.h2.data_to_send()
            if data:
                self.peer.send(data)
            self.peer.loop.turn()
            news = bytes(written[self._seen :])
            self._seen += len(news)
            for event in self.h2.receive_data(news):
                self._heard(event)
            if not data and not news:
                return

    def _heard(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.DataReceived):
            stream = event.stream_id
            self.content[stream] = self.content.get(stream, b"") + event.data
        elif isinstance(event, h2.events.StreamEnded):
            assert event.stream_id is not None
            self.ended.add(event.stream_id)
            self._over(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            assert event.stream_id is not None
            self._over(event.stream_id)
        else:
            assert not isinstance(event, h2.events.ConnectionTerminated), event

    def _over(self, stream: int) -> None:
        self.live.discard(stream)
        self.uploading.discard(stream)

    def act(self, action: int, choice: int) -> None:
        """Do one of the things that a client or an application does."""
        calls = self.peer.calls
        call = calls[choice % len(calls)] if calls else None
        stream = call.stream.id if call else 1
        _ACTIONS[action % len(_ACTIONS)](self, stream, call, choice)
        self.exchange()

    def open(self, stream: int, call: Call | None, choice: int) -> None:
        path = (b"/", b"/early", b"/hold", b"/hold")[choice % 4].decode()
        number = self.h2.get_next_available_stream_id()
        end = choice % 3 == 0
        self.h2.send_headers(number, [*_AUTHORITY, (":path", path)], end_stream=end)
        self.live.add(number)
        if not end:
            self.uploading.add(number)

    def upload(self, stream: int, call: Call | None, choice: int) -> None:
        if stream not in self.uploading:
            return
        padding = choice % 9
        room = self.h2.local_flow_control_window(stream) - padding - 1
        if room < 0:
            return
        end = choice % 5 == 0
        content = bytes(min(choice * 97, room, 16000))
        self.h2.send_data(stream, content, end_stream=end, pad_length=padding)
        if end:
            self.uploading.discard(stream)

    def reset(self, stream: int, call: Call | None, choice: int) -> None:
        if stream in self.live:
            self.h2.reset_stream(stream)
            self._over(stream)

    def settings(self, stream: int, call: Call | None, choice: int) -> None:
        # Never less: h2 refuses an empty DATA frame while a window is below zero.
        self.window = max(self.window, choice * 300)
        self.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: self.window})

    def widen(self, stream: int, call: Call | None, choice: int) -> None:
        if stream in self.live:
            self.h2.increment_flow_control_window(1 + choice * 50, stream if choice % 3 else None)

    def ping(self, stream: int, call: Call | None, choice: int) -> None:
        self.h2.ping(b"12345678")

    def respond(self, stream: int, call: Call | None, choice: int) -> None:
        if call is not None and call.head.path == "/hold" and not call.task.done():
            if not call.stream.live:
                return
            if stream not in self.expected:
                self.expected[stream] = b""
                call.answer(b"", more=True)
            content = bytes((choice,)) * (choice * 111)
            self.expected[stream] += content
            if choice % 4 == 0:
                call.task.finish()
            call.stream.send_content(content, choice % 4 != 0)

    def finish(self, stream: int, call: Call | None, choice: int) -> None:
        if call is not None and call.head.path == "/hold" and not call.task.done():
            if not call.stream.live:
                return
            call.task.finish()
            if not call.on_the_wire:
                self.expected[stream] = OVERLOADED.content
                call.stream.refuse(OVERLOADED)
            else:
                call.stream.send_trailers(((b"x", b"y"),))

    def take(self, stream: int, call: Call | None, choice: int) -> None:
        if call is not None and call.content:
            call.stream.content_taken(len(call.content))
            call.content = b""


_ACTIONS: Final[tuple[Callable[[_Client, int, Call | None, int], None], ...]] = (
    _Client.open,
    _Client.upload,
    _Client.reset,
    _Client.settings,
    _Client.widen,
    _Client.ping,
    _Client.respond,
    _Client.respond,
    _Client.finish,
    _Client.take,
)


def http2_clients(data: bytes) -> None:
    """Whatever a correct client and an application do, a strict client finds nothing wrong.

    Each pair of bytes is an action and a choice.
    """
    client = _Client()
    for action, choice in zip(data[::2], data[1::2], strict=False):
        client.act(action, choice)
        sender = client.peer.connection.sender
        assert sender.queued == sum(
            stream.queued for stream in client.peer.connection.streams.values()
        )
        assert sender.size <= HIGH_WATER + 16 * 1024
    for stream, content in client.content.items():
        expected = client.expected.get(stream)
        if expected is None:
            assert content == b"ok"
        elif stream in client.ended:
            assert content == expected
        else:
            assert expected.startswith(content)
    assert client.peer.connection.inbound.left > CONNECTION_WINDOW // 2
