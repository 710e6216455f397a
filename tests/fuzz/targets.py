"""What is fuzzed: one function a target, which takes any bytes and fails where a promise breaks.

Each is run over its corpus and over mutations of it by the tests, and by ``make fuzz`` under
a coverage-guided fuzzer. How bytes are cut into reads follows from the bytes themselves, so a
finding is one file.
"""

from __future__ import annotations

import ipaddress
import random
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from katana_asgi import codec
from katana_asgi.codec import UPGRADE, check_fields, fields, masking, nodes
from katana_asgi.codec import values as plain_values
from katana_asgi.errors import RemoteProtocolError
from katana_asgi.http.conditional import failed_precondition
from katana_asgi.http.fields import is_valid_host
from katana_asgi.http.forwarded import FORWARDED_FIELDS, TrustedProxies, resolve
from katana_asgi.http.trace_context import trace_id
from katana_asgi.http1.content import ChunkedContent
from katana_asgi.http1.default_lines import field_lines
from katana_asgi.http1.websocket_upgrade import Http1Upgrade, is_upgrade
from katana_asgi.net.proxy_details import proxy_details
from katana_asgi.net.proxy_protocol import (
    LARGEST_HEADER,
    ProxyHeaderError,
    parse_proxy_header,
)
from katana_asgi.websocket.codec import Close, FrameCodec, WebSocketError
from katana_asgi.websocket.deflate import Deflate, DeflateParameters, DeflateSettings, negotiate
from katana_asgi.websocket.events import INVALID_DATA, TOO_BIG
from katana_asgi.websocket.handshake import parse_opening, response_fields
from tests.codec.twins import attributes, head_of, outcome, scans
from tests.fuzz.http2_targets import header_blocks, http2_clients, http2_connections
from tests.fuzz.in_memory import BACK_ENDS, Served, served_alike
from tests.http1.reads import heard, reader_settings, whole_scanner

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.http1.scanning import HeadScanner
    from katana_asgi.net.proxy_protocol import Origin
    from katana_asgi.websocket.handshake import Opening

__all__ = ["TARGETS", "cut"]

# -- requests: the reading half alone, over all back ends

_READERS: Final = {name: reader_settings(name, line=200, size=400, count=8) for name in BACK_ENDS}


def requests(data: bytes) -> None:
    """All back ends hear the same requests, and how the bytes are cut does not matter."""
    reads = cut(data)
    first, *others = (heard(reads, settings) for settings in _READERS.values())
    assert others == [first] * len(others), (first, others)
    whole, *others = (heard([data], settings) for settings in _READERS.values())
    assert others == [whole] * len(others), (whole, others)
    assert _comparable(first) == _comparable(whole), (first, whole)


def _comparable(said: list[Any]) -> list[Any]:
    """Of several faults any may be found first, and how much content comes before it varies."""
    if said and isinstance(said[-1], int):
        said = [*said[:-2], *(each for each in said[-2:-1] if not isinstance(each, bytes)), "no"]
    return said


# -- connections: what the application saw and what the client got

_RESPONSE: Final = re.compile(
    rb"HTTP/1\.1 (?P<status>[0-9]{3}) [A-Za-z -]*\r\n"
    rb"(?:(?!content-length)[a-z-]+: [ -~]*\r\n)*"
    rb"(?:content-length: (?P<length>[0-9]+)\r\n)?"
    rb"(?:connection: (?P<connection>close|keep-alive)\r\n)?\r\n"
)


def connections(data: bytes) -> None:
    """Over all back ends the application sees the same and the client gets the same bytes."""
    for reads in ([data], cut(data)):
        for served in served_alike(reads):
            _check_answers(served)


def _check_answers(served: Served) -> None:
    """What was sent is whole responses; nothing follows one that closes, or a refusal."""
    rest = served.sent
    answers = 0
    while rest:
        match = _RESPONSE.match(rest)
        assert match is not None, rest
        answers += 1
        rest = rest[match.end() :]
        length = int(match["length"] or 0)
        if match["status"] == b"200":
            if not rest.startswith((b"<", b"cached")):
                length = 0  # to HEAD
        elif rest.startswith(b"HTTP/1.1 ") or not rest:
            length = 0
        assert len(rest) >= length
        rest = rest[length:]
        if match["connection"] == b"close":
            assert served.closed
            assert not rest
    assert answers >= len(served.seen)


# -- chunked content


def chunks(data: bytes) -> None:
    """However chunked content is cut it is the same, and no more than what was sent."""
    whole = _decode([data])
    assert whole == _decode(cut(data))
    assert whole == _decode([data[at : at + 1] for at in range(len(data))])
    assert len(whole[0]) <= len(data)


