"""What a head costs that comes in many reads: work in proportion to its bytes, never their square.

Counted, not timed: every byte that the reading half looks at, or copies, in what it has gathered.
"""

from __future__ import annotations

from typing import Any

import pytest
from reads import Requests, reader_settings

from katana_asgi.http1 import beginning as gathering

SETTINGS = reader_settings("auto", line=10**6, size=10**6, count=10**6)

MOST_FOR_A_READ = 16
"""Bytes looked at again for each read: the end of a line or of the head may have been cut."""

MOST_FOR_A_BYTE = 8
"""Times that a byte is looked at: it is searched for three kinds of line ends, counted, copied."""

LINE = b"GET /%b HTTP/1.1\r\n"

BEGINNINGS = {
    "a request line": b"GET /" + b"x" * 20_000,
    "a field line": LINE % b"" + b"X: " + b"x" * 20_000,
    "a field line behind a long request line": LINE % (b"x" * 10_000) + b"X: " + b"x" * 10_000,
    "short field lines": LINE % b"" + b"a: b\r\n" * 3_500,
    "empty values": LINE % b"" + b"a:\r\n" * 5_000,
}


class Looked(bytearray):
    """Bytes that count what of them is searched, counted through, copied or cut out."""

    work = 0

    def _note(self, start: int, end: int | None) -> None:
        Looked.work += len(range(len(self))[start:end])

    def find(self, wanted: Any, start: int = 0, end: int | None = None) -> int:
        self._note(start, end)
        return super().find(wanted, start, end)

    def count(self, wanted: Any, start: int = 0, end: int | None = None) -> int:
        self._note(start, end)
        return super().count(wanted, start, end)

    def __contains__(self, wanted: Any) -> bool:
        Looked.work += len(self)
        return super().__contains__(wanted)

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        if isinstance(index, slice):
            Looked.work += len(part)
            return Looked(part)
        return part

    def __bytes__(self) -> bytes:
        Looked.work += len(self)
        return bytes(memoryview(self))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS)
def test_an_unfinished_head_costs_what_it_has_in_bytes(beginning, size, monkeypatch):
    """A client may cut its head as it likes; the limits allow one of 64 KiB and more."""
    monkeypatch.setattr(gathering, "bytearray", Looked, raising=False)
    monkeypatch.setattr(Looked, "work", 0)
    requests = Requests(SETTINGS)
    reads = [beginning[at : at + size] for at in range(0, len(beginning), size)]
    for read in reads:
        requests.feed(read)
    assert not requests.heard
    assert 0 < Looked.work < MOST_FOR_A_READ * len(reads) + MOST_FOR_A_BYTE * len(beginning)
