"""WebSocket frames (RFC 6455 §5) to events and back, without I/O.

``feed`` takes what was read and gives events; ``encode_*`` give bytes to write. A ``Close``
or a ``WebSocketError`` is the last event there is: what arrives after it is dropped.
"""

from __future__ import annotations

import sys
from secrets import token_bytes
from typing import TYPE_CHECKING, Final

from katana_asgi.errors import LocalProtocolError
from katana_asgi.websocket.events import (
    MAX_CONTROL,
    PROTOCOL_ERROR,
    TOO_BIG,
    Close,
    Event,
    Ping,
    Pong,
    WebSocketError,
    close_content,
    parse_close,
)
from katana_asgi.websocket.frames import (
    BINARY,
    CLOSE,
    CONTROL,
    FIN,
    MASKED,
    PING,
    PONG,
    RSV1,
    SMALL,
    TEXT,
    check_order,
    extended_length,
    frame_head,
)
from katana_asgi.websocket.mask import apply_mask
from katana_asgi.websocket.message import IncomingMessage, invalid_text, too_big

if TYPE_CHECKING:
    from katana_asgi.websocket.deflate import Deflate

__all__ = ["Close", "Event", "FrameCodec", "Ping", "Pong", "WebSocketError"]

DEFAULT_MAX_SIZE: Final = 16 * 1024 * 1024
"""Bytes of a message, inflated: against a peer that fills the memory."""

DEFAULT_MAX_FRAGMENTS: Final = 131_072
"""Frames of a message: against one that never ends; 4 MiB in frames of 64 bytes have 65,536."""

_TEXT_HEADS: Final = tuple(bytes((FIN | TEXT, size)) for size in range(SMALL))
_BINARY_HEADS: Final = tuple(bytes((FIN | BINARY, size)) for size in range(SMALL))
_WHOLE_TEXT: Final = FIN | TEXT
_WHOLE_BINARY: Final = FIN | BINARY


