"""Which library takes request heads apart: the native codec, httptools or h11.

All three accept, refuse and produce the same; they differ in speed and in what has to be
installed.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias

from katana_asgi import codec
from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.http.message import RequestHead

__all__ = ["HeadScanner", "NextScanner", "back_end", "head_scanner", "next_scanner"]

HeadScanner: TypeAlias = "Callable[[bytes, int, int, int], tuple[RequestHead, int] | None]"
"""A whole head, its CRLFCRLF included, and three limits to a ``RequestHead`` and framing bits.

The limits: bytes of the request line, bytes of the header section, field lines. ``None``: ask
``codec.scan_head``. Raises ``RemoteProtocolError`` for anything RFC 9112 does not allow."""

NextScanner: TypeAlias = (
    "Callable[[bytes, int, int, int, int], tuple[RequestHead, int, int] | None]"
)
"""As ``codec.try_scan_next``. ``None``, also for what has not come whole: ask a ``HeadScanner``."""


def back_end(http: str) -> str:
    """What the setting ``http`` means here: "native", "httptools" or "h11".

    Raises ``ConfigurationError`` for one that was asked for by name and is not there.
    """
    if http == "h11":
        return "h11"
    if http in ("auto", "native") and codec.NATIVE:
        return "native"
    if http == "native":
        raise ConfigurationError(
            "setting http: the native codec was not built; allowed here: auto, httptools, h11"
        )
    if find_spec("httptools") is not None:
        return "httptools"
    if http == "httptools":
        raise ConfigurationError(
            "setting http: httptools is not installed; allowed here: auto, h11"
        )
    return "h11"


def head_scanner(http: str) -> HeadScanner:
    """The scanner for the setting ``http``. Raises what ``back_end`` raises."""
    name = back_end(http)
    if name == "native":
        return codec.try_scan_head
    module = import_module(f"katana_asgi.http1.parser_{name}")
    return partial(codec.scan_head_with, module.parse_fields)


def next_scanner(http: str) -> NextScanner | None:
    """What finds the end of a head by itself; only the native codec does."""
    return codec.try_scan_next if back_end(http) == "native" else None
