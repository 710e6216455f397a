"""What holds of forwarding fields whatever they say."""

from __future__ import annotations

import ipaddress
import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from katana_asgi import codec
from katana_asgi.codec import nodes
from katana_asgi.http.fields import is_valid_host
from katana_asgi.http.forwarded import (
    FIELD_NAMES,
    FORWARDED_FIELDS,
    Address,
    Forwarded,
    TrustedProxies,
    resolve,
)
from tests.amounts import examples

TRUSTED = TrustedProxies(["10.0.0.0/8", "::1"], ["all"])
PROXY = ("10.0.0.1", 5000)


def verdict_on(
    fields: list[tuple[bytes, bytes]],
    peer: Address | None,
    scheme: str,
    trusted: TrustedProxies = TRUSTED,
) -> Forwarded:
    return resolve(fields, tuple(range(len(fields))), peer, scheme, trusted)


ADDRESSES = st.ip_addresses().map(str)
HOPS = st.one_of(
    ADDRESSES,
    ADDRESSES.map(lambda address: f"[{address}]:80"),
    st.sampled_from(["10.0.0.2", "::1", "unknown", "_hidden", "", "x", '"', "192.0.2.1:80"]),
)
VALUES = st.one_of(
    st.binary(max_size=40),
    st.lists(HOPS, max_size=5).map(lambda hops: ", ".join(hops).encode()),
    st.lists(HOPS, max_size=5).map(lambda hops: ", ".join(f'for="{hop}"' for hop in hops).encode()),
    st.sampled_from([b"https", b"http, https", b"a.example", b"443", b"/app", b"/a/../b"]),
)
FIELDS = st.lists(st.tuples(st.sampled_from([*sorted(FORWARDED_FIELDS), b"x"]), VALUES), max_size=8)
PEERS = st.one_of(st.none(), st.tuples(ADDRESSES, st.integers(0, 65535)))
NAMES = st.lists(st.sampled_from(sorted(FIELD_NAMES)), unique=True)
NETWORKS = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)),
    st.tuples(st.ip_addresses(v=6), st.integers(0, 128)),
).map(lambda pair: ipaddress.ip_network(pair, strict=False))
NODES = st.one_of(
    ADDRESSES,
    st.ip_addresses().map(lambda address: address.exploded.upper()),
    st.ip_addresses(v=4).map(lambda address: f"::ffff:{address}"),
    st.ip_addresses(v=4).map(lambda address: f"::{address}"),
    st.lists(st.sampled_from(["", "0", "1", "00", "0db8", "ffff", "10000", "192.0.2.1"])).map(
        ":".join
    ),
    st.lists(
        st.sampled_from(["0", "1", "01", "255", "256", "-1", "+1", "\N{SUPERSCRIPT TWO}"])
    ).map(".".join),
    st.text("0123456789abcdefABCDEFg:.%/[] x\0", max_size=45),
)
PORTS = st.one_of(
    st.none(),
    st.integers(0, 70000).map(str),
    st.sampled_from(["", "_", "_a", "_a.b-c_d", "00080", "000080", "+1", "-1", "a", "1_0"]),
)
SCHEMES = st.sampled_from(["http", "https"])


@given(FIELDS, PEERS, SCHEMES)
def test_an_untrusted_peer_never_changes_anything(
    fields: list[tuple[bytes, bytes]], peer: tuple[str, int] | None, scheme: str
) -> None:
    unchanged = Forwarded(peer, scheme, None, None, None)
    assert verdict_on(fields, peer, scheme, TrustedProxies([])) == unchanged
    if not TRUSTED.trusts(peer and peer[0]):
        assert verdict_on(fields, peer, scheme) == unchanged


@given(FIELDS, SCHEMES)
def test_whatever_a_trusted_peer_says_comes_out_usable(
    fields: list[tuple[bytes, bytes]], scheme: str
) -> None:
    verdict = verdict_on(fields, PROXY, scheme)
    assert verdict.client is not None
    host, port = verdict.client
    assert str(ipaddress.ip_address(host)) == host
    assert 0 <= port <= 65535
    assert verdict.scheme in ("http", "https")
    assert verdict.host is None or (verdict.host and is_valid_host(verdict.host))
    assert verdict.port is None or 1 <= verdict.port <= 65535
    if verdict.prefix is not None:
        assert verdict.prefix.startswith("/")
        assert not verdict.prefix.endswith("/")
        assert ".." not in verdict.prefix
        assert not any(ord(character) < 0x20 for character in verdict.prefix)