class FrameCodec:
    """Both directions of one connection after its handshake.

    ``max_size`` limits a message in bytes and ``max_fragments`` its frames; 0 is no limit.
    ``deflate`` is the agreed compression, or ``None``. ``client`` turns the roles round:
    it masks what it sends and refuses masked frames (RFC 6455 §5.1).

    ::

        for event in codec.feed(data):
            if type(event) is str or type(event) is bytes: ...        # a whole message
            elif type(event) is Ping: write(codec.encode_pong(event.content))
            elif type(event) is Close: ...                            # answer it, then close
            elif type(event) is WebSocketError:
                write(codec.encode_close(event.code, event.reason))   # then close

    Sending keeps no state but the compressor's: what may be sent when is the caller's affair.
    """

    __slots__ = (
        "_client",
        "_compressed_limit",
        "_deflate",
        "_ended",
        "_fresh",
        "_head",
        "_limit",
        "_max_fragments",
        "_message",
        "_plain_below",
        "_shortcut",
    )

    def __init__(
        self,
        *,
        max_size: int = DEFAULT_MAX_SIZE,
        max_fragments: int = DEFAULT_MAX_FRAGMENTS,
        deflate: Deflate | None = None,
        client: bool = False,
    ) -> None:
        self._client = client
        self._deflate = deflate
        self._limit = max_size or sys.maxsize - 1  # one more must still be a C size
        # No deflate encoder makes data larger than this (deflateBound of zlib, any settings).
        self._compressed_limit = self._limit + (self._limit >> 2) + 64
        self._max_fragments = max_fragments or sys.maxsize
        self._ended = False
        self._fresh = True  # open, nothing of a frame or message held
        self._head = b""  # the start of a frame whose head (control: whole frame) is incomplete
        self._message: IncomingMessage | None = None  # begun and not finished
        # The two shortcuts are for servers: a client's frames are masked the other way.
        self._shortcut = 0 if client else 6 + min(self._limit, 0xFFFF)  # largest read for it
        self._plain_below = 0 if client else SMALL
        if deflate is not None:
            self._plain_below = min(self._plain_below, deflate.threshold)

    @property
    def ended(self) -> bool:
        """Whether the last event there is has been given."""
        return self._ended

    @property
    def compresses(self) -> bool:
        """Whether compression was agreed: a small read may become large messages."""
        return self._deflate is not None

    def feed(self, data: bytes) -> list[Event]:
        """The events that ``data``, the next bytes of the connection, completes.

        Never raises: a breach is the last event, a ``WebSocketError`` with the close code
        and reason that answer it, after every event that was complete before it.
        """
        # A read that is one message in one plain frame and nothing else decides the speed.
        size = len(data)
        if self._fresh and 6 <= size <= self._shortcut:
            if size < 6 + SMALL:
                start = 6
                whole = data[1] == size + (MASKED - 6)
            else:
                start = 8
                whole = data[1] == MASKED | 126 and (data[2] << 8 | data[3]) == size - 8 >= SMALL
            first = data[0]
            if whole and first == _WHOLE_TEXT:
                try:
                    return [apply_mask(data[start:], data[start - 4 : start]).decode()]
                except UnicodeDecodeError:
                    return [self._end(invalid_text())]
            if whole and first == _WHOLE_BINARY:
                return [apply_mask(data[start:], data[start - 4 : start])]
        return self._read(data)

    def _end(self, event: Event) -> Event:
        """Make ``event`` the last one and let go of what is held."""
        self._ended = True
        self._fresh = False
        self._head = b""
        self._message = None
        return event

    def _read(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        if self._head:
            data = self._head + data
            self._head = b""
        position = 0
        end = len(data)
        try:
            while position < end and not self._ended:
                if self._message is not None and self._message.left:
                    position = self._read_content(self._message, data, position, events)
                    continue
                reached = self._read_frame(data, position, events)
                if reached == position:
                    self._head = data[position:]
                    break
                position = reached
        except WebSocketError as error:
            events.append(self._end(error))
        self._fresh = not (self._head or self._ended) and self._message is None
        return events

    def _read_frame(self, data: bytes, start: int, events: list[Event]) -> int:
        """Read the frame at ``start``; return where it was left, ``start`` if bytes are missing.

        Checks go byte by byte, so that the verdict does not depend on how reads fall.
        """
        first = data[start]
        check_order(first, self._deflate is not None, self._message is not None)
        available = len(data) - start
        if available < 2:
            return start
        length = data[start + 1] & 0x7F
        if (data[start + 1] >= MASKED) is self._client:
            # RFC 6455 §5.1: a client masks every frame, a server none.
            raise WebSocketError(PROTOCOL_ERROR, "wrong masking")
        position = start + 2
        if first & CONTROL:
            return self._read_control(data, start, first, length, events)
        if length >= SMALL:
            position += 2 if length == SMALL else 8
            if available < position - start:
                return start
            length = extended_length(data[start + 2 : position])
        self._check_size(first, length)
        if not self._client:
            position += 4
            if available < position - start:
                return start
        return self._read_data(data, position, first, length, events)

    def _check_size(self, first: int, length: int) -> None:
        """Refuse by its head a frame that makes the message too big or too fragmented."""
        message = self._message
        if message is None:
            limit = self._compressed_limit if first & RSV1 else self._limit
        else:
            limit = self._limit if message.deflate is None else self._compressed_limit
            length += message.announced
            if message.frames >= self._max_fragments:
                raise WebSocketError(TOO_BIG, "too many fragments")
        if length > limit:
            raise too_big()

    def _read_control(
        self, data: bytes, start: int, first: int, length: int, events: list[Event]
    ) -> int:
        """Read a control frame, whole or not at all (RFC 6455 §5.5)."""
        if length > MAX_CONTROL:
            raise WebSocketError(PROTOCOL_ERROR, "control frame is too long")
        position = start + (2 if self._client else 6)
        end = position + length
        if len(data) < end:
            return start
        content = data[position:end]
        if not self._client:
            content = apply_mask(content, data[position - 4 : position])
        opcode = first & 0x0F
        if opcode == PING:
            events.append(Ping(content))
        elif opcode == PONG:
            events.append(Pong(content))
        else:
            events.append(self._end(parse_close(content)))
        return end

    def _read_data(
        self, data: bytes, position: int, first: int, length: int, events: list[Event]
    ) -> int:
        """Begin a data frame whose content starts at ``position``."""
        message = self._message
        if message is None:
            end = position + length
            if first & (FIN | RSV1) == FIN and end <= len(data):
                events.append(self._plain_message(data, position, end, first & 0x0F))
                return end
            deflate = self._deflate if first & RSV1 else None
            message = IncomingMessage(first & 0x0F == TEXT, deflate, self._limit)
            self._message = message
        key = b"" if self._client else data[position - 4 : position]
        message.begin_frame(length, first >= FIN, key)
        return self._read_content(message, data, position, events)

    def _plain_message(self, data: bytes, start: int, end: int, opcode: int) -> str | bytes:
        """The message that is one whole, uncompressed frame."""
        content: bytes
        if self._client:
            content = data[start:end]
        else:
            content = apply_mask(memoryview(data)[start:end], data[start - 4 : start])
        if opcode == BINARY:
            return content
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise invalid_text() from None

    def _read_content(
        self, message: IncomingMessage, data: bytes, position: int, events: list[Event]
    ) -> int:
        """Take what is there of the current data frame; return where it was left."""
        end = min(position + message.left, len(data))
        part = data[position:end]
        message.left -= end - position
        if not self._client:
            part = apply_mask(part, message.key)
            turn = len(part) & 3
            message.key = message.key[turn:] + message.key[:turn]
        if message.final and not message.left:
            events.append(message.finish(part))
            self._message = None
        else:
            message.add(part)
        return end

    def encode_text(self, text: str) -> bytes:
        """A text message as one frame, compressed where that was agreed and is worth it.

        Raises ``LocalProtocolError`` for text that UTF-8 cannot carry (lone surrogates).
        """
        content = _utf8(text)
        size = len(content)
        if size < self._plain_below:
            return _TEXT_HEADS[size] + content
        head, content = self._frame(TEXT, content)
        return head + content

    def encode_binary(self, content: bytes) -> bytes:
        """A binary message as one frame; see ``encode_text``."""
        size = len(content)
        if size < self._plain_below:
            return _BINARY_HEADS[size] + content
        head, content = self._frame(BINARY, content)
        return head + content

    def encode_parts(self, message: str | bytes) -> tuple[bytes, bytes]:
        """A message as the head of its frame and the content, which is not copied.

        For large messages: two buffers for one gathering write. Raises as ``encode_text``.
        """
        if isinstance(message, str):
            return self._frame(TEXT, _utf8(message))
        return self._frame(BINARY, message)

    def encode_ping(self, content: bytes = b"") -> bytes:
        """A ping frame; ``LocalProtocolError`` for more than 125 bytes."""
        return self._control(PING, content)

    def encode_pong(self, content: bytes = b"") -> bytes:
        """A pong frame; ``LocalProtocolError`` for more than 125 bytes."""
        return self._control(PONG, content)

    def encode_close(self, code: int | None = None, reason: str = "") -> bytes:
        """A close frame; raises what ``events.close_content`` raises."""
        return self._control(CLOSE, close_content(code, reason))

    def _control(self, opcode: int, content: bytes) -> bytes:
        if len(content) > MAX_CONTROL:
            raise LocalProtocolError("a control frame carries at most 125 bytes")
        head, content = self._seal(FIN | opcode, content)
        return head + content

    def _frame(self, opcode: int, content: bytes) -> tuple[bytes, bytes]:
        first = FIN | opcode
        deflate = self._deflate
        if deflate is not None and len(content) >= deflate.threshold:
            compressed = deflate.compress(content)
            if compressed is not None:
                return self._seal(first | RSV1, compressed)
        return self._seal(first, content)

    def _seal(self, first: int, content: bytes) -> tuple[bytes, bytes]:
        """The head for ``content``, and ``content`` as it travels."""
        head = frame_head(first, len(content), MASKED if self._client else 0)
        if not self._client:
            return head, content
        key = token_bytes(4)  # RFC 6455 §5.3: unpredictable, a new one for each frame
        return head + key, apply_mask(content, key)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise LocalProtocolError("text cannot be encoded as UTF-8") from None
