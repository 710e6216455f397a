"""What a client may send and what becomes of it: one list for every way of cutting the bytes.

A case is what follows the handshake, and the frames of the answer in short: ``1=200`` is a
response, ``1!CODE`` a reset, ``*CODE`` a GOAWAY; content and windows are left out. The application
answers ``/`` when the request is complete and ``/early`` at once; other paths get no answer.
"""

from __future__ import annotations

from struct import pack
from typing import NamedTuple

from katana_asgi.http2.frames import PREFACE, frame, header_frames
from tests.http2.peer import GET, POST, at, block, headers

__all__ = ["CASES", "OPENING_CASES", "Case"]

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY = range(8)
WINDOW_UPDATE, CONTINUATION, PRIORITY_UPDATE = 8, 9, 16
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY_FLAG = 1, 1, 4, 8, 32

P, F, Z = "PROTOCOL_ERROR", "FLOW_CONTROL_ERROR", "FRAME_SIZE_ERROR"
C, H, Y = "STREAM_CLOSED", "COMPRESSION_ERROR", "ENHANCE_YOUR_CALM"


class Case(NamedTuple):
    """Bytes of a client, and the answer."""

    name: str
    sent: bytes
    answer: str


def case(name: str, *sent: bytes, answer: str) -> Case:
    return Case(name, b"".join(sent), answer)


def u32(value: int) -> bytes:
    return pack(">L", value)


def data(stream: int, content: bytes = b"x", *, end: bool = False) -> bytes:
    return frame(DATA, END_STREAM if end else 0, stream, content)


def rst(stream: int, code: int = 8) -> bytes:
    return frame(RST_STREAM, 0, stream, u32(code))


def widen(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, u32(increment))


def settings(*values: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join([pack(">HL", *value) for value in values]))


def raw_block(stream: int, coded: bytes) -> bytes:
    """A GET whose block ends with bytes of the test's own."""
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, block(GET) + coded)


def padded(kind: int, flags: int, stream: int, payload: bytes, padding: int) -> bytes:
    return frame(kind, flags | PADDED, stream, bytes((padding,)) + payload + bytes(padding))


def without(name: str) -> list[tuple[str, str]]:
    return [each for each in GET if each[0] != name]


def replaced(name: str, value: str) -> list[tuple[str, str]]:
    return [(each, value if each == name else old) for each, old in GET]


PING_SENT = frame(PING, 0, 0, b"12345678")
DEPENDENCY = u32(0) + b"\x0f"
HOLD, HOLD_POST, EARLY_POST = at("/hold"), at("/hold", POST), at("/early", POST)

# -- RFC 9113 §4: frames -------------------------------------------------------------------------

FRAMES = [
    case("nothing", answer=""),
    case("a GET", headers(1), answer="1=200"),
    case("an unknown type", frame(0x16, 0, 0, b"x" * 8), PING_SENT, answer="PING"),
    case("an unknown type on a stream", frame(0xFF, 0xFF, 1, b""), PING_SENT, answer="PING"),
    case("unknown flags of PING", frame(PING, 0xFE, 0, b"12345678"), answer="PING"),
    case("unknown flags of HEADERS", frame(HEADERS, 0xD5 & ~8, 1, block(GET)), answer="1=200"),
    case("the reserved bit", frame(PING, 0, 1 << 31, b"12345678"), answer="PING"),
    case("the reserved bit of a request", headers(1 | 1 << 31), answer="1=200"),
    case("DATA of 2^14 bytes", headers(1, POST, end=False), data(1, bytes(16384), end=True),
         answer="1=200"),
    case("an unknown type in a header block", headers(1, more=True), frame(0x16, 0, 0, b""),
         answer=f"*{P}"),
    case("CONTINUATION of zero bytes", headers(1, more=True),
         frame(CONTINUATION, END_HEADERS, 1, b""), answer="1=200"),
]  # fmt: skip
FRAMES += [
    case(f"type {kind} above the largest size", frame(kind, 0, 1, bytes(16385)), answer=f"*{Z}")
    for kind in (*range(10), PRIORITY_UPDATE, 0x20)
]
FRAMES += [
    case(f"{name} of {size} bytes", frame(kind, 0, stream, bytes(size)), answer=f"*{Z}")
    for name, kind, stream, sizes in (
        ("RST_STREAM", RST_STREAM, 1, (0, 3, 5)),
        ("SETTINGS", SETTINGS, 0, (1, 5, 7)),
        ("PING", PING, 0, (0, 7, 9)),
        ("GOAWAY", GOAWAY, 0, (0, 4, 7)),
        ("WINDOW_UPDATE", WINDOW_UPDATE, 0, (0, 3, 5)),
        ("PRIORITY of an idle stream", PRIORITY, 1, (0, 4, 6)),
        ("PRIORITY_UPDATE", PRIORITY_UPDATE, 0, (0, 3)),
    )
    for size in sizes
]
FRAMES += [
    case(f"{name} on stream {stream}", frame(kind, flags, stream, payload), answer=f"*{P}")
    for name, kind, flags, stream, payload in (
        ("DATA", DATA, 0, 0, b"x"),
        ("HEADERS", HEADERS, END_HEADERS, 0, block(GET)),
        ("HEADERS", HEADERS, END_HEADERS, 2, block(GET)),
        ("HEADERS", HEADERS, END_HEADERS, 2**31 - 2, block(GET)),
        ("PRIORITY", PRIORITY, 0, 0, DEPENDENCY),
        ("RST_STREAM", RST_STREAM, 0, 0, u32(8)),
        ("SETTINGS", SETTINGS, 0, 1, b""),
        ("the acknowledgement of SETTINGS", SETTINGS, ACK, 1, b""),
        ("PUSH_PROMISE", PUSH_PROMISE, END_HEADERS, 1, u32(2) + block(GET)),
        ("PUSH_PROMISE", PUSH_PROMISE, END_HEADERS, 0, u32(2)),
        ("PING", PING, 0, 1, b"12345678"),
        ("the answer of PING", PING, ACK, 1, b"12345678"),
        ("GOAWAY", GOAWAY, 0, 1, bytes(8)),
        ("CONTINUATION", CONTINUATION, END_HEADERS, 0, b""),
        ("CONTINUATION", CONTINUATION, END_HEADERS, 1, block(GET)),
        ("PRIORITY_UPDATE", PRIORITY_UPDATE, 0, 1, u32(1) + b"u=1"),
    )
]

