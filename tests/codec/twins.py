"""Both forms of the codec, and what they make of the same input in a form that compares."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

from katana_asgi.codec.heads import FieldParser, RequestHead, scan_head, scan_head_with
from katana_asgi.errors import LocalProtocolError, RemoteProtocolError
from katana_asgi.http1.parser_h11 import parse_fields as by_h11
from katana_asgi.http1.parser_httptools import parse_fields as by_httptools

__all__ = ["NATIVE", "attributes", "head_of", "native_only", "outcome", "scans"]

BUILT = find_spec("katana_asgi.codec._native") is not None

NATIVE: Any = import_module("katana_asgi.codec._native") if BUILT else None
"""The C module, where it was built."""

native_only = pytest.mark.skipif(not BUILT, reason="the C functions were not built")

Limits = tuple[int, int, int]


def outcome(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call gives, or the status or the text of its refusal."""
    try:
        return call(*arguments)
    except RemoteProtocolError as error:
        return error.status
    except (LocalProtocolError, TypeError, ValueError) as error:
        return type(error), str(error)


def attributes(head: Any) -> dict[str, Any]:
    """All that a request head says."""
    return {name: getattr(head, name) for name in (*RequestHead.__slots__, "has_content")}


def _scanned(found: Any) -> Any:
    return (attributes(found[0]), found[1]) if isinstance(found, tuple) else found


def head_of(data: bytes) -> bytes:
    """The first head in a stream of bytes, its end included; made whole where it has no end."""
    end = b"\r\n\r\n"
    return (data + end).partition(end)[0] + end


def scans(head: bytes, limits: Limits) -> dict[str, Any]:
    """What each way to scan makes of a head; the native one is ``None`` where it declines."""
    parsers: dict[str, FieldParser] = {"httptools": by_httptools, "h11": by_h11}
    found = {name: outcome(scan_head_with, parse, head, *limits) for name, parse in parsers.items()}
    found["python"] = outcome(scan_head, head, *limits)
    if BUILT:
        found["native"] = NATIVE.scan_head(head, *limits)
    return {name: _scanned(each) for name, each in found.items()}
