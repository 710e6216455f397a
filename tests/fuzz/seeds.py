"""What a fuzzer begins with: the wire corpus, the WebSocket cases, and what was found before.

Findings and further seeds are files in ``corpus/TARGET``; the rest is taken from where it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

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


def seeds(target: str) -> list[bytes]:
    """All seeds of a target, what was found before at the end."""
    known: list[bytes] = []
    if target in ("requests", "connections"):
        known = _wire()
    elif target == "chunks":
        known = [data.partition(b"\r\n\r\n")[2] for data in _wire() if b"hunked" in data]
    elif target == "forwarded":
        known = FORWARDED
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