# -- §5.1: what a frame means in each state of its stream ----------------------------------------

_FRAMES_ON_STREAM_1 = {
    "HEADERS": headers(1, []),
    "HEADERS of a request": headers(1),
    "DATA": data(1),
    "DATA that ends": data(1, end=True),
    "RST_STREAM": rst(1),
    "WINDOW_UPDATE": widen(1, 1),
    "PRIORITY": frame(PRIORITY, 0, 1, DEPENDENCY),
    "CONTINUATION": frame(CONTINUATION, END_HEADERS, 1, block(GET)),
}

_IN_STATES = {
    # a state: how to get there, the answer, and that of each frame in the order above
    "idle": (b"", "", f"1!{P} 1=200 *{P} *{P} *{P} *{P} - *{P}"),
    "open": (headers(1, HOLD_POST, end=False), "", f"- 1!{P} - - - - - *{P}"),
    "half-closed (remote)": (headers(1, HOLD), "", f"1!{C} 1!{C} 1!{C} 1!{C} - - - *{P}"),
    "ended": (headers(1), "1=200", f"*{C} *{C} *{C} *{C} - - - *{P}"),
    "reset by the server": (
        headers(1, HOLD_POST, end=False) + widen(1, 0), f"1!{P}", f"- - - - - - - *{P}"
    ),
    "half-closed (local)": (
        headers(1, EARLY_POST, end=False), "1=200", f"- 1!{P} - - - - - *{P}"
    ),
    "reset by the client": (
        headers(1, HOLD_POST, end=False) + rst(1), "", f"1!{C} 1!{C} 1!{C} 1!{C} - - - *{P}"
    ),
    "passed over": (headers(3, HOLD), "", f"*{P} *{P} 1!{C} 1!{C} - - - *{P}"),
}  # fmt: skip

STATES = [
    Case(f"{name} on a stream that is {state}", way + sent,
         " ".join([*first.split(), *([answer] if answer != "-" else [])]))
    for state, (way, first, answers) in _IN_STATES.items()
    for (name, sent), answer in zip(_FRAMES_ON_STREAM_1.items(), answers.split(), strict=True)
]  # fmt: skip
STATES += [
    case("a lower number", headers(5), headers(3), answer=f"5=200 *{P}"),
    case("the same number again", headers(1), headers(1), answer=f"1=200 *{C}"),
    case("the highest number", headers(2**31 - 1), answer=f"{2**31 - 1}=200"),
    case("numbers that leave some out", headers(1), headers(7), headers(101),
         answer="1=200 7=200 101=200"),
    case("an error of one stream leaves the others alone", headers(1, HOLD_POST, end=False),
         headers(3, without(":path")), headers(5), answer=f"3!{P} 5=200"),
    case("DATA twice after a reset gets one answer", headers(1, HOLD), rst(1), data(1), data(1),
         answer=f"1!{C}"),
    case("a stream that was reset may be reset again", headers(1, HOLD_POST, end=False),
         widen(1, 0), rst(1), headers(3), answer=f"1!{P} 3=200"),
    case("RST_STREAM with an unknown code", headers(1, HOLD), rst(1, 0xFF), headers(3),
         answer="3=200"),
    case("PRIORITY of four bytes on an open stream", headers(1, HOLD),
         frame(PRIORITY, 0, 1, bytes(4)), headers(3), answer=f"1!{Z} 3=200"),
    case("PRIORITY of an idle stream, then a lower one", frame(PRIORITY, 0, 9, DEPENDENCY),
         headers(1), answer="1=200"),
    case("PRIORITY with the largest weight and exclusive", headers(1, HOLD),
         frame(PRIORITY, 0, 1, u32(1 << 31 | 3) + b"\xff"), headers(3), answer="3=200"),
    case("PRIORITY that depends on itself is as good as any (RFC 9113 §5.3)",
         frame(PRIORITY, 0, 1, u32(1) + b"\x0f"), headers(1), answer="1=200"),
    case("HEADERS that depends on itself",
         frame(HEADERS, 5 | PRIORITY_FLAG, 1, u32(1) + b"\x0f" + block(GET)), answer="1=200"),
]  # fmt: skip