def _decode(reads: list[bytes]) -> tuple[bytes, object]:
    """Content, and what follows it; of what is refused no content, its amount varies."""
    found = b""
    decoder = ChunkedContent()
    for number, read in enumerate(reads):
        try:
            content, end = decoder.feed(read, 0)
        except RemoteProtocolError:
            return b"", "refused"
        found += content
        if decoder.complete:
            return found, read[end:] + b"".join(reads[number + 1 :])
    return found, "more"


# -- forwarding fields

_TRUSTED: Final = TrustedProxies(["10.0.0.0/8", "::1", "fe80::/10"], ["all"])

_NAMES: Final = [*sorted(FORWARDED_FIELDS), b"x-other"]


def forwarded(data: bytes) -> None:
    """Whatever a trusted peer says comes out usable, and an untrusted one changes nothing.

    Lines are fields, the first byte of each chooses its name.
    """
    sent = [(_NAMES[line[0] % len(_NAMES)], line[1:]) for line in data.split(b"\n") if line]
    proxy = ("10.0.0.1", 5000)
    positions = tuple(range(len(sent)))
    verdict = resolve(sent, positions, proxy, "http", _TRUSTED)
    client = verdict.client
    assert client is not None
    assert str(ipaddress.ip_address(client[0])) == client[0]
    assert 0 <= client[1] <= 65535
    assert verdict.scheme in ("http", "https")
    assert verdict.host is None or is_valid_host(verdict.host)
    assert verdict.port is None or 1 <= verdict.port <= 65535
    if verdict.prefix is not None:
        assert re.fullmatch(r"(?:/[^/\x00-\x1f\\]+)+", verdict.prefix)
        assert ".." not in verdict.prefix
    stranger = ("192.0.2.1", 1)
    unchanged = resolve(sent, positions, stranger, "http", _TRUSTED)
    assert unchanged == (stranger, "http", None, None, None)


# -- WebSocket frames

_MAX_SIZE: Final = 500


def frames(data: bytes) -> None:
    """However frames are cut the events are the same, and none is larger than allowed."""
    for compression in (False, True):
        whole = _read_frames([data], compression)
        pieces = _read_frames(cut(data), compression)
        assert list(map(_any_fault, pieces)) == list(map(_any_fault, whole))
        for event in whole:
            if isinstance(event, str):
                assert len(event.encode()) <= _MAX_SIZE
            elif isinstance(event, bytes):
                assert len(event) <= _MAX_SIZE


def _any_fault(event: Any) -> Any:
    """Compressed content that is too large and broken behind that: zlib tells one or the other."""
    return TOO_BIG if event == INVALID_DATA else event


def _read_frames(reads: list[bytes], compression: bool) -> list[Any]:
    deflate = Deflate(DeflateParameters(), DeflateSettings()) if compression else None
    codec = FrameCodec(max_size=_MAX_SIZE, max_fragments=5, deflate=deflate)
    events: list[Any] = [event for read in reads for event in codec.feed(read)]
    ends = [isinstance(event, Close | WebSocketError) for event in events]
    assert not any(ends[:-1])
    assert codec.ended is any(ends)
    return [event.code if isinstance(event, WebSocketError) else event for event in events]


# -- what comes before and beside a head


def proxied(data: bytes) -> None:
    """However a PROXY header is cut it says the same, names usable addresses, and has an end."""
    found = _proxy_header(data)
    for length in range(min(len(data), LARGEST_HEADER) + 1):
        early = _proxy_header(data[:length])
        if early is not None:
            assert early == found
            break
    else:
        assert found is None
        assert len(data) < LARGEST_HEADER
    if isinstance(found, str) or found is None:
        return
    origin, length = found
    assert length <= min(len(data), LARGEST_HEADER)
    for end in (origin.source, origin.destination):
        if isinstance(end, tuple):
            assert str(ipaddress.ip_address(end[0])) == end[0]
            assert 0 <= end[1] <= 65535
    with suppress(ProxyHeaderError):
        proxy_details(origin)


def _proxy_header(data: bytes) -> tuple[Origin, int] | str | None:
    try:
        return parse_proxy_header(data)
    except ProxyHeaderError:
        return "refused"


_HANDSHAKE: Final = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
)

_HANDSHAKE_FIELDS: Final = (
    b"Sec-WebSocket-Key",
    b"Sec-WebSocket-Protocol",
    b"Sec-WebSocket-Extensions",
    b"Sec-WebSocket-Version",
    b"Connection",
    b"Upgrade",
)

_SCANNERS: Final = [whole_scanner(name) for name in BACK_ENDS]

_match_line: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t -~\x80-\xff]*").fullmatch


