"""Forwarded nodes and WebSocket masks: C and Python give the same."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from katana_asgi import codec
from katana_asgi.codec import masking, nodes
from katana_asgi.codec.masking import STRIDED_FROM
from tests.amounts import examples
from tests.codec.twins import NATIVE, native_only

USUAL = settings(max_examples=examples(800), deadline=None, suppress_health_check=list(HealthCheck))

ADDRESSES = st.ip_addresses().map(str) | st.ip_addresses(v=6).map(lambda a: a.exploded.upper())
GROUPS = st.lists(
    st.sampled_from(["", "0", "00", "1", "abcd", "ABCD", "0001", "12345", "1.2.3.4", "g", "ffff"]),
    max_size=10,
).map(":".join)
OCTETS = st.lists(
    st.sampled_from(["", "0", "00", "1", "01", "255", "256", "1234", "x"]), max_size=6
).map(".".join)
PORTS = st.sampled_from(["", ":", ":0", ":80", ":65535", ":65536", ":123456", ":_x.-", ":_", ":x"])
NODES = st.tuples(
    st.sampled_from(["", "", "["]),
    ADDRESSES | GROUPS | OCTETS | st.text("0123456789abcdef:.[]_%", max_size=30),
    st.sampled_from(["", "", "]"]),
    PORTS,
).map("".join)


@USUAL
@given(NODES.map(str.encode) | st.binary(max_size=20))
@example(b"::ffff:192.0.2.1")
@example(b"[::ffff:c000:201]:80")
@example(b"::1.2.3.4")
@example(b"0:0:1:0:0:0:0:1")
@example(b"1:0:0:2:0:0:3:4")
@example(b"[" + b"0" * 127 + b"]")
def test_nodes_are_the_same_to_both(node):
    assert codec.parse_node(node) == nodes.parse_node(node)


@USUAL
@given(st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF, 0x0A00]), min_size=8, max_size=8))
def test_addresses_are_written_as_the_standard_library_does(groups):
    address = ipaddress.IPv6Address(b"".join(group.to_bytes(2, "big") for group in groups))
    expected = str(address.ipv4_mapped or address)
    assert codec.parse_node(address.exploded.encode()) == (expected, 0)
    assert codec.parse_node(f"[{address}]:443".encode()) == (expected, 443)


@pytest.mark.parametrize("way", [codec.parse_node, nodes.parse_node])
@pytest.mark.parametrize(
    ("node", "address"),
    [
        (b"192.0.2.1", ("192.0.2.1", 0)),
        (b"192.0.2.1:80", ("192.0.2.1", 80)),
        (b"2001:DB8::1", ("2001:db8::1", 0)),
        (b"[2001:db8::1]:80", ("2001:db8::1", 80)),
        (b"[192.0.2.1]:_hidden", ("192.0.2.1", 0)),
        (b"::ffff:192.0.2.1", ("192.0.2.1", 0)),
        (b"192.0.2.01", None),
        (b"fe80::1%eth0", None),
        (b"unknown", None),
        (b"_hidden", None),
        (b"", None),
    ],
)
def test_a_node_is_an_address_and_perhaps_a_port(way, node, address):
    assert way(node) == address


FORWARDING = st.lists(
    st.tuples(
        st.sampled_from(
            [b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port", b"forwarded", b"a"]
        ),
        st.sampled_from([b"http", b"https", b"HTTPS", b"http, https", b"", b",", b"a,\t"])
        | st.lists(NODES, max_size=3).map(", ".join).map(str.encode)
        | st.binary(max_size=20),
    ),
    max_size=4,
)


@USUAL
@given(
    FORWARDING,
    st.sampled_from([(b"x-forwarded-for", b"x-forwarded-proto"), (b"x-forwarded-for", b"a"), ()]),
    st.booleans(),
)
def test_the_nearest_hop_is_the_same_to_both(fields, believed, reverse):
    positions = tuple(sorted(range(len(fields)), reverse=reverse))
    arguments = fields, positions, frozenset(believed)
    assert codec.nearest_hop(*arguments) == nodes.nearest_hop(*arguments)


@pytest.mark.parametrize("way", [codec.nearest_hop, nodes.nearest_hop])
def test_the_nearest_hop_is_the_last_of_one_list(way):
    believed = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"})
    fields = [
        (b"x-forwarded-for", b"unknown, 192.0.2.1 ,\t192.0.2.2:80 "),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-port", b"443"),
        (b"x-forwarded-host", b"a"),
        (b"x-forwarded-for", b"nobody"),
    ]
    assert way(fields, (0, 1, 2), believed) == (("192.0.2.2", 80), "https", True)
    assert way(fields, (0,), believed) == (("192.0.2.2", 80), None, True)
    assert way(fields, (1, 4), believed) == (None, "https", False)
    assert way(fields, (2,), believed) == (None, None, False)
    assert way(fields, (0, 4), believed) is None
    assert way(fields, (0, 3), believed) is None


@native_only
def test_positions_are_within_the_fields():
    assert NATIVE.nearest_hop([(b"x-forwarded-for", b"")], (1,), frozenset()) is None
    with pytest.raises(OverflowError):
        NATIVE.nearest_hop([], (1 << 80,), frozenset())
    with pytest.raises(TypeError):
        NATIVE.nearest_hop([], (None,), frozenset())
    with pytest.raises(TypeError):
        NATIVE.nearest_hop((), (), frozenset())


@native_only
def test_a_node_that_is_not_bytes_is_an_error():
    with pytest.raises(TypeError):
        NATIVE.parse_node("192.0.2.1")


KEYS = st.binary(min_size=4, max_size=4)
CONTENTS = st.binary(max_size=40) | st.integers(0, 2000).map(lambda size: b"\x5a\xc3!" * size)
EVERY_WAY = pytest.mark.parametrize("way", [codec.mask, masking.mask])


def xor(data, key):
    return bytes(byte ^ key[index % 4] for index, byte in enumerate(data))


@EVERY_WAY
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 8, 9, STRIDED_FROM - 1, STRIDED_FROM, 2001])
def test_every_byte_meets_its_byte_of_the_key(way, size):
    content = bytes(index * 7 & 0xFF for index in range(size))
    assert way(content, b"\x01\x80\xff\x37") == xor(content, b"\x01\x80\xff\x37")


@settings(USUAL, max_examples=examples(200))
@given(CONTENTS, KEYS)
def test_both_ways_agree_and_undo_themselves(content, key):
    masked = masking.mask(content, key)
    for data in (content, bytearray(content), memoryview(content), memoryview(b"x" + content)[1:]):
        assert codec.mask(data, key) == masked
        assert masking.mask(data, key) == masked
    assert codec.mask(masked, key) == content


@EVERY_WAY
@pytest.mark.parametrize("key", [b"", b"abc", b"abcde"])
def test_a_key_has_four_bytes(way, key):
    with pytest.raises(ValueError):
        way(b"data", key)


@EVERY_WAY
def test_text_has_no_mask(way):
    with pytest.raises(TypeError):
        way("text", b"abcd")


@pytest.mark.parametrize(
    ("node", "port"),
    [(b"192.0.2.1:65535", 65535), (b"192.0.2.1:65536", 0), (b"192.0.2.1:000080", 0)],
)
def test_a_port_has_five_digits_at_most(node, port):
    found = nodes.parse_node(node)
    assert (found[1] if found else 0) == port
    if NATIVE is not None:
        assert NATIVE.parse_node(node) == found