# -- §6.1 and §6.2: padding ----------------------------------------------------------------------

PADDING = [
    case("padded HEADERS", padded(HEADERS, 5, 1, block(GET), 7), answer="1=200"),
    case("HEADERS with padding of nothing", padded(HEADERS, 5, 1, block(GET), 0), answer="1=200"),
    case("HEADERS with the most padding", padded(HEADERS, 5, 1, block(GET), 255), answer="1=200"),
    case("padded HEADERS with a priority",
         padded(HEADERS, 5 | PRIORITY_FLAG, 1, DEPENDENCY + block(GET), 3), answer="1=200"),
    case("HEADERS with a priority", frame(HEADERS, 5 | PRIORITY_FLAG, 1, DEPENDENCY + block(GET)),
         answer="1=200"),
    case("HEADERS too short for its priority", frame(HEADERS, 5 | PRIORITY_FLAG, 1, b"1234"),
         answer=f"*{Z}"),
    case("HEADERS too short for its pad length", frame(HEADERS, 5 | PADDED, 1, b""),
         answer=f"*{Z}"),
    case("HEADERS with padding longer than itself", frame(HEADERS, 5 | PADDED, 1, b"\x04abc"),
         answer=f"*{P}"),
    case("padded DATA", headers(1, POST, end=False), padded(DATA, 1, 1, b"abc", 9),
         answer="1=200"),
    case("DATA that is all padding", headers(1, POST, end=False), padded(DATA, 1, 1, b"", 255),
         answer="1=200"),
    case("DATA with padding of nothing", headers(1, POST, end=False), padded(DATA, 1, 1, b"a", 0),
         answer="1=200"),
    case("DATA with padding longer than itself", headers(1, POST, end=False),
         frame(DATA, PADDED, 1, b"\x04abc"), answer=f"*{P}"),
    case("DATA too short for its pad length", headers(1, POST, end=False),
         frame(DATA, PADDED, 1, b""), answer=f"*{Z}"),
    case("padding that is not zero", headers(1, POST, end=False),
         frame(DATA, PADDED | 1, 1, b"\x02abc"), answer="1=200"),
]  # fmt: skip
PADDING += [
    case(f"DATA {fault} on a stream that {what}", *before, frame(DATA, PADDED, 1, payload),
         answer=f"{first}*{code}")
    for what, before, first in (
        ("is idle", (), ""),
        ("the client has ended", (headers(1, HOLD),), ""),
        ("both sides have ended", (headers(1),), "1=200 "),
        ("the server has reset", (headers(1, HOLD), widen(1, 0)), f"1!{P} "),
        ("the client has reset", (headers(1, HOLD), rst(1)), ""),
    )
    for fault, payload, code in (
        ("with padding longer than itself", b"\x04abc", P),
        ("too short for its pad length", b"", Z),
    )
]  # fmt: skip

# -- §6.2, §6.10: header blocks in several frames ------------------------------------------------

_BLOCK = block(GET)
_HALVES = (
    frame(HEADERS, END_STREAM, 1, _BLOCK[:5]), frame(CONTINUATION, END_HEADERS, 1, _BLOCK[5:])
)  # fmt: skip

BLOCKS = [
    case("a block in two frames", *_HALVES, answer="1=200"),
    case("a block in three frames", _HALVES[0], frame(CONTINUATION, 0, 1, _BLOCK[5:9]),
         frame(CONTINUATION, END_HEADERS, 1, _BLOCK[9:]), answer="1=200"),
    case("a block with empty frames", _HALVES[0], frame(CONTINUATION, 0, 1, b"") * 5, _HALVES[1],
         answer="1=200"),
    case("an empty HEADERS before the block", frame(HEADERS, END_STREAM, 1, b""),
         frame(CONTINUATION, END_HEADERS, 1, _BLOCK), answer="1=200"),
    case("a block byte by byte", frame(HEADERS, END_STREAM, 1, _BLOCK[:-20]),
         *[frame(CONTINUATION, 0, 1, _BLOCK[at : at + 1]) for at in range(len(_BLOCK) - 20,
                                                                        len(_BLOCK))],
         frame(CONTINUATION, END_HEADERS, 1, b""), answer="1=200"),
    case("more frames than a block may have", _HALVES[0], frame(CONTINUATION, 0, 1, b"") * 33,
         answer=f"*{Y}"),
    case("a block without an end", _HALVES[0], answer=""),
    case("CONTINUATION behind END_HEADERS", headers(1), _HALVES[1], answer=f"1=200 *{P}"),
    case("CONTINUATION behind CONTINUATION with END_HEADERS", *_HALVES, _HALVES[1],
         answer=f"1=200 *{P}"),
    case("CONTINUATION behind DATA", headers(1, HOLD_POST, end=False), data(1), _HALVES[1],
         answer=f"*{P}"),
    case("CONTINUATION of another stream", _HALVES[0], frame(CONTINUATION, END_HEADERS, 3, b""),
         answer=f"*{P}"),
    case("CONTINUATION of no stream", _HALVES[0], frame(CONTINUATION, END_HEADERS, 0, b""),
         answer=f"*{P}"),
    case("padding is no flag of CONTINUATION", _HALVES[0],
         frame(CONTINUATION, END_HEADERS | PADDED, 1, _BLOCK[5:]), answer="1=200"),
]  # fmt: skip
BLOCKS += [
    case(f"{name} within a block", _HALVES[0], sent, answer=f"*{P}")
    for name, sent in (
        ("PING", PING_SENT),
        ("SETTINGS", settings()),
        ("the same HEADERS", _HALVES[0]),
        ("HEADERS of another stream", headers(3)),
        ("DATA", data(1)),
        ("PRIORITY", frame(PRIORITY, 0, 1, DEPENDENCY)),
        ("RST_STREAM", rst(1)),
        ("WINDOW_UPDATE", widen(0, 1)),
        ("GOAWAY", frame(GOAWAY, 0, 0, bytes(8))),
        ("PRIORITY_UPDATE", frame(PRIORITY_UPDATE, 0, 0, u32(1))),
    )
]

