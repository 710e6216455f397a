"""What holds of forwarding fields whatever they say."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.http.fields import is_valid_host
from katana_asgi.http.forwarded import FORWARDED_FIELDS, Forwarded, TrustedProxies, resolve

TRUSTED = TrustedProxies(["10.0.0.0/8", "::1"])
PROXY = ("10.0.0.1", 5000)

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
SCHEMES = st.sampled_from(["http", "https"])


@given(FIELDS, PEERS, SCHEMES)
def test_an_untrusted_peer_never_changes_anything(
    fields: list[tuple[bytes, bytes]], peer: tuple[str, int] | None, scheme: str
) -> None:
    unchanged = Forwarded(peer, scheme, None, None, None)
    assert resolve(fields, peer, scheme, TrustedProxies([])) == unchanged
    if not TRUSTED.trusts(peer and peer[0]):
        assert resolve(fields, peer, scheme, TRUSTED) == unchanged


@given(FIELDS, SCHEMES)
def test_whatever_a_trusted_peer_says_comes_out_usable(
    fields: list[tuple[bytes, bytes]], scheme: str
) -> None:
    verdict = resolve(fields, PROXY, scheme, TRUSTED)
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
    assert resolve(fields, PROXY, "http", TRUSTED).client == (client, 0)
    quoted = f"[{client}]" if ":" in client else client
    fields = [(b"forwarded", b'%b, for="%b"' % (forged, quoted.encode()))]
    assert resolve(fields, PROXY, "http", TRUSTED).client == (client, 0)


@given(st.lists(ADDRESSES, min_size=1, max_size=6))
def test_the_client_is_the_first_from_the_right_that_is_not_trusted(hops: list[str]) -> None:
    hops = [hop for hop in hops if ipaddress.ip_address(hop).version == 4]
    untrusted = [hop for hop in hops if not TRUSTED.trusts(hop)]
    expected = (untrusted[-1], 0) if untrusted else (hops[0], 0) if hops else PROXY
    plain = [(b"x-forwarded-for", hop.encode()) for hop in hops]
    assert resolve(plain, PROXY, "http", TRUSTED).client == expected
    elements = [(b"forwarded", f"for={hop}".encode()) for hop in hops]
    assert resolve(elements, PROXY, "http", TRUSTED).client == expected
