"""Compression as the groups 12 and 13 of the Autobahn test suite try it.

Group 12: kinds of content, sizes and fragmentation. Group 13: what client and server agree
on. The echoed messages are inflated by zlib with exactly the agreed window.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from websocket_compression import Deflater, Inflater, noise, prose, records
from websocket_frames import BINARY, TEXT, Echo, cuts, fragments

from katana_asgi.websocket.codec import FrameCodec
from katana_asgi.websocket.deflate import (
    Deflate,
    DeflateParameters,
    DeflateSettings,
    negotiate,
)
from katana_asgi.websocket.handshake import parse_extensions

MESSAGES = 3
"""Enough to see whether windows carry over as agreed."""

SIZES = (16, 64, 256, 1024, 4096, 16384, 131_072)
FRAGMENTED = ((8192, 256), (65536, 1024), (131_072, 4096), (131_072, 32768))


def agree(offers: bytes, **wishes: int) -> tuple[DeflateParameters, DeflateSettings]:
    settings = DeflateSettings(**wishes)  # type: ignore[arg-type]  # ints and bools by name
    parameters = negotiate(parse_extensions([offers]), settings)
    assert parameters is not None
    return parameters, settings


def read_frames(data: bytes) -> list[tuple[int, bytes]]:
    """The first byte and the content of each unmasked frame in ``data``."""
    frames: list[tuple[int, bytes]] = []
    position = 0
    while position < len(data):
        first, length = data[position], data[position + 1]
        position += 2
        if length > 125:
            width = 2 if length == 126 else 8
            length = int.from_bytes(data[position : position + width], "big")
            position += width
        frames.append((first, data[position : position + length]))
        position += length
    return frames


def check_echo(offers: bytes, opcode: int, content: bytes, fragment: int, **wishes: int) -> None:
    """Messages go there compressed, come back as they were, however reads fall."""
    parameters, settings = agree(offers, **wishes)
    deflater = Deflater(
        bits=max(parameters.client_max_window_bits, 9),
        takeover=not parameters.client_no_context_takeover,
    )
    messages = [content[index:] + content[:index] for index in range(MESSAGES)]
    if opcode == TEXT:
        messages = [content] * MESSAGES
    sent = b"".join(
        b"".join(fragments(opcode, deflater(message), fragment or 1 << 20, rsv=4))
        for message in messages
    )
    answers = []
    for size in (len(sent), 1, 2047) if len(sent) < 2048 else (len(sent), 1999):
        echo = Echo(FrameCodec(deflate=Deflate(parameters, settings)))
        answers.append(echo.receive(*cuts(sent, size)))
    assert len(set(answers)) == 1
    inflater = Inflater(
        bits=parameters.server_max_window_bits,
        takeover=not parameters.server_no_context_takeover,
    )
    echoed = [inflater(data) if first & 0x40 else data for first, data in read_frames(answers[0])]
    assert echoed == messages


@pytest.mark.parametrize(("size", "fragment"), [*((size, 0) for size in SIZES), *FRAGMENTED])
@pytest.mark.parametrize(
    ("opcode", "make"), [(TEXT, prose), (BINARY, prose), (BINARY, noise), (TEXT, records)]
)
def test_contents_sizes_and_fragments(
    opcode: int, make: Callable[[int], bytes], size: int, fragment: int
) -> None:
    check_echo(b"permessage-deflate; client_max_window_bits", opcode, make(size), fragment)


OFFERS = {
    "13.1 default": b"permessage-deflate; client_no_context_takeover; client_max_window_bits",
    "13.2 no takeover": b"permessage-deflate; server_no_context_takeover",
    "13.3 window of 9": b"permessage-deflate; server_max_window_bits=9",
    "13.4 window of 15": b"permessage-deflate; server_max_window_bits=15",
    "13.5 both, 9": b"permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
    "13.6 both, 15": b"permessage-deflate; server_no_context_takeover; server_max_window_bits=15",
    "13.7 three offers": b"permessage-deflate; server_max_window_bits=9; server_no_context_takeover"
    b", permessage-deflate; server_no_context_takeover, permessage-deflate",
    "window of 8": b"permessage-deflate; server_max_window_bits=8; client_max_window_bits=8",
}


@pytest.mark.parametrize("offers", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("bits", [9, 12, 15])
@pytest.mark.parametrize(("size", "fragment"), [(16, 0), (1024, 0), (65536, 0), (65536, 256)])
def test_parameters(offers: bytes, takeover: bool, bits: int, size: int, fragment: int) -> None:
    check_echo(
        offers,
        TEXT,
        records(size),
        fragment,
        server_max_window_bits=bits,
        client_max_window_bits=bits,
        server_no_context_takeover=not takeover,
        client_no_context_takeover=not takeover,
    )