# -- §6.5: SETTINGS ------------------------------------------------------------------------------

CONTROL = [
    case("empty SETTINGS", settings(), answer="SETTINGS"),
    case("SETTINGS acknowledged again", frame(SETTINGS, ACK, 0, b""), answer=""),
    case("an acknowledgement with settings", frame(SETTINGS, ACK, 0, bytes(6)), answer=f"*{Z}"),
    case("unknown settings", settings((0x0, 1), (0x7, 9), (0xFF, 1), (0xFFFF, 2**32 - 1)),
         answer="SETTINGS"),
    case("the same setting twice", settings((4, 100), (4, 1)), answer="SETTINGS"),
    case("a hundred settings", settings(*[(0x99, 1)] * 100), answer="SETTINGS"),
    case("a hundred and one settings", settings(*[(0x99, 1)] * 101), answer=f"*{Y}"),
    case("the first of two settings is wrong", settings((2, 2), (2, 0)), answer=f"*{P}"),
    case("a change of the priority scheme", settings((9, 1)), answer=f"*{P}"),
    case("a PING", PING_SENT, answer="PING"),
    case("the answer of a PING", frame(PING, ACK, 0, b"12345678"), answer=""),
    case("GOAWAY ends what is idle", frame(GOAWAY, 0, 0, bytes(8)), answer="*NO_ERROR"),
    case("GOAWAY with an unknown code", frame(GOAWAY, 0, 0, u32(0) + u32(0xFF)),
         answer="*NO_ERROR"),
    case("GOAWAY with a reason", frame(GOAWAY, 0, 0, bytes(8) + b"bye"), answer="*NO_ERROR"),
    case("GOAWAY lets streams finish", headers(1, POST, end=False),
         frame(GOAWAY, 0, 0, bytes(8)), data(1, end=True), answer="1=200 *NO_ERROR"),
]  # fmt: skip
CONTROL += [
    case(f"setting {number} of {value}", settings((number, value)), answer=answer)
    for number, value, answer in (
        (1, 0, "SETTINGS"),
        (1, 2**32 - 1, "SETTINGS"),
        (2, 0, "SETTINGS"),
        (2, 1, "SETTINGS"),
        (2, 2, f"*{P}"),
        (3, 0, "SETTINGS"),
        (3, 2**32 - 1, "SETTINGS"),
        (4, 0, "SETTINGS"),
        (4, 2**31 - 1, "SETTINGS"),
        (4, 2**31, f"*{F}"),
        (5, 16383, f"*{P}"),
        (5, 16384, "SETTINGS"),
        (5, 2**24 - 1, "SETTINGS"),
        (5, 2**24, f"*{P}"),
        (6, 0, "SETTINGS"),
        (6, 1, "SETTINGS"),
        (8, 0, "SETTINGS"),
        (8, 1, "SETTINGS"),
        (8, 2, f"*{P}"),
        (9, 0, "SETTINGS"),
        (9, 2, f"*{P}"),
    )
]
CONTROL += [
    case("a tiny list of fields is advice", settings((6, 1)), headers(1), answer="SETTINGS 1=200")
]

# -- §6.9: WINDOW_UPDATE -------------------------------------------------------------------------

_LARGEST = 2**31 - 1