@given(st.binary(max_size=80), st.sampled_from(["192.0.2.1", "2001:db8::1"]))
def test_a_client_cannot_hide_behind_what_it_sent_itself(forged: bytes, client: str) -> None:
    """A proxy appends the client's address to whatever the client claimed."""
    appended = b"%b, %b" % (forged, client.encode())
    fields = [(b"x-forwarded-for", appended)]
    assert verdict_on(fields, PROXY, "http").client == (client, 0)
    quoted = f"[{client}]" if ":" in client else client
    fields = [(b"forwarded", b'%b, for="%b"' % (forged, quoted.encode()))]
    assert verdict_on(fields, PROXY, "http").client == (client, 0)


@given(st.lists(ADDRESSES, min_size=1, max_size=6))
def test_the_client_is_the_first_from_the_right_that_is_not_trusted(hops: list[str]) -> None:
    hops = [hop for hop in hops if ipaddress.ip_address(hop).version == 4]
    untrusted = [hop for hop in hops if not TRUSTED.trusts(hop)]
    expected = (untrusted[-1], 0) if untrusted else (hops[0], 0) if hops else PROXY
    plain = [(b"x-forwarded-for", hop.encode()) for hop in hops]
    assert verdict_on(plain, PROXY, "http").client == expected
    elements = [(b"forwarded", f"for={hop}".encode()) for hop in hops]
    assert verdict_on(elements, PROXY, "http").client == expected


@given(FIELDS, PEERS, SCHEMES, NAMES)
def test_a_field_that_is_not_believed_is_as_good_as_absent(
    fields: list[tuple[bytes, bytes]], peer: Address | None, scheme: str, names: list[str]
) -> None:
    trusted = TrustedProxies(["*"], names)
    kept = [field for field in fields if field[0] in {FIELD_NAMES[name] for name in names}]
    everything = TrustedProxies(["*"], ["all"])
    assert verdict_on(fields, peer, scheme, trusted) == verdict_on(kept, peer, scheme, everything)


def canonical(address: str) -> str | None:
    """``address`` as ``ipaddress`` writes it, those of IPv4 in IPv6 form as IPv4."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.scope_id is not None:
            return None
        return str(parsed.ipv4_mapped or parsed)
    return str(parsed)


def port_number(text: str | None) -> int | None:
    if text is None or re.fullmatch(r"_[A-Za-z0-9._-]+", text):
        return 0
    number = int(text) if re.fullmatch("[0-9]{1,5}", text) else 65536
    return number if number <= 65535 else None


@settings(max_examples=examples(1000))
@given(NODES, PORTS, st.booleans())
def test_a_node_is_parsed_as_ipaddress_parses_addresses(
    address: str, port: str | None, brackets: bool
) -> None:
    if any(character in address for character in "[]"):
        brackets = True  # never valid, whatever follows
    node = f"[{address}]" if brackets else address
    if port is not None:
        node += f":{port}"
    expected = None
    # An IPv6 address has a port in brackets only: without them it is one more group.
    if not brackets:
        before, colon, after = node.partition(":")
        address, port = (before, after) if colon and ":" not in after else (node, None)
    host, number = canonical(address), port_number(port)
    if host is not None and number is not None:
        expected = (host, number)
    assert codec.parse_node(node.encode()) == expected
    assert nodes.parse_node(node.encode()) == expected


@given(st.binary(max_size=60))
def test_any_bytes_are_a_usable_address_or_none(node: bytes) -> None:
    address = nodes.parse_node(node)
    assert address == codec.parse_node(node)
    assert address is None or (canonical(address[0]) == address[0] and address[1] <= 65535)


MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def as_ipv4(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """A network within that of mapped addresses means the IPv4 addresses that are mapped there."""
    if network.version == 4 or not network.subnet_of(MAPPED):
        return network
    return ipaddress.IPv4Network((network.network_address.packed[12:], network.prefixlen - 96))


@given(st.lists(NETWORKS, max_size=4), st.lists(st.ip_addresses(), max_size=8))
@example([MAPPED], [ipaddress.IPv4Address("192.0.2.1")])
def test_trust_of_networks_is_what_ipaddress_says(
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network],
    addresses: list[ipaddress.IPv4Address | ipaddress.IPv6Address],
) -> None:
    proxies = TrustedProxies(map(str, networks))
    addresses += [network.network_address for network in networks]
    addresses += [network.broadcast_address for network in networks]
    meant = [as_ipv4(network) for network in networks]
    for address in addresses:
        mapped = address.ipv4_mapped if address.version == 6 else None
        expected = any((mapped or address) in network for network in meant)
        if mapped is None or not any(network.version == 6 for network in networks):
            assert proxies.trusts(str(address)) is expected
