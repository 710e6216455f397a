"""permessage-deflate (RFC 7692): what was agreed, and the compressors that do it.

Inflating is bounded by the room a message has left, so a small frame cannot become a
large memory. Compressors and windows are made when first used: an idle connection has none.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from katana_asgi.websocket.events import INVALID_DATA, WebSocketError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from katana_asgi.websocket.handshake import ExtensionOffer

__all__ = ["Deflate", "DeflateParameters", "DeflateSettings", "negotiate"]

NAME: Final = b"permessage-deflate"

TAIL: Final = b"\x00\x00\xff\xff"
"""The end of a sync flush, left out on the wire (RFC 7692 §7.2.1)."""

MAX_FINAL_BLOCKS: Final = 16
"""Against a message of nothing but final blocks, each of which costs a new decompressor."""

FULL_WINDOW: Final = 15
SMALLEST_WINDOW: Final = 9
"""zlib has no raw compressor with a window of 2**8 bytes."""

_WINDOW_BITS: Final = {str(bits).encode(): bits for bits in range(8, 16)}
"""RFC 7692 §7.1.2: a decimal without leading zeros, 8 to 15."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeflateSettings:
    """What the server wishes for.

    ``*_max_window_bits`` (9 to 15) and ``memory_level`` (1 to 9) trade memory for size:
    12 and 5 hold 32 KiB to compress and 4 KiB to inflate where 15 and 8 hold 256 and 32.
    ``*_no_context_takeover`` forgets the window after each message. ``level`` is zlib's.
    Messages below ``threshold`` bytes are sent as they are.
    """

    server_max_window_bits: int = 12
    client_max_window_bits: int = 12
    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    level: int = 3
    memory_level: int = 5
    threshold: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class DeflateParameters:
    """What both sides agreed on (RFC 7692 §7.1), and the field value that says so."""

    server_max_window_bits: int = FULL_WINDOW
    client_max_window_bits: int = FULL_WINDOW
    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    response: bytes = NAME


def negotiate(
    offers: Iterable[ExtensionOffer], settings: DeflateSettings
) -> DeflateParameters | None:
    """The first offer of permessage-deflate that can be had, or ``None``.

    An offer with an unknown, repeated or malformed parameter is passed over, as RFC 7692
    §7.1 demands; the next one may be simpler.
    """
    for offer in offers:
        if offer.name == NAME:
            wanted = _parameters(offer)
            if wanted is not None:
                return _accept(wanted, settings)
    return None


def _parameters(offer: ExtensionOffer) -> dict[bytes, int] | None:
    """The parameters of an offer as numbers; flags are 1. ``None`` if one is wrong."""
    wanted: dict[bytes, int] = {}
    for name, value in offer.parameters:
        number: int | None
        if name in (b"server_no_context_takeover", b"client_no_context_takeover"):
            number = 1 if value is None else None
        elif name == b"server_max_window_bits":
            number = None if value is None else _WINDOW_BITS.get(value)
        elif name == b"client_max_window_bits":
            # Without a value: the client can limit its window and leaves it to the server.
            number = FULL_WINDOW if value is None else _WINDOW_BITS.get(value)
        else:
            number = None
        if number is None or name in wanted:
            return None
        wanted[name] = number
    return wanted


def _accept(wanted: dict[bytes, int], settings: DeflateSettings) -> DeflateParameters:
    """Answer a valid offer: the narrower of both sides' wishes (RFC 7692 §7.1.1, §7.1.2)."""
    response = [NAME]
    flags: dict[bytes, bool] = {}
    for name, own in (
        (b"server_no_context_takeover", settings.server_no_context_takeover),
        (b"client_no_context_takeover", settings.client_no_context_takeover),
    ):
        flags[name] = own or name in wanted
        if flags[name]:
            response.append(name)
    server_bits = min(
        wanted.get(b"server_max_window_bits", FULL_WINDOW), settings.server_max_window_bits
    )
    if server_bits < FULL_WINDOW or b"server_max_window_bits" in wanted:
        response.append(b"server_max_window_bits=%d" % server_bits)
    client_bits = FULL_WINDOW
    if b"client_max_window_bits" in wanted:  # else the client could not obey
        client_bits = min(wanted[b"client_max_window_bits"], settings.client_max_window_bits)
        if client_bits < FULL_WINDOW:
            response.append(b"client_max_window_bits=%d" % client_bits)
    return DeflateParameters(
        server_max_window_bits=server_bits,
        client_max_window_bits=client_bits,
        server_no_context_takeover=flags[b"server_no_context_takeover"],
        client_no_context_takeover=flags[b"client_no_context_takeover"],
        response=b"; ".join(response),
    )