WINDOWS = [
    case("wider for the connection", widen(0, 100), headers(1), answer="1=200"),
    case("by nothing for the connection", widen(0, 0), answer=f"*{P}"),
    case("the reserved bit of an increment", frame(WINDOW_UPDATE, 0, 0, u32(1 << 31)),
         answer=f"*{P}"),
    case("the widest for the connection", widen(0, _LARGEST - 65535), headers(1), answer="1=200"),
    case("too wide for the connection", widen(0, _LARGEST), answer=f"*{F}"),
    case("too wide in two steps", widen(0, _LARGEST - 65535), widen(0, 1), answer=f"*{F}"),
    case("wider for a stream", headers(1, HOLD), widen(1, 100), headers(3), answer="3=200"),
    case("by nothing for a stream", headers(1, HOLD), widen(1, 0), headers(3),
         answer=f"1!{P} 3=200"),
    case("too wide for a stream", headers(1, HOLD), widen(1, _LARGEST), headers(3),
         answer=f"1!{F} 3=200"),
    case("too wide for a stream in two steps", headers(1, HOLD), widen(1, _LARGEST - 65535),
         widen(1, 1), headers(3), answer=f"1!{F} 3=200"),
    case("by nothing for a stream that is over", headers(1), widen(1, 0), headers(3),
         answer="1=200 3=200"),
    case("too wide by SETTINGS", headers(1, HOLD), widen(1, 1), settings((4, _LARGEST)),
         answer=f"SETTINGS *{F}"),
    case("the initial window does not widen the connection", widen(0, _LARGEST - 65535),
         settings((4, 70000)), headers(1), answer="SETTINGS 1=200"),
    case("more content than the stream's window", headers(1, HOLD_POST, end=False),
         data(1, bytes(16384)) * 4, headers(3), answer=f"1!{F} 3=200"),
    case("as much content as the stream's window", headers(1, HOLD_POST, end=False),
         data(1, bytes(16384)) * 3, data(1, bytes(16383)), headers(3), answer="3=200"),
    case("padding counts", headers(1, HOLD_POST, end=False), data(1, bytes(16384)) * 3,
         padded(DATA, 0, 1, bytes(16128), 255), headers(3), answer=f"1!{F} 3=200"),
]  # fmt: skip

# -- §8: requests --------------------------------------------------------------------------------

GOOD = [
    case(f"method {name}", headers(1, replaced(":method", name)), answer="1=200")
    for name in ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "QUERY", "M-SEARCH", "x")
]
GOOD += [
    case("OPTIONS *", headers(1, [(":method", "OPTIONS"), *GET[1:3], (":path", "*")]), answer=""),
    case("a query", headers(1, at("/?a=b&c")), answer="1=200"),
    case("https", headers(1, replaced(":scheme", "https")), answer="1=200"),
    case("pseudo-fields in another order", headers(1, GET[::-1]), answer="1=200"),
    case("Host as well", headers(1, [*GET, ("host", "a.example")]), answer="1=200"),
    case("Host in another case", headers(1, [*GET, ("host", "A.Example")]), answer="1=200"),
    case("Host instead", headers(1, [*without(":authority"), ("host", "a.example")]),
         answer="1=200"),
    case("an authority with a port", headers(1, replaced(":authority", "a.example:8080")),
         answer="1=200"),
    case("an authority in brackets", headers(1, replaced(":authority", "[::1]:80")),
         answer="1=200"),
    case("te: trailers", headers(1, [*GET, ("te", "trailers")]), answer="1=200"),
    case("te: Trailers", headers(1, [*GET, ("te", "Trailers")]), answer="1=200"),
    case("an empty value", headers(1, [*GET, ("x", "")]), answer="1=200"),
    case("obs-text in a value", headers(1, [*GET, ("x", "\xe4\xff")]), answer="1=200"),
    case("a tab within a value", headers(1, [*GET, ("x", "a\tb")]), answer="1=200"),
    case("all kinds of token", headers(1, [*GET, ("!#$%&'*+-.^_`|~09az", "a")]), answer="1=200"),
    case("trailers", headers(1, POST, end=False), data(1), headers(1, [("x", "y")]),
         answer="1=200"),
    case("trailers without content", headers(1, POST, end=False), headers(1, [("x", "y")]),
         answer="1=200"),
    case("empty trailers", headers(1, POST, end=False), data(1), headers(1, []), answer="1=200"),
    case("content of the announced length",
         headers(1, [*POST, ("content-length", "5")], end=False), data(1, b"abc"),
         data(1, b"de", end=True), answer="1=200"),
    case("no content, announced", headers(1, [*POST, ("content-length", "0")]), answer="1=200"),
    case("no content, announced, and its end", headers(1, [*at("/hold", POST),
         ("content-length", "0")], end=False), data(1, b"", end=True), answer=""),
    case("the announced length twice", headers(1, [*POST, *[("content-length", "1")] * 2],
         end=False), data(1, end=True), answer="1=200"),
    case("empty DATA between", headers(1, POST, end=False), data(1, b""), data(1),
         data(1, b"", end=True), answer="1=200"),
    case("an early answer", headers(1, EARLY_POST, end=False), data(1), data(1, end=True),
         headers(3), answer="1=200 3=200"),
    case("an early answer to a complete request", headers(1, at("/early")), answer="1=200"),
    case("cookie crumbs", headers(1, [*GET, ("cookie", "a=1"), ("cookie", "b=2")]),
         answer="1=200"),
    case("CONNECT", headers(1, [(":method", "CONNECT"), (":authority", "b.example:443")]),
         answer="1=501"),
    case("a list of fields above its limit",
         header_frames(1, block([*GET, *[("x", "y" * 900)] * 80]), True, 16000),
         headers(3), answer="1=431 3=200"),
    case("more fields than allowed", headers(1, [*GET, *[("x", "y")] * 125]), headers(3),
         answer="1=431 3=200"),
    case("as many fields as allowed", headers(1, [*GET, *[("x", "y")] * 124]), answer="1=200"),
    case("a list above its limit before content",
         headers(1, [*POST, *[("x", "y")] * 125], end=False), data(1, end=True), headers(3),
         answer="1=431 3=200"),
    case("a large list in many frames",
         header_frames(1, block([*GET, *[("x", "y" * 9000)] * 9]), True, 16000), headers(3),
         answer="1=431 3=200"),
    case("a list far above its limit",
         header_frames(1, block([*GET, *[("x", "y" * 9000)] * 16]), True, 16000),
         answer=f"*{Y}"),
]  # fmt: skip