def handshakes(data: bytes) -> None:
    """A WebSocket handshake is refused, or answered with a head that is well formed.

    Lines are fields, the first byte of each chooses its name; those of a handshake that works
    but for its key come first.
    """
    head = _HANDSHAKE
    for line in data.split(b"\n"):
        if line:
            name = _HANDSHAKE_FIELDS[line[0] % len(_HANDSHAKE_FIELDS)]
            head += b"%b: %b\r\n" % (name, line[1:])
    first, *others = [_opening(scan, head + b"\r\n") for scan in _SCANNERS]
    assert others == [first] * len(others)
    if first is None:
        return
    opening, start = first
    names = opening.subprotocols
    assert len(set(names)) == len(names)
    agreed = negotiate(opening.extensions, DeflateSettings())
    extension = None if agreed is None else agreed.response
    for chosen in (None, *names):
        pairs = response_fields(
            opening, subprotocol=chosen, extension=extension, fields=check_fields(())
        )
        answer = start + field_lines(pairs) + b"\r\n"
        status, *lines = answer.split(b"\r\n")
        assert status == b"HTTP/1.1 101 Switching Protocols"
        assert lines[-2:] == [b"", b""]
        assert all(map(_match_line, lines[:-2])), answer


class _Upgraded:
    """Instead of a connection: keeps the response that upgrades it."""

    response = b""

    def upgrade(self, response: bytes, end: object) -> tuple[object, bytes]:
        self.response = response
        return self, b""


def _opening(scan: HeadScanner, data: bytes) -> tuple[Opening, bytes] | None:
    """What a handshake offers, and the response that accepts it without the end of its head."""
    try:
        head, framing = scan(data, 10**4, 10**5, 10**4)
        if not framing & UPGRADE or not is_upgrade(head):
            return None
        upgraded: Any = _Upgraded()
        Http1Upgrade(upgraded, head).accept((), upgraded)
        return parse_opening(head), upgraded.response[:-2]
    except RemoteProtocolError:
        return None


_TAGS: Final = (b'"a"', b'W/"a"', b'"a,b"', b'""')


def preconditions(data: bytes) -> None:
    """Whatever tags a client names there is a verdict, alike for one line and for several."""
    known, _, required = data.partition(b"\n")
    for tag in _TAGS:
        tags = [(b"if-none-match", known), (b"if-match", required)]
        verdict = failed_precondition("GET", tags, tag)
        assert verdict in (0, 304, 412)
        assert failed_precondition("PUT", tags, tag) in (0, 412)
        assert failed_precondition("GET", tags[::-1], tag) == verdict
        if b"*" not in known:
            more = [(b"if-none-match", b""), tags[0]]
            assert failed_precondition("GET", more, tag) == failed_precondition(
                "GET", more[1:], tag
            )
    found = trace_id(data)
    assert found is None or re.fullmatch("[0-9a-f]{32}", found)


# -- the codec: C, Python and the libraries

_NARROW: Final = (60, 300, 6)
_GENEROUS: Final = (10**4, 10**5, 300)


def heads(data: bytes) -> None:
    """Every way to scan a head accepts, refuses and produces the same; C may decline."""
    head = head_of(data)
    for limits in (_NARROW, _GENEROUS):
        found = scans(head, limits)
        expected = found["python"]
        if found.get("native", expected) is None:
            del found["native"]
        assert found == dict.fromkeys(found, expected), (head, found)
        chosen = outcome(codec.scan_head, head, *limits)
        assert isinstance(chosen, tuple) is isinstance(expected, tuple)
        following = codec.try_scan_next(data, 0, *limits) if codec.NATIVE else None
        if following is not None:
            assert (attributes(following[0]), following[1]) == expected, data
            assert data[: following[2]] == head


def values(data: bytes) -> None:
    """Nodes, masks and response fields are the same in C and in Python. Lines are headers."""
    assert codec.parse_node(data) == nodes.parse_node(data), data
    assert codec.mask(data, b"\x01\x80\xffM") == masking.mask(data, b"\x01\x80\xffM")
    assert codec.printable(data) == plain_values.printable(data)
    lines = [line.partition(b":") for line in data.split(b"\n")]
    headers = [(name, value) for name, _, value in lines]
    for name, _ in headers:
        assert codec.field_value(headers, name) == plain_values.field_value(headers, name)
    found, expected = [
        outcome(check, headers) for check in (codec.check_fields, fields.check_fields)
    ]
    if isinstance(expected, tuple):
        assert found == expected
        return
    for name in ("pairs", "content_length", "own", "close", "wire"):
        assert getattr(found, name) == getattr(expected, name), name
    for length in (None, len(data)):
        rendered = codec.render_head(b"a", found, length, b"b", data)
        assert rendered == fields.render_head(b"a", expected, length, b"b", data)


# -- all of them


def cut(data: bytes) -> list[bytes]:
    """Reads that add up to the data, the same for the same data."""
    chance = random.Random(crc32(data))
    reads = []
    while data:
        size = chance.choice((1, 1, 2, 3, 5, 8, 20, 60, 300))
        reads.append(data[:size])
        data = data[size:]
    return reads


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (
        requests,
        connections,
        chunks,
        forwarded,
        frames,
        proxied,
        handshakes,
        preconditions,
        heads,
        values,
        header_blocks,
        http2_connections,
        http2_clients,
    )
}
