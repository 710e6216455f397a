"""What a strict peer sends and what it must get back: the groups of the Autobahn test suite.

A case is the frames that are sent, in order, and the frames an echo endpoint answers. The
numbers are Autobahn's where it has such a case; those with a letter go beyond it. Groups 1
to 7, 9 and 10 are here; 12 and 13 (compression) are in ``test_websocket_compression.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.websocket.websocket_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    closing,
    fragments,
    masked,
    plain,
)
from tests.websocket.websocket_utf8 import INVALID, KOSME, VALID

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Case:
    """``sent`` frames, the ``answer`` bytes, and whether the connection has ``ended`` then."""

    name: str
    sent: list[bytes]
    answer: bytes
    ended: bool = False


HELLO = b"Hello, world!"
ODD = bytes.fromhex("00fffefdfcfb00ff")
LONG_PING = b"\xfe" * 125
FIRST, SECOND = b"fragment1", b"fragment2"


def failed(code: int, reason: bytes) -> bytes:
    """The close frame that answers a breach."""
    return plain(CLOSE, closing(code, reason))


RSV = failed(1002, b"reserved bits set")
OPCODE = failed(1002, b"unknown opcode")
CONTROL_LENGTH = failed(1002, b"control frame is too long")
CONTROL_FRAGMENT = failed(1002, b"fragmented control frame")
NOTHING = failed(1002, b"nothing to continue")
NESTED = failed(1002, b"message inside a message")
MASKING = failed(1002, b"wrong masking")
LENGTH = failed(1002, b"invalid length encoding")
NOT_UTF8 = failed(1007, b"text is not UTF-8")
TOO_BIG = failed(1009, b"message is too big")


def framing() -> Iterator[Case]:
    """1: every length form, text and binary."""
    for index, size in enumerate((0, 125, 126, 127, 128, 65535, 65536), 1):
        text, binary = b"*" * size, b"\xfe" * size
        yield Case(f"1.1.{index}", [masked(TEXT, text)], plain(TEXT, text))
        yield Case(f"1.2.{index}", [masked(BINARY, binary)], plain(BINARY, binary))


def pings() -> Iterator[Case]:
    """2: pings and unsolicited pongs."""
    yield Case("2.1", [masked(PING)], plain(PONG))
    yield Case("2.2", [masked(PING, HELLO)], plain(PONG, HELLO))
    yield Case("2.3", [masked(PING, ODD)], plain(PONG, ODD))
    yield Case("2.4", [masked(PING, LONG_PING)], plain(PONG, LONG_PING))
    yield Case("2.5", [masked(PING, LONG_PING + b"!")], CONTROL_LENGTH, ended=True)
    yield Case("2.7", [masked(PONG)], b"")
    yield Case("2.8", [masked(PONG, b"unsolicited")], b"")
    yield Case("2.9", [masked(PONG, b"unsolicited"), masked(PING, b"ping")], plain(PONG, b"ping"))
    many = [b"payload-%d" % number for number in range(10)]
    yield Case(
        "2.10",
        [masked(PING, content) for content in many],
        b"".join(plain(PONG, content) for content in many),
    )


def reserved_bits() -> Iterator[Case]:
    """3: RSV bits that nothing was agreed for."""
    hello = masked(TEXT, HELLO)
    echoed = plain(TEXT, HELLO)
    ping = masked(PING)
    yield Case("3.1", [masked(TEXT, HELLO, rsv=1)], RSV, ended=True)
    yield Case("3.2", [hello, masked(TEXT, HELLO, rsv=2), ping], echoed + RSV, ended=True)
    yield Case("3.3", [hello, masked(TEXT, HELLO, rsv=3), ping], echoed + RSV, ended=True)
    yield Case("3.4", [hello, masked(TEXT, HELLO, rsv=4), ping], echoed + RSV, ended=True)
    yield Case("3.5", [masked(BINARY, ODD, rsv=5)], RSV, ended=True)
    yield Case("3.6", [masked(PING, HELLO, rsv=6)], RSV, ended=True)
    yield Case("3.7", [masked(CLOSE, rsv=7)], RSV, ended=True)


def opcodes() -> Iterator[Case]:
    """4: opcodes that are not assigned, bare, with content and after a message."""
    hello, echoed = masked(TEXT, HELLO), plain(TEXT, HELLO)
    for group, first in (("4.1", 3), ("4.2", 11)):
        for index in range(5):
            bare = masked(first + index)
            full = masked(first + index, b"reserved")
            yield Case(f"{group}.{index + 1}a", [bare], OPCODE, ended=True)
            yield Case(f"{group}.{index + 1}b", [full], OPCODE, ended=True)
            sent = [hello, full, masked(PING)]
            yield Case(f"{group}.{index + 1}c", sent, echoed + OPCODE, ended=True)


def fragmentation() -> Iterator[Case]:
    """5: messages in several frames, control frames between them, and wrong orders."""
    begin, end = masked(TEXT, FIRST, fin=False), masked(CONTINUATION, SECOND)
    whole = plain(TEXT, FIRST + SECOND)
    ping, pong = masked(PING, b"ping"), plain(PONG, b"ping")
    hello = masked(TEXT, HELLO)
    open_end = masked(CONTINUATION, FIRST, fin=False)
    yield Case("5.1", [masked(PING, FIRST, fin=False), end], CONTROL_FRAGMENT, ended=True)
    yield Case("5.2", [masked(PONG, FIRST, fin=False), end], CONTROL_FRAGMENT, ended=True)
    yield Case("5.2a", [masked(CLOSE, fin=False), end], CONTROL_FRAGMENT, ended=True)
    yield Case("5.3", [begin, end], whole)
    yield Case("5.6", [begin, ping, end], pong + whole)
    yield Case("5.9", [masked(CONTINUATION, FIRST), hello], NOTHING, ended=True)
    yield Case("5.12", [open_end, hello], NOTHING, ended=True)
    yield Case("5.15", [begin, end, open_end, hello], whole + NOTHING, ended=True)
    yield Case("5.16", [open_end, begin, end] * 2, NOTHING, ended=True)
    yield Case("5.17", [masked(CONTINUATION, FIRST), begin, end] * 2, NOTHING, ended=True)
    yield Case("5.18", [begin, masked(TEXT, SECOND)], NESTED, ended=True)
    yield Case("5.18a", [begin, masked(BINARY, SECOND, fin=False)], NESTED, ended=True)
    yield Case(
        "5.19",
        [begin, open_end, masked(PING, b"1"), open_end, open_end, masked(PING, b"2"), end],
        plain(PONG, b"1") + plain(PONG, b"2") + plain(TEXT, FIRST * 4 + SECOND),
    )
    yield Case(
        "5.20a",
        [masked(BINARY, fin=False), masked(CONTINUATION, fin=False), masked(CONTINUATION)],
        plain(BINARY),
    )


def texts() -> Iterator[Case]:
    """6: UTF-8, whole, in fragments, and in fragments of a byte."""
    yield Case("6.1.1", [masked(TEXT)], plain(TEXT))
    empty = [masked(TEXT, fin=False), masked(CONTINUATION, fin=False), masked(CONTINUATION)]
    yield Case("6.1.2", empty, plain(TEXT))
    middle = [
        masked(TEXT, fin=False),
        masked(CONTINUATION, b"middle", fin=False),
        masked(CONTINUATION),
    ]
    yield Case("6.1.3", middle, plain(TEXT, b"middle"))
    text = "Hello-µ@ßöäüàá-UTF-8!!".encode()
    yield Case("6.2.1", [masked(TEXT, text)], plain(TEXT, text))
    yield Case("6.2.2", fragments(TEXT, text, 12), plain(TEXT, text))
    yield Case("6.2.3", fragments(TEXT, text, 1), plain(TEXT, text))
    yield Case("6.2.4", fragments(TEXT, KOSME, 1), plain(TEXT, KOSME))
    wrong = KOSME + bytes.fromhex("eda080") + b"edited"
    yield Case("6.3.1", [masked(TEXT, wrong)], NOT_UTF8, ended=True)
    yield Case("6.3.2", fragments(TEXT, wrong, 1), NOT_UTF8, ended=True)
    for table, valid in ((VALID, True), (INVALID, False)):
        for group, strings in table.items():
            for index, content in enumerate(strings, 1):
                answer = plain(TEXT, content) if valid else NOT_UTF8
                name = f"{group} {index}"
                yield Case(name, [masked(TEXT, content)], answer, ended=not valid)
                yield Case(f"{name}a", fragments(TEXT, content, 1), answer, ended=not valid)


def closes() -> Iterator[Case]:
    """7: close frames, what may follow them, codes and reasons."""
    close, closed = masked(CLOSE, closing(1000)), plain(CLOSE, closing(1000))
    hello, echoed = masked(TEXT, HELLO), plain(TEXT, HELLO)
    begin, end = masked(TEXT, FIRST, fin=False), masked(CONTINUATION, SECOND)
    yield Case("7.1.1", [hello, close], echoed + closed, ended=True)
    yield Case("7.1.2", [close, masked(CLOSE)], closed, ended=True)
    yield Case("7.1.3", [close, masked(PING)], closed, ended=True)
    yield Case("7.1.4", [close, hello], closed, ended=True)
    yield Case("7.1.5", [begin, close, end], closed, ended=True)
    large = b"BAsd7&jh23" * 2000
    sent = [masked(TEXT, large), hello, close, masked(PING)]
    yield Case("7.1.6", sent, plain(TEXT, large) + echoed + closed, ended=True)
    yield Case("7.3.1", [masked(CLOSE)], plain(CLOSE), ended=True)
    one_byte = failed(1002, b"close frame of one byte")
    yield Case("7.3.2", [masked(CLOSE, b"a")], one_byte, ended=True)
    yield Case("7.3.3", [close], closed, ended=True)
    for name, reason in (("7.3.4", b"Hello World!"), ("7.3.5", b"*" * 123)):
        content = closing(1000, reason)
        yield Case(name, [masked(CLOSE, content)], plain(CLOSE, content), ended=True)
    too_long = masked(CLOSE, closing(1000, b"*" * 124))
    yield Case("7.3.6", [too_long], CONTROL_LENGTH, ended=True)
    bad = masked(CLOSE, closing(1000, KOSME + bytes.fromhex("eda080") + b"edited"))
    yield Case("7.5.1", [bad], failed(1007, b"close reason is not UTF-8"), ended=True)
    codes = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014)
    for code in (*codes, 3000, 3999, 4000, 4999):
        content = closing(code)
        yield Case(f"7.7 {code}", [masked(CLOSE, content)], plain(CLOSE, content), ended=True)
    wrong_code = failed(1002, b"invalid close code")
    unassigned = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    for code in unassigned:
        yield Case(f"7.9 {code}", [masked(CLOSE, closing(code))], wrong_code, ended=True)


def limits() -> Iterator[Case]:
    """9 and 10: large messages, whole, in fragments and in small reads (see the runner)."""
    text, binary = b"BAsd7&jh23" * 13_107, bytes(range(251)) * 522
    for kind, opcode, content in (("text", TEXT, text), ("binary", BINARY, binary)):
        yield Case(f"9 {kind} whole", [masked(opcode, content)], plain(opcode, content))
        for size in (64, 256, 1300, 4096, 65536):
            sent = fragments(opcode, content, size)
            yield Case(f"9 {kind} in frames of {size}", sent, plain(opcode, content))


def beyond() -> Iterator[Case]:
    """Masking, length forms and sizes that Autobahn does not try."""
    yield Case("mask absent", [plain(TEXT, HELLO)], MASKING, ended=True)
    yield Case("mask absent on a ping", [plain(PING)], MASKING, ended=True)
    zero = masked(TEXT, HELLO, key=bytes(4))
    yield Case("mask of zeros", [zero], plain(TEXT, HELLO))
    two = b"\x81\xfe\x00\x7d" + bytes(4) + b"*" * 125
    yield Case("125 in two bytes", [two], LENGTH, ended=True)
    eight = b"\x81\xff" + (65535).to_bytes(8, "big") + bytes(4)
    yield Case("65535 in eight bytes", [eight], LENGTH, ended=True)
    negative = b"\x82\xff" + (1 << 63).to_bytes(8, "big") + bytes(4)
    yield Case("length with its top bit set", [negative], LENGTH, ended=True)
    huge = b"\x82\xff" + (1 << 62).to_bytes(8, "big")
    yield Case("length of 2**62", [huge], TOO_BIG, ended=True)


CASES = [
    case
    for group in (
        framing,
        pings,
        reserved_bits,
        opcodes,
        fragmentation,
        texts,
        closes,
        limits,
        beyond,
    )
    for case in group()
]