_BAD_FIELDS: list[tuple[str, list[tuple[str, str]]]] = [
    ("no :method", without(":method")),
    ("no :scheme", without(":scheme")),
    ("no :path", without(":path")),
    ("no authority", without(":authority")),
    ("no pseudo-fields", [("host", "a.example")]),
    ("no fields", []),
    (":method twice", [GET[0], *GET]),
    (":scheme twice", [GET[1], *GET]),
    (":authority twice", [GET[2], *GET]),
    (":path twice", [GET[3], *GET]),
    (":status", [*GET, (":status", "200")]),
    ("an unknown pseudo-field", [*GET, (":test", "x")]),
    ("a pseudo-field without a name", [*GET, (":", "x")]),
    ("a pseudo-field in upper case", [*GET, (":PROTOCOL", "x")]),
    ("a pseudo-field behind a field", [*GET[:3], ("x", "y"), GET[3]]),
    (":protocol without CONNECT", [*GET, (":protocol", "websocket")]),
    (
        "extended CONNECT without :path",
        [(":method", "CONNECT"), *GET[1:3], (":protocol", "websocket")],
    ),
    (
        "extended CONNECT without :authority",
        [(":method", "CONNECT"), GET[1], GET[3], (":protocol", "websocket")],
    ),
    ("CONNECT with :path", [(":method", "CONNECT"), *GET[2:]]),
    ("CONNECT with :scheme", [(":method", "CONNECT"), *GET[1:3]]),
    ("CONNECT without :authority", [(":method", "CONNECT")]),
    ("two Host fields", [*GET, ("host", "a.example"), ("host", "a.example")]),
    ("Host unlike the authority", [*GET, ("host", "b.example")]),
    ("Host with a port the authority has not", [*GET, ("host", "a.example:80")]),
    ("an empty Host alone", [*without(":authority"), ("host", "")]),
]
_BAD_FIELDS += [
    (f"{name}: {value!r}", [*GET, (name, value)])
    for name, value in (
        ("connection", "close"),
        ("connection", ""),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, deflate;q=0.5"),
        ("te", ""),
        ("X-Upper", "a"),
        ("x-uppeR", "a"),
        ("", "a"),
        ("x y", "a"),
        ("x:", "a"),
        ("x\0", "a"),
        ("x\xff", "a"),
        ("x\r\ny", "a"),
        ("x(", "a"),
        ("x", " a"),
        ("x", "a "),
        ("x", "\ta"),
        ("x", "a\t"),
        ("x", " "),
        ("x", "a\r\nb: c"),
        ("x", "a\rb"),
        ("x", "a\nb"),
        ("x", "a\0b"),
        ("x", "a\x7f"),
        ("x", "\x01"),
        ("content-length", ""),
        ("content-length", "-1"),
        ("content-length", "+1"),
        ("content-length", "0x1"),
        ("content-length", "1, 1"),
        ("content-length", "1" * 19),
        ("content-length", "1"),
    )
]
_BAD_FIELDS += [
    (f"{name} of {value!r}", replaced(name, value))
    for name, value in (
        (":method", ""),
        (":method", "GE T"),
        (":method", "GET\r\n"),
        (":method", "G(T"),
        (":scheme", ""),
        (":scheme", "ftp"),
        (":scheme", "HTTP"),
        (":scheme", "http:"),
        (":authority", ""),
        (":authority", "user@a.example"),
        (":authority", "a.example/x"),
        (":authority", "a example"),
        (":authority", "a.example:port"),
        (":authority", "a.example:99999"),
        (":authority", "[::1"),
        (":path", ""),
        (":path", "x"),
        (":path", "*"),
        (":path", "?a"),
        (":path", "http://a.example/"),
        (":path", "/ x"),
        (":path", "/\r\n"),
        (":path", "/#x"),
        (":path", "/\x7f"),
        (":path", "/\xe4"),
    )
]

# A field that enters the table comes first, and is used in the next request: whatever became of
# this one, the table has to be in step.
_STEP = b"\x40\x06x-step\x01a"