class Deflate:
    """The compressor and the decompressor of one connection.

    ``client`` turns the roles of the parameters round.
    """

    __slots__ = (
        "_compressor",
        "_decompressor",
        "_final_blocks",
        "_forget_received",
        "_forget_sent",
        "_level",
        "_memory_level",
        "_received_bits",
        "_sent_bits",
        "threshold",
    )

    def __init__(
        self, parameters: DeflateParameters, settings: DeflateSettings, *, client: bool = False
    ) -> None:
        sent = (parameters.server_max_window_bits, parameters.server_no_context_takeover)
        received = (parameters.client_max_window_bits, parameters.client_no_context_takeover)
        if client:
            sent, received = received, sent
        self._sent_bits, self._forget_sent = sent
        bits, self._forget_received = received
        # A peer that was told 8 and uses zlib compresses with 9.
        self._received_bits = max(bits, SMALLEST_WINDOW)
        self._level = settings.level
        self._memory_level = settings.memory_level
        # An empty message has nothing to flush and would need RFC 7692 §7.2.3.6.
        self.threshold = max(settings.threshold, 1)
        self._compressor: zlib._Compress | None = None
        self._decompressor: zlib._Decompress | None = None
        self._final_blocks = 0

    def compress(self, content: bytes) -> bytes | None:
        """``content`` compressed, without its tail, or ``None`` if it has to go as it is.

        A window of 8 bits was agreed: zlib cannot, and RFC 7692 §6 lets any message go
        uncompressed. So can one that did not shrink, while no window carries over.
        """
        if self._sent_bits < SMALLEST_WINDOW:
            return None
        compressor = self._compressor
        if compressor is None:
            compressor = zlib.compressobj(
                self._level, zlib.DEFLATED, -self._sent_bits, self._memory_level
            )
            if not self._forget_sent:
                self._compressor = compressor
        compressed = compressor.compress(content) + compressor.flush(zlib.Z_SYNC_FLUSH)
        if self._forget_sent and len(compressed) - len(TAIL) >= len(content):
            return None
        return compressed[: -len(TAIL)]

    def begin_message(self) -> None:
        """A compressed message begins."""
        self._final_blocks = 0
        if self._forget_received:
            self._decompressor = None

    def inflate(self, part: bytes, room: int, last: bool) -> bytes:
        """The next part of a message inflated, ``room + 1`` bytes at most.

        The byte too many tells the caller that there is more than fits. ``last`` says that
        the message ends with ``part``.

        Raises ``WebSocketError`` (1007) for data that is not deflate, or too many final blocks.
        """
        if last:
            part += TAIL
        decompressor = self._decompressor or self._renew()
        try:
            inflated = decompressor.decompress(part, room + 1)
            # RFC 7692 §7.2.3.4: blocks may follow a final one. The window starts anew, as it
            # does for the peers known to end blocks so.
            while decompressor.eof and len(inflated) <= room:
                self._final_blocks += 1
                if self._final_blocks > MAX_FINAL_BLOCKS:
                    raise WebSocketError(INVALID_DATA, "too many final blocks")
                rest = decompressor.unused_data
                decompressor = self._renew()
                inflated += decompressor.decompress(rest, room + 1 - len(inflated))
        except zlib.error:
            raise WebSocketError(INVALID_DATA, "invalid compressed data") from None
        return inflated

    def _renew(self) -> zlib._Decompress:
        self._decompressor = decompressor = zlib.decompressobj(-self._received_bits)
        return decompressor
