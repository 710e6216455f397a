"""PROXY headers: both versions, whole and in any split, and everything that is none."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.net.proxy_details import proxy_details
from katana_asgi.net.proxy_protocol import (
    NOT_SPOKEN,
    NOT_TRUSTED,
    SIGNATURE,
    Origin,
    ProxyHeaderError,
    is_proxy_header,
    parse_proxy_header,
)

IPV4 = struct.pack("!4s4sHH", bytes((192, 0, 2, 1)), bytes((198, 51, 100, 1)), 4711, 443)
IPV6 = struct.pack("!16s16sHH", b"\x20\x01" + bytes(13) + b"\x01", bytes(15) + b"\x01", 1, 2)
MAPPED = struct.pack("!16s16sHH", *[bytes(10) + b"\xff\xff\xc0\x00\x02\x01"] * 2, 1, 2)
UNIX = struct.pack("!108s108s", b"/run/client", b"")


def v2(block: bytes = IPV4, *, family: int = 0x11, command: int = 0x21) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


SSL = tlv(
    0x20, b"\x07" + bytes(4) + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"client") + tlv(0x23, b"AES")
)

ENDS = (("192.0.2.1", 4711), ("198.51.100.1", 443))

HEADERS = {
    b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n": Origin(1, *ENDS),
    b"PROXY TCP6 2001:db8::1 ::1 65535 0\r\n": Origin(1, ("2001:db8::1", 65535), ("::1", 0)),
    b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n": Origin(1, ("192.0.2.1", 1), ("::1", 2)),
    b"PROXY UNKNOWN\r\n": Origin(1, None, None),
    b"PROXY UNKNOWN whatever else 1 2 3\r\n": Origin(1, None, None),
    v2(): Origin(2, *ENDS),
    v2(IPV6, family=0x21): Origin(2, ("2001::1", 1), ("::1", 2)),
    v2(MAPPED, family=0x21): Origin(2, ("192.0.2.1", 1), ("192.0.2.1", 2)),
    v2(UNIX, family=0x31): Origin(2, "/run/client", ""),
    v2(b"", family=0): Origin(2, None, None),
    v2(b"", family=0, command=0x20): Origin(2, None, None),
    v2(b"anything", family=0x77, command=0x20): Origin(2, None, None),
    v2(IPV4 + tlv(1, b"h2") + tlv(0xE0, b"")): Origin(2, *ENDS, ((1, b"h2"), (0xE0, b""))),
    v2(IPV4 + SSL): Origin(2, *ENDS, ((0x20, SSL[3:]),)),
}

cases = pytest.mark.parametrize(("header", "origin"), list(HEADERS.items()))


@cases
def test_a_header_is_understood_and_what_follows_is_left(header: bytes, origin: Origin) -> None:
    assert parse_proxy_header(header) == (origin, len(header))
    assert parse_proxy_header(header + b"GET / HTTP/1.1\r\n\r\n") == (origin, len(header))


@cases
def test_every_beginning_of_a_header_asks_for_more(header: bytes, origin: Origin) -> None:
    assert [parse_proxy_header(header[:length]) for length in range(len(header))] == [None] * len(
        header
    )


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"proxy TCP4 ",
        b"\r\n\r\n\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 4711\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 65536\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 04711 443\r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.1 4711 443\r\n",
        b"PROXY TCP4 ::1 ::1 4711 443\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.1 4711 443\r\n",
        b"PROXY TCP4  192.0.2.1 198.51.100.1 4711 443\r\n",
        b"PROXY UDP4 192.0.2.1 198.51.100.1 4711 443\r\n",
        b"PROXY UNKNOWN\n\r\n",
        b"PROXY UNKNOWN " + b"x" * 100,
        v2(command=0x11),
        v2(command=0x22),
        v2(family=0x12),
        v2(IPV4[:-1]),
        v2(IPV4 + b"\x01\x00"),
        v2(IPV4 + tlv(1, b"h2")[:-1]),
        SIGNATURE + b"\x21\x11\xff\xff",
        v2(IPV4 + tlv(3, b"\0\0\0\0")),
        v2(IPV4 + tlv(3, b"\0\0\0")),
    ],
)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        parse_proxy_header(data)


def test_no_input_is_kept_without_end() -> None:
    for beginning in (b"PROXY ", SIGNATURE + b"\x21\x11"):
        data = beginning + b"\xff" * 5000
        with pytest.raises(ProxyHeaderError):
            parse_proxy_header(data)


def test_a_checksum_that_is_right_is_accepted() -> None:
    # CRC-32C of this very header with the value zeroed, computed bit by bit from the other end.
    zeroed = v2(IPV4 + tlv(3, bytes(4)))
    crc = 0xFFFFFFFF
    for bit in (byte >> shift & 1 for byte in zeroed for shift in range(8)):
        crc = (crc >> 1) ^ (0x82F63B78 * ((crc ^ bit) & 1))
    value = struct.pack("!I", crc ^ 0xFFFFFFFF)
    assert parse_proxy_header(v2(IPV4 + tlv(3, value))) is not None


@given(st.binary(max_size=300), st.sampled_from([b"", b"PROXY ", SIGNATURE, *HEADERS]))
def test_any_bytes_are_a_header_or_more_or_refused(data: bytes, beginning: bytes) -> None:
    whole = beginning + data
    try:
        found = parse_proxy_header(whole)
    except ProxyHeaderError:
        return
    if found is not None:
        assert parse_proxy_header(whole[: found[1]]) == found
        assert all(parse_proxy_header(whole[:length]) is None for length in range(found[1]))


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_is_known_as_one_where_a_request_line_should_be(header: bytes) -> None:
    assert is_proxy_header(header)
    assert is_proxy_header(header + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert is_proxy_header(header.rstrip(b"\r\n"))
    assert is_proxy_header(header.lstrip(b"\r\n"))  # skipped as empty lines


@pytest.mark.parametrize(
    "beginning",
    [b"PROXY UNKNOWN\r\n", b"PROXY TCP4 x\r\n", SIGNATURE, SIGNATURE + b"\xff", b"PROXY TCP6 "],
)
def test_a_header_that_is_malformed_is_known_as_one_too(beginning: bytes) -> None:
    assert is_proxy_header(beginning)


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"\r\n\r\n",
        b"\0",
        b"PROXY",
        b"PROXY ",
        b"PROXY / HTTP/1.1",
        b"PROXY TCP",
        b"PROXY TCP40 x",
        b"proxy TCP4 x",
        b"GET / HTTP/1.1\r\nX: PROXY TCP4 x",
        b"XPROXY TCP4 x",
        b"\x16\x03\x01" + SIGNATURE,
        SIGNATURE[:-1],
    ],
)
def test_what_else_is_no_request_is_no_header(beginning: bytes) -> None:
    assert not is_proxy_header(beginning)


def test_the_reasons_of_a_refusal_are_plain_lines() -> None:
    assert all("PROXY" in reason for reason in (NOT_TRUSTED, NOT_SPOKEN))
    assert all(reason.isascii() and reason.isprintable() for reason in (NOT_TRUSTED, NOT_SPOKEN))


def test_the_details_name_what_is_known_and_keep_what_is_not() -> None:
    block = tlv(1, b"h2") + tlv(2, b"example.org") + tlv(5, b"\0\1") + SSL + tlv(0xE5, b"own")
    found = parse_proxy_header(v2(IPV4 + block))
    assert found is not None
    details = proxy_details(found[0])
    assert (0xE5, b"own") in details.pop("tlvs")
    assert details == {
        "version": 2,
        "alpn": "h2",
        "authority": "example.org",
        "unique_id": b"\0\1",
        "tls_certificate": True,
        "tls_verified": True,
        "tls_version": "TLSv1.3",
        "tls_common_name": "client",
        "tls_cipher": "AES",
    }


@pytest.mark.parametrize(
    ("client", "verify", "expected"),
    [(1, 1, (False, False)), (1, 0, (False, False)), (5, 0, (True, True)), (3, 20, (True, False))],
)
def test_a_certificate_is_verified_only_where_there_is_one(
    client: int, verify: int, expected: tuple[bool, bool]
) -> None:
    value = bytes((client,)) + struct.pack("!I", verify)
    details = proxy_details(Origin(2, None, None, ((0x20, value),)))
    assert (details["tls_certificate"], details["tls_verified"]) == expected


def test_plain_connections_have_no_tls_and_a_tlv_cut_short_is_refused() -> None:
    assert proxy_details(Origin(2, None, None, ((0x20, bytes(5)),))).keys() == {"version", "tlvs"}
    with pytest.raises(ProxyHeaderError):
        proxy_details(Origin(2, None, None, ((0x20, b"\1\0"),)))