BAD = [
    Case(name, frame(HEADERS, 5, 1, block(fields) + _STEP) +
         frame(HEADERS, 5, 3, block(GET) + b"\xbe"), f"1!{P} 3=200")
    for name, fields in _BAD_FIELDS
]  # fmt: skip
BAD += [
    case("a second HEADERS without END_STREAM", headers(1, HOLD_POST, end=False),
         headers(1, [("x", "y")], end=False), headers(3), answer=f"1!{P} 3=200"),
    case("less content than announced", headers(1, [*POST, ("content-length", "4")], end=False),
         data(1, b"abc", end=True), headers(3), answer=f"1!{P} 3=200"),
    case("more content than announced", headers(1, [*POST, ("content-length", "2")], end=False),
         data(1, b"abc"), headers(3), answer=f"1!{P} 3=200"),
    case("more in a second frame", headers(1, [*POST, ("content-length", "4")], end=False),
         data(1, b"abc"), data(1, b"de", end=True), headers(3), answer=f"1!{P} 3=200"),
    case("less content and trailers", headers(1, [*POST, ("content-length", "4")], end=False),
         data(1, b"abc"), headers(1, [("x", "y")]), headers(3), answer=f"1!{P} 3=200"),
    case("two announced lengths", headers(1, [*POST, ("content-length", "1"),
         ("content-length", "2")], end=False), headers(3), answer=f"1!{P} 3=200"),
    case("content where none was announced", headers(1, [*HOLD_POST, ("content-length", "0")],
         end=False), data(1), headers(3), answer=f"1!{P} 3=200"),
    case("an extended CONNECT with a length", headers(1, [(":method", "CONNECT"), *GET[1:],
         (":protocol", "websocket"), ("content-length", "0")], end=False), answer=f"1!{P}"),
]  # fmt: skip
BAD += [
    case(f"trailers with {name}", headers(1, HOLD_POST, end=False), data(1),
         headers(1, fields), headers(3), answer=f"1!{P} 3=200")
    for name, fields in (
        ("a pseudo-field", [(":method", "GET")]),
        ("an unknown pseudo-field", [(":test", "x")]),
        ("upper case", [("X", "y")]),
        ("a line end", [("x", "y\r\n")]),
    )
]  # fmt: skip

# -- RFC 7541 ------------------------------------------------------------------------------------

HPACK = [
    case(name, raw_block(1, coded), headers(3), answer="1=200 3=200")
    for name, coded in (
        ("an indexed field", b"\x90"),
        ("a literal that is indexed, its name in the table", b"\x7a\x01a"),
        ("a literal that is indexed, its name Huffman-coded", b"\x40\x81\xf3\x01a"),
        ("a literal that is indexed", b"\x40\x01x\x01a"),
        ("a literal that is indexed and used", b"\x40\x01x\x01a\xbe"),
        ("a literal that is not indexed, its name in the table", b"\x0f\x11\x01a"),
        ("a literal that is not indexed", b"\x00\x01x\x01a"),
        ("a literal that is not indexed, Huffman-coded", b"\x00\x81\xf3\x81\x1f"),
        ("a literal that is never indexed, its name in the table", b"\x1f\x11\x01a"),
        ("a literal that is never indexed", b"\x10\x01x\x01a"),
        ("a long integer with leading zeros", b"\x00\x01x\x7f\x81\x80\x00" + b"a" * 128),
        ("padding of seven bits", b"\x00\x01x\x81\x1f"),
    )
]
HPACK += [
    case(f"at the beginning of a block: {name}", frame(HEADERS, 5, 1, coded + _BLOCK), headers(3),
         answer="1=200 3=200")
    for name, coded in (
        ("a table of size 0", b"\x20"),
        ("a table of its largest size", b"\x3f\xe1\x1f"),
        ("two sizes", b"\x20\x3f\xe1\x1f"),
        ("several sizes", b"\x20\x3e\x21\x3f\x00"),
    )
]  # fmt: skip
HPACK += [
    case(name, raw_block(1, coded), answer=f"*{H}")
    for name, coded in (
        ("index 0", b"\x80"),
        ("an index behind the static table", b"\xbe"),
        ("an index far behind", b"\xff\x80\x01"),
        ("an index behind the dynamic table", b"\x40\x01x\x01a\xbf"),
        ("a name behind the table", b"\x7f\x0f\x01a"),
        ("a name that is not indexed behind the table", b"\x0f\x70\x01a"),
        ("a size behind a field", b"\x20"),
        ("a size behind a field, of the largest", b"\x3f\xe1\x1f"),
        ("an integer without an end", b"\xff\x80\x80"),
        ("an integer of ten bytes", b"\xff" + b"\x80" * 10 + b"\x01"),
        ("an integer above 2^28", b"\xff\xff\xff\xff\xff\x0f"),
        ("an integer of zeros only", b"\xff" + b"\x80" * 9 + b"\x00"),
        ("a name without its bytes", b"\x00\x02x"),
        ("a name without a value", b"\x00\x01x"),
        ("a value without its bytes", b"\x00\x01x\x05abc"),
        ("a literal without a name", b"\x00"),
        ("a value of 2^28 bytes", b"\x00\x01x\x7f\x81\xff\xff\x7f"),
        ("EOS", b"\x00\x01x\x84\xff\xff\xff\xff"),
        ("EOS in the middle", b"\x00\x01x\x85\x1f\xff\xff\xff\xfd"),
        ("padding of eight bits", b"\x00\x01x\x82\x1f\xff"),
        ("padding of more", b"\x00\x01x\x83\x1f\xff\xff"),
        ("padding of zeros", b"\x00\x01x\x81\x18"),
        ("padding that is part of a code", b"\x00\x01x\x81\xfe"),
    )
]
HPACK += [
    case("a table above its largest size", frame(HEADERS, 5, 1, b"\x3f\xe2\x1f" + _BLOCK),
         answer=f"*{H}"),
    case("a table far above its largest size",
         frame(HEADERS, 5, 1, b"\x3f\xff\xff\xff\x1f" + _BLOCK), answer=f"*{H}"),
    case("an entry that was evicted", raw_block(1, b"\x40\x01x\x7f\xd1\x1e" + b"a" * 4048 +
         b"\x40\x01y\x01b\xbf"), answer=f"*{H}"),
    case("an entry larger than the table", raw_block(1, b"\x40\x01x\x01a\x40\x01x\x7f\xf1\x1f" +
         b"a" * 4208), raw_block(3, b"\xbe"), answer=f"1=200 *{H}"),
    case("an entry is evicted while its name is used", raw_block(1, b"\x40\x01x\x7f\xd1\x1e" +
         b"a" * 4048 + b"\x7e\x01b\xbe"), headers(3), answer="1=200 3=200"),
    case("an entry of a table of size 0",
         frame(HEADERS, 5, 1, b"\x20" + _BLOCK + b"\x40\x01x\x01a"),
         raw_block(3, b"\xbe"), answer=f"1=200 *{H}"),
    case("a refused stream keeps the table in step",
         headers(1, HOLD), raw_block(3, b"\x40\x01x\x01a"), raw_block(5, b"\xbe"),
         answer="3=200 5=200"),
    case("trailers of a stream that was reset keep the table in step",
         headers(1, HOLD_POST, end=False), widen(1, 0), frame(HEADERS, 5, 1, _STEP),
         raw_block(3, b"\xbe"), answer=f"1!{P} 3=200"),
]  # fmt: skip

