"""The encoders of a response: gzip always, Brotli and Zstandard where they are installed.

An encoder is given content piece by piece. ``flush`` makes what was given so far decodable,
which costs a few bytes; ``finish`` ends the stream.
"""

from __future__ import annotations

import zlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Encoder", "available_codings", "new_encoder"]

_GZIP_LEVEL: Final = 6  # zlib's own default
_BROTLI_QUALITY: Final = 4  # the highest that is as fast as gzip
_ZSTD_LEVEL: Final = 3  # Zstandard's own default

_GZIP_WRAPPER: Final = 16 + zlib.MAX_WBITS


class Encoder(Protocol):
    """One response's content on its way through a coding."""

    def encode(self, data: bytes) -> bytes:
        """What of the coded content is ready once ``data`` was given."""

    def flush(self) -> bytes:
        """The rest of what was given, so that the other side can decode it now."""

    def finish(self) -> bytes:
        """The end of the coded content."""


class GzipEncoder:
    """RFC 1952, by zlib."""

    __slots__ = ("_stream",)

    def __init__(self) -> None:
        self._stream = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WRAPPER)

    def encode(self, data: bytes) -> bytes:
        return self._stream.compress(data)

    def flush(self) -> bytes:
        return self._stream.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._stream.flush(zlib.Z_FINISH)


class BrotliEncoder:
    """RFC 7932."""

    __slots__ = ("_stream",)

    def __init__(self) -> None:
        import brotli

        self._stream = brotli.Compressor(quality=_BROTLI_QUALITY)

    def encode(self, data: bytes) -> bytes:
        coded: bytes = self._stream.process(data)
        return coded

    def flush(self) -> bytes:
        coded: bytes = self._stream.flush()
        return coded

    def finish(self) -> bytes:
        coded: bytes = self._stream.finish()
        return coded


class ZstdEncoder:
    """RFC 8878, with windows of at most 8 MiB (RFC 9659 §3)."""

    __slots__ = ("_flush_block", "_stream")

    def __init__(self) -> None:
        import zstandard

        self._stream = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()
        self._flush_block = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def encode(self, data: bytes) -> bytes:
        return self._stream.compress(data)

    def flush(self) -> bytes:
        return self._stream.flush(self._flush_block)

    def finish(self) -> bytes:
        return self._stream.flush()


_ENCODERS: Final[dict[bytes, Callable[[], Encoder]]] = {
    b"br": BrotliEncoder,
    b"zstd": ZstdEncoder,
    b"gzip": GzipEncoder,
}

_LIBRARIES: Final = {b"br": "brotli", b"zstd": "zstandard", b"gzip": "zlib"}


def available_codings() -> tuple[bytes, ...]:
    """The codings whose library is installed, in the server's order."""
    return tuple([name for name, library in _LIBRARIES.items() if find_spec(library) is not None])


def new_encoder(coding: bytes) -> Encoder:
    """An encoder for one response."""
    return _ENCODERS[coding]()
