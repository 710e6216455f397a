"""Compressed messages made by zlib alone, and the contents they are made of."""

from __future__ import annotations

import json
import random
import zlib
from itertools import count

TAIL = b"\x00\x00\xff\xff"


class Deflater:
    """The compressor of a peer; ``takeover`` keeps its window from message to message."""

    def __init__(self, *, bits: int = 15, takeover: bool = True, level: int = 6) -> None:
        self._settings = (level, zlib.DEFLATED, -bits)
        self._takeover = takeover
        self._compressor = zlib.compressobj(*self._settings)

    def __call__(self, content: bytes) -> bytes:
        if not self._takeover:
            self._compressor = zlib.compressobj(*self._settings)
        compressed = self._compressor.compress(content) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        assert compressed.endswith(TAIL)
        return compressed[:-4] if content else b"\x00"


class Inflater:
    """The decompressor of a peer with a window of exactly ``bits``."""

    def __init__(self, *, bits: int = 15, takeover: bool = True) -> None:
        self._bits = bits
        self._takeover = takeover
        self._decompressor = zlib.decompressobj(-bits)

    def __call__(self, compressed: bytes) -> bytes:
        if not self._takeover:
            self._decompressor = zlib.decompressobj(-self._bits)
        return self._decompressor.decompress(compressed + TAIL)


def prose(size: int) -> bytes:
    """Readable text with characters of one to four bytes, ``size`` bytes of it at most."""
    words = [
        "Habe",
        "nun",
        "ach",
        "Philosophie",
        "Juristerei",
        "und",
        "Medizin",
        "durchaus",
        "studiert",
        "müßig",
        "€",
        "𝄞",
    ]
    chosen = random.Random(1).choices(words, k=size // 4 + 1)
    return " ".join(chosen).encode()[:size].decode(errors="ignore").encode()


def noise(size: int) -> bytes:
    """Bytes that do not compress."""
    return random.Random(2).randbytes(size)


def records(size: int) -> bytes:
    """JSON, which compresses well."""
    lines: list[str] = []
    length = 0
    for number in count():
        lines.append(json.dumps({"id": number, "name": f"user {number}", "square": number**2}))
        length += len(lines[-1]) + 1
        if length > size:
            return "\n".join(lines).encode()[:size]
    raise AssertionError