# -- RFC 9218 ------------------------------------------------------------------------------------

PRIORITIES = [
    case("PRIORITY_UPDATE of a stream to come", frame(PRIORITY_UPDATE, 0, 0, u32(1) + b"u=1, i"),
         headers(1), answer="1=200"),
    case("PRIORITY_UPDATE of an open stream", headers(1, HOLD),
         frame(PRIORITY_UPDATE, 0, 0, u32(1) + b"u=1"), headers(3), answer="3=200"),
    case("PRIORITY_UPDATE of a stream that is over", headers(1),
         frame(PRIORITY_UPDATE, 0, 0, u32(1) + b"u=1"), headers(3), answer="1=200 3=200"),
    case("PRIORITY_UPDATE that is malformed", frame(PRIORITY_UPDATE, 0, 0, u32(1) + b"\xff=;,"),
         headers(1), answer="1=200"),
    case("PRIORITY_UPDATE without a value", frame(PRIORITY_UPDATE, 0, 0, u32(1)), headers(1),
         answer="1=200"),
    case("PRIORITY_UPDATE of no stream", frame(PRIORITY_UPDATE, 0, 0, u32(0) + b"u=1"),
         answer=f"*{P}"),
    case("PRIORITY_UPDATE of a push", frame(PRIORITY_UPDATE, 0, 0, u32(2) + b"u=1"),
         answer=f"*{P}"),
    case("a priority field that is malformed", headers(1, [*GET, ("priority", "u=9, i=2")]),
         answer="1=200"),
]  # fmt: skip

CASES = [
    *FRAMES, *STATES, *PADDING, *BLOCKS, *CONTROL, *WINDOWS, *GOOD, *BAD, *HPACK, *PRIORITIES
]  # fmt: skip

# -- §3.4: before the handshake ------------------------------------------------------------------

OPENING_CASES = [
    case("the preface and SETTINGS", PREFACE, settings(), answer="SETTINGS"),
    case("the preface alone", PREFACE, answer=""),
    case("half of the preface", PREFACE[:12], answer=""),
    case("no SETTINGS", PREFACE, PING_SENT, answer=f"*{P}"),
    case("a request instead of SETTINGS", PREFACE, headers(1), answer=f"*{P}"),
    case("an acknowledgement instead of SETTINGS", PREFACE, frame(SETTINGS, ACK, 0, b""),
         answer=f"*{P}"),
    case("a GOAWAY instead of SETTINGS", PREFACE, frame(GOAWAY, 0, 0, bytes(8)), answer=f"*{P}"),
    case("SETTINGS that are wrong", PREFACE, settings((2, 7)), answer=f"*{P}"),
    case("SETTINGS and a request at once", PREFACE, settings(), headers(1),
         answer="SETTINGS 1=200"),
    case("SETTINGS with values", PREFACE, settings((1, 0), (3, 100), (4, 10**6), (9, 1)),
         answer="SETTINGS"),
    case("the scheme of priorities again", PREFACE, settings((9, 1)), settings((9, 1)),
         answer="SETTINGS SETTINGS"),
    case("the scheme of priorities taken back", PREFACE, settings((9, 1)), settings((9, 0)),
         answer=f"SETTINGS *{P}"),
    case("HTTP/1.1", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", answer=f"*{P}"),
    case("a preface that goes wrong at its end", PREFACE[:-1] + b"x", answer=f"*{P}"),
    case("another preface", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", answer=f"*{P}"),
    case("zeros", bytes(24), answer=f"*{P}"),
]  # fmt: skip
