"""What a fuzzer begins with: the wire corpus, the WebSocket cases, and what was found before.

Findings and further seeds are files in ``corpus/TARGET``; the rest is taken from where it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.http2.wire_cases import CASES as HTTP2_CASES
from tests.websocket.websocket_cases import CASES
from tests.wire.corpus import load

__all__ = ["CORPUS", "seeds"]

CORPUS: Final = Path(__file__).parent / "corpus"

WIRE: Final = Path(__file__).parent.parent / "wire"

LONGEST: Final = 4096
"""Bytes of a seed: a fuzzer learns more from short ones."""

FORWARDED: Final = [
    b"\x00for=192.0.2.60;proto=http;by=203.0.113.43",
    b'\x00for="[2001:db8:cafe::17]:4711", for=unknown, for=_hidden;host="a.example"',
    b"\x01192.0.2.43, 10.0.0.2, 2001:db8:cafe::17\n\x02a.example\n\x03443\n\x04/app\n\x05https",
    b"\x01fe80::1%eth0\n\x010.0.0.0:99999\n\x04/a/../b\n\x04//host\n\x04/%2e%2e/x",
]

_V2: Final = b"\r\n\r\n\0\r\nQUIT\n"

PROXIED: Final = [
    b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\nGET / HTTP/1.1\r\n",
    b"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 65535 0\r\n",
    b"PROXY UNKNOWN whatever else\r\n",
    _V2 + b"\x21\x11\0\x0c" + bytes(range(12)),
    _V2 + b"\x21\x21\0\x29" + bytes(36) + b"\x01\0\x02h2",
    _V2 + b"\x21\x11\0\x19" + bytes(12) + b"\x20\0\x0a\x07" + bytes(4) + b"\x22\0\x02ab",
    _V2 + b"\x21\x31\0\xd8" + b"/run/client".ljust(108, b"\0") + bytes(108),
    _V2 + b"\x20\0\0\0",
]

_KEY: Final = b"\x00dGhlIHNhbXBsZSBub25jZQ==\n"

HANDSHAKES: Final = [
    _KEY,
    _KEY + b"\x01chat, superchat\n\x01v2",
    _KEY + b"\x02permessage-deflate; client_max_window_bits; server_max_window_bits=10",
    _KEY + b'\x02permessage-deflate; server_max_window_bits="9", permessage-deflate,, x',
    _KEY + b"\x05h2c\n\x04close",
]

PRECONDITIONS: Final = [
    b'"a", W/"b" ,, "a,b"\n*',
    b"*\n",
    b'W/"a"\n"a", ""',
    b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
]

HEADER_BLOCKS: Final = [
    bytes.fromhex("14828684410f7777772e6578616d706c652e636f6d0e828684be58086e6f2d6361636865"),
    bytes.fromhex("11828684418cf1e3c2e5f23a6ba0ab90f4ff0c828684be5886a8eb10649cbf01be"),
    b"\x02\x3f\xe1\x0a\x40\x01x\x81\xf3\x00\x01y\x01z\xbe\x01\x20",
]

HTTP2_CLIENTS: Final = [
    b"\0\0\0\1\0\2\6\7\6\10\1\5\2\0",
    b"\3\0\0\2\6\xff\4\xff\3\xff\10\0\11\0",
    b"\0\3\1\xff\1\xff\11\0\1\xff\6\4",
]

VALUES: Final = [
    b"[2001:db8::192.0.2.1]:4711",
    b"::ffff:192.0.2.60",
    b"192.0.2.60:_hidden",
    b"Content-Type: text/html\nContent-Length: 5\ncontent-length:05\nConnection: x, close",
    b"date:now\nServer:x\nTE:a\nx-a:\t b \nTransfer-Encoding:chunked",
]

_OTHERS: Final = {
    "header_blocks": HEADER_BLOCKS,
    "http2_connections": [case.sent for case in HTTP2_CASES],
    "http2_clients": HTTP2_CLIENTS,
    "forwarded": FORWARDED,
    "proxied": PROXIED,
    "handshakes": HANDSHAKES,
    "preconditions": PRECONDITIONS,
    "values": VALUES,
}


def seeds(target: str) -> list[bytes]:
    """All seeds of a target, what was found before at the end."""
    known: list[bytes] = []
    if target in ("requests", "connections", "heads"):
        known = _wire()
    elif target == "chunks":
        known = [data.partition(b"\r\n\r\n")[2] for data in _wire() if b"hunked" in data]
    elif target in _OTHERS:
        known = _OTHERS[target]
    elif target == "frames":
        known = [b"".join(case.sent) for case in CASES]
    files = sorted((CORPUS / target).glob("*"))
    return [data for data in known if 0 < len(data) <= LONGEST] + [
        file.read_bytes() for file in files
    ]


def _wire() -> list[bytes]:
    return [
        b"".join(step for step in case.chunks if isinstance(step, bytes))
        for path in sorted(WIRE.glob("*.toml"))
        for case in load(path)
    ]
