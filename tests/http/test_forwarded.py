"""X-Forwarded-* and Forwarded: what a trusted proxy may say, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from katana_asgi import codec
from katana_asgi.codec import nodes
from katana_asgi.config.model import Config
from katana_asgi.errors import ConfigurationError
from katana_asgi.http.forwarded import (
    FIELD_NAMES,
    FORWARDED_FIELDS,
    Forwarded,
    TrustedProxies,
    resolve,
)

NodeParser: TypeAlias = Callable[[bytes], tuple[str, int] | None]

TWINS = [codec.parse_node, nodes.parse_node]

PROXY = ("10.0.0.1", 5000)
PROXIES = ["10.0.0.0/8", "::1"]
TRUSTED = TrustedProxies(PROXIES, ["all"])

EVERYTHING = (
    "X-Forwarded-For: 192.0.2.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: a.example",
    "X-Forwarded-Port: 443",
    "X-Forwarded-Prefix: /app",
    "Forwarded: for=192.0.2.2;proto=https;host=b.example",
)


def told(
    *lines: str,
    peer: tuple[str, int] | None = PROXY,
    scheme: str = "http",
    trusted: TrustedProxies = TRUSTED,
) -> Forwarded:
    """What ``resolve`` makes of field lines such as ``"X-Forwarded-For: 192.0.2.1"``."""
    fields = []
    for line in lines:
        name, _, value = line.partition(":")
        fields.append((name.lower().encode(), value.strip().encode("latin-1")))
    return resolve(fields, tuple(range(len(fields))), peer, scheme, trusted)


def test_without_fields_nothing_changes() -> None:
    assert told() == (PROXY, "http", None, None, None)
    assert told("X-Other: 1", scheme="https") == (PROXY, "https", None, None, None)


def test_an_untrusted_peer_changes_nothing() -> None:
    peer = ("192.0.2.9", 1)
    assert told(*EVERYTHING, peer=peer) == (peer, "http", None, None, None)
    assert told(*EVERYTHING, peer=None) == (None, "http", None, None, None)


def test_by_default_only_client_and_scheme_are_believed() -> None:
    default = TrustedProxies(PROXIES)
    believed = (("192.0.2.1", 0), "https", None, None, None)
    assert told(*EVERYTHING, trusted=default) == believed
    assert told(*reversed(EVERYTHING), trusted=default) == believed
    assert told(*EVERYTHING[2:], trusted=default) == (PROXY, "http", None, None, None)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["all"], (("192.0.2.1", 0), "https", b"a.example", 443, "/app")),
        (list(FIELD_NAMES), (("192.0.2.1", 0), "https", b"a.example", 443, "/app")),
        (["none"], (PROXY, "http", None, None, None)),
        ([], (PROXY, "http", None, None, None)),
        (["for"], (("192.0.2.1", 0), "http", None, None, None)),
        (["proto"], (PROXY, "https", None, None, None)),
        (["host"], (PROXY, "http", b"a.example", None, None)),
        (["port"], (PROXY, "http", None, 443, None)),
        (["prefix"], (PROXY, "http", None, None, "/app")),
        (["forwarded"], (("192.0.2.2", 0), "https", b"b.example", None, None)),
        # X-Forwarded-Host is not believed, so it does not make Forwarded ignored
        (["forwarded", "prefix"], (("192.0.2.2", 0), "https", b"b.example", None, "/app")),
        (["for", "forwarded"], (("192.0.2.1", 0), "http", None, None, None)),
        (["for", "proto", "host"], (("192.0.2.1", 0), "https", b"a.example", None, None)),
    ],
)
def test_what_is_believed_is_asked_for_by_name(names: list[str], expected: Forwarded) -> None:
    trusted = TrustedProxies(PROXIES, names)
    assert told(*EVERYTHING, trusted=trusted) == expected
    assert told(*reversed(EVERYTHING), trusted=trusted) == expected


def test_without_x_forwarded_for_the_last_of_several_values_counts() -> None:
    lines = ("X-Forwarded-For: 192.0.2.1, 10.0.0.2", "X-Forwarded-Proto: http, https")
    assert told(*lines).scheme == "http"
    assert told(*lines, trusted=TrustedProxies(PROXIES, ["proto"])).scheme == "https"


@pytest.mark.parametrize(
    "line",
    [
        "X-Real-IP: 203.0.113.7",
        "X-Client-IP: 203.0.113.7",
        "X-Forwarded: for=203.0.113.7",
        "Forwarded-For: 203.0.113.7",
        "X_Forwarded_For: 203.0.113.7",
        "X-Forwarded-Ssl: on",
        "Front-End-Https: on",
        "X-Url-Scheme: https",
        "X-Forwarded-Scheme: https",
        "X-Forwarded-Protocol: https",
        "X-Forwarded-Server: evil.example",
        "X-Host: evil.example",
        "X-Original-Host: evil.example",
        "X-Script-Name: /evil",
    ],
)
def test_relatives_of_the_forwarding_fields_are_never_believed(line: str) -> None:
    assert told(line) == (PROXY, "http", None, None, None)


def test_only_the_fields_at_the_positions_given_are_read() -> None:
    fields = [(b"x-forwarded-for", b"192.0.2.1"), (b"x-forwarded-proto", b"https"), (b"x", b"y")]
    assert resolve(fields, (), PROXY, "http", TRUSTED) == (PROXY, "http", None, None, None)
    assert resolve(fields, (1, 2), PROXY, "http", TRUSTED).client == PROXY
    assert resolve(fields, (1, 2), PROXY, "http", TRUSTED).scheme == "https"


def test_other_names_of_fields_are_a_configuration_error() -> None:
    for name in ("x-forwarded-host", "ALL", "", "by"):
        with pytest.raises(ConfigurationError, match="forwarded_fields"):
            TrustedProxies(PROXIES, ["for", name])


@pytest.mark.parametrize("name", [*FIELD_NAMES, "all", "none"])
def test_each_name_is_a_value_of_the_setting(name: str) -> None:
    config = Config(forwarded_fields=(name,))
    assert TrustedProxies(PROXIES, config.forwarded_fields).believed <= FORWARDED_FIELDS
    assert TrustedProxies(PROXIES, Config().forwarded_fields).believed == (
        TrustedProxies(PROXIES).believed
    )


def test_a_trusted_peer_tells_all() -> None:
    assert told(
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: a.example:8443",
        "X-Forwarded-Port: 8443",
        "X-Forwarded-Prefix: /app/",
    ) == (("192.0.2.1", 0), "https", b"a.example:8443", 8443, "/app")


def test_a_unix_peer_tells_all_where_it_is_trusted() -> None:
    fields = [(b"x-forwarded-for", b"192.0.2.1")]
    assert resolve(fields, (0,), None, "http", TrustedProxies(["unix"])).client == ("192.0.2.1", 0)
    assert resolve(fields, (0,), None, "http", TrustedProxies(["127.0.0.1"])).client is None


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("192.0.2.1", ("192.0.2.1", 0)),
        ("192.0.2.1:4711", ("192.0.2.1", 4711)),
        ("2001:DB8::1", ("2001:db8::1", 0)),
        ("[2001:db8::1]", ("2001:db8::1", 0)),
        ("[2001:db8::1]:4711", ("2001:db8::1", 4711)),
        ("::ffff:192.0.2.1", ("192.0.2.1", 0)),
        # the first that is not trusted, from the right
        ("192.0.2.1, 10.0.0.2", ("192.0.2.1", 0)),
        ("192.0.2.1,10.0.0.2:80,\t[::1]:9", ("192.0.2.1", 0)),
        ("203.0.113.7, 192.0.2.1, 10.0.0.2", ("192.0.2.1", 0)),
        ("10.9.9.9, 192.0.2.1", ("192.0.2.1", 0)),
        ("::ffff:10.0.0.2", ("10.0.0.2", 0)),
        ("192.0.2.1, ::ffff:10.0.0.2", ("192.0.2.1", 0)),
        # all trusted: the leftmost
        ("10.0.0.3, 10.0.0.2", ("10.0.0.3", 0)),
        # what is no address ends the walk
        ("unknown", PROXY),
        ("_hidden", PROXY),
        ("", PROXY),
        ("192.0.2.1, unknown", PROXY),
        ("192.0.2.1, unknown, 10.0.0.2", ("10.0.0.2", 0)),
        ("192.0.2.1, , 10.0.0.2", ("10.0.0.2", 0)),
        ("a.example", PROXY),
        ("192.0.2", PROXY),
        ("192.0.2.256", PROXY),
        ("192.0.2.01", PROXY),
        ("192.0.2.1:65536", PROXY),
        ("192.0.2.1:-1", PROXY),
        ("192.0.2.1:", PROXY),
        ("192.0.2.1:8o", PROXY),
        ("[192.0.2.1]", ("192.0.2.1", 0)),
        ("[2001:db8::1", PROXY),
        ("2001:db8::1::2", PROXY),
        ("fe80::1%eth0", PROXY),
        ("[::1]]", PROXY),
        ("\xff", PROXY),
        ("1" * 200 + ":", PROXY),
        ("192.0.2.1 192.0.2.2", PROXY),
    ],
)
def test_x_forwarded_for_names_the_client(value: str, client: tuple[str, int]) -> None:
    assert told(f"X-Forwarded-For: {value}").client == client


@pytest.mark.parametrize("parse_node", TWINS)
def test_a_node_is_an_address_with_or_without_a_port(parse_node: NodeParser) -> None:
    assert parse_node(b"192.0.2.1:_hidden") == ("192.0.2.1", 0)
    assert parse_node(b"[2001:db8::1]:_h.i-d_den") == ("2001:db8::1", 0)
    assert parse_node(b"[::ffff:192.0.2.1]:0443") == ("192.0.2.1", 443)
    assert parse_node(b"192.0.2.1:0") == ("192.0.2.1", 0)
    assert parse_node(b"::192.0.2.1") == ("::c000:201", 0)
    assert parse_node(b"[" + b"0000:" * 7 + b"0001]:_" + b"x" * 84) == ("::1", 0)
    for node in (b"192.0.2.1:_", b"[::1]:", b"[::1]x", b"[::1", b"::1]", b"[]", b":", b":80"):
        assert parse_node(node) is None
    for node in (b"192.0.2.1\0", b"\0", b" ::1", b"192.0.2.1 ", b"[::1%25lo]", b"::1%1", b"0x7f.1"):
        assert parse_node(node) is None
    assert parse_node(b"192.0.2.1:_" + b"x" * 200) is None


def test_several_lines_of_x_forwarded_for_are_one_list() -> None:
    lines = ("X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 192.0.2.1, 10.0.0.2")
    assert told(*lines).client == ("192.0.2.1", 0)
    assert told(*reversed(lines)).client == ("203.0.113.7", 0)


def test_everybody_trusted_means_the_leftmost_is_the_client() -> None:
    fields = [(b"x-forwarded-for", b"203.0.113.7, 192.0.2.1, 10.0.0.2")]
    everybody = TrustedProxies(["*"])
    for peer in (("192.0.2.9", 1), None):
        assert resolve(fields, (0,), peer, "http", everybody).client == ("203.0.113.7", 0)


def test_thousands_of_trusted_hops_are_not_all_walked() -> None:
    value = "X-Forwarded-For: " + "192.0.2.1, " + "10.0.0.2, " * 5000 + "10.0.0.3"
    assert told(value).client == ("10.0.0.2", 0)


@pytest.mark.parametrize(
    ("value", "scheme"),
    [
        ("https", "https"),
        ("HTTPS", "https"),
        ("wss", "https"),
        ("ws", "http"),
        ("ftp", "http"),
        ("", "http"),
        ("https;", "http"),
        # not one for each hop: the last is what the direct peer let stand
        ("http, https", "https"),
        ("https, http", "http"),
        ("https, ftp", "http"),
    ],
)
def test_x_forwarded_proto_names_the_scheme(value: str, scheme: str) -> None:
    assert told(f"X-Forwarded-Proto: {value}").scheme == scheme


def test_with_a_value_for_each_hop_that_of_the_client_counts() -> None:
    verdict = told(
        "X-Forwarded-For: 203.0.113.7, 192.0.2.1, 10.0.0.2",
        "X-Forwarded-Proto: http, https, http",
        "X-Forwarded-Host: evil.example, a.example, inner.example",
        "X-Forwarded-Port: 1, 443, 80",
    )
    assert verdict == (("192.0.2.1", 0), "https", b"a.example", 443, None)


def test_where_the_walk_ends_early_the_values_are_those_of_its_end() -> None:
    verdict = told(
        "X-Forwarded-For: 192.0.2.1, unknown, 10.0.0.2", "X-Forwarded-Proto: http, https, http"
    )
    assert verdict.client == ("10.0.0.2", 0)
    assert verdict.scheme == "https"


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("a.example", b"a.example"),
        ("[::1]:80", b"[::1]:80"),
        ("", None),
        ("a.example/b", None),
        ("a b", None),
        ("user@a.example", None),
        ("a.example:99999", None),
        ("a" * 255 + ":65535", b"a" * 255 + b":65535"),
        ("a" * 256 + ":65535", None),
        ("evil.example, a.example", b"a.example"),
    ],
)
def test_x_forwarded_host_is_a_host_or_nothing(value: str, host: bytes | None) -> None:
    assert told(f"X-Forwarded-Host: {value}").host == host


@pytest.mark.parametrize(
    ("value", "port"),
    [
        ("1", 1),
        ("65535", 65535),
        ("0443", 443),
        ("0", None),
        ("65536", None),
        ("-1", None),
        ("+1", None),
        ("1e3", None),
        ("", None),
        ("000443", None),
        ("\xb2", None),
        ("80, 443", 443),
    ],
)
def test_x_forwarded_port_is_a_port_or_nothing(value: str, port: int | None) -> None:
    assert told(f"X-Forwarded-Port: {value}").port == port


@pytest.mark.parametrize(
    ("value", "prefix"),
    [
        ("/app", "/app"),
        ("/app/", "/app"),
        ("/a/b-c_d~e", "/a/b-c_d~e"),
        ("/caf%C3%A9", "/caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
        ("/a%20b", "/a b"),
        ("/other, /app", "/app"),
        ("", None),
        ("/", None),
        ("app", None),
        ("//evil.example", None),
        ("/%2Fevil.example", None),
        ("/a//b", None),
        ("/app//", None),
        ("/../admin", None),
        ("/%2e%2e/admin", None),
        ("/a/..", None),
        ("/app%2F", None),
        ("/%2e%2f", None),
        ("/\\evil.example", None),
        ("/%5Cevil.example", None),
        ("/a?b", None),
        ("/a#b", None),
        ("/a b", None),
        ("/a%0d%0aSet-Cookie:x", None),
        ("/%00", None),
        ("/%C2%85", None),
        ("/%FF", None),
        ("/%zz", None),
        ("/\xe9", None),
        ("https://evil.example/", None),
    ],
)
def test_x_forwarded_prefix_is_a_path_or_nothing(value: str, prefix: str | None) -> None:
    assert told(f"X-Forwarded-Prefix: {value}").prefix == prefix


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("for=192.0.2.1", ("192.0.2.1", 0)),
        ('For="192.0.2.1:4711"', ("192.0.2.1", 4711)),
        ("for=192.0.2.1:4711", ("192.0.2.1", 4711)),  # ought to be quoted
        ('for="[2001:db8::1]:4711"', ("2001:db8::1", 4711)),
        ('for="[2001:db8::1]"', ("2001:db8::1", 0)),
        ('for="192.0.2.1:_port"', ("192.0.2.1", 0)),
        (r'for="192\.0.2.1"', ("192.0.2.1", 0)),
        ("for=192.0.2.1, for=10.0.0.2", ("192.0.2.1", 0)),
        ("for=203.0.113.7, for=192.0.2.1;by=10.0.0.3, for=10.0.0.2", ("192.0.2.1", 0)),
        ("for=10.0.0.3, for=10.0.0.2", ("10.0.0.3", 0)),
        (";; for=192.0.2.1 ; proto=http ;", ("192.0.2.1", 0)),
        ("for=unknown", PROXY),
        ("for=_hidden", PROXY),
        ("for=192.0.2.1, for=unknown, for=10.0.0.2", ("10.0.0.2", 0)),
        ("proto=https", PROXY),
        ("for=192.0.2.1, proto=https", PROXY),
        ("", PROXY),
        ("for=", PROXY),
        ("for", PROXY),
        ("for = 192.0.2.1", PROXY),
        ("for=192.0.2.1;for=192.0.2.2", PROXY),
        ("for=192.0.2.1;FOR=192.0.2.2", PROXY),
        ('for="192.0.2.1', PROXY),
        ('for="192.0.2.1"x', PROXY),
        ("for=192.0.2.1 x", PROXY),
        # an open quote of the client swallows nothing that proxies append
        ('for="evil, for=192.0.2.1', ("192.0.2.1", 0)),
        ('for=203.0.113.7;x="a, for="192.0.2.1";y="b', PROXY),
        ('for="a\\, for=192.0.2.1', ("192.0.2.1", 0)),
    ],
)
def test_forwarded_names_the_client(value: str, client: tuple[str, int]) -> None:
    assert told(f"Forwarded: {value}").client == client


def test_several_lines_of_forwarded_are_one_list() -> None:
    lines = ("Forwarded: for=203.0.113.7", "Forwarded: for=192.0.2.1, for=10.0.0.2")
    assert told(*lines).client == ("192.0.2.1", 0)


def test_scheme_and_host_are_those_given_nearest_to_the_client() -> None:
    assert told(
        "Forwarded: for=203.0.113.7;proto=http;host=evil.example, "
        "for=192.0.2.1;proto=https, for=10.0.0.2;proto=http;host=a.example"
    ) == (("192.0.2.1", 0), "https", b"a.example", None, None)


@pytest.mark.parametrize("element", ["proto=ftp;host=a/b", 'proto="";host=""', "proto;host"])
def test_invalid_parameters_are_ignored(element: str) -> None:
    assert told(f"Forwarded: {element}") == (PROXY, "http", None, None, None)


def test_x_forwarded_fields_win_over_forwarded() -> None:
    element = "Forwarded: for=203.0.113.7;proto=https;host=evil.example"
    assert told("X-Forwarded-For: 192.0.2.1", element) == (
        ("192.0.2.1", 0),
        "http",
        None,
        None,
        None,
    )
    for line in ("X-Forwarded-Proto: http", "X-Forwarded-Host: b.example", "X-Forwarded-Port: 80"):
        assert told(element, line).client == PROXY


def test_a_prefix_goes_with_either() -> None:
    line = "X-Forwarded-Prefix: /app"
    assert told(line, "Forwarded: for=192.0.2.1").client == ("192.0.2.1", 0)
    assert told(line, "Forwarded: for=192.0.2.1").prefix == "/app"
    assert told(line, "X-Forwarded-For: 192.0.2.1").prefix == "/app"


def test_the_names_of_all_fields_read_are_known() -> None:
    for name in FORWARDED_FIELDS:
        value = {
            b"x-forwarded-port": b"1",
            b"x-forwarded-prefix": b"/a",
            b"x-forwarded-proto": b"https",
            b"forwarded": b"for=192.0.2.1",
        }.get(name, b"192.0.2.1")
        assert resolve([(name, value)], (0,), PROXY, "http", TRUSTED) != told()


@pytest.mark.parametrize(
    ("entries", "trusted", "others"),
    [
        (["127.0.0.1", "::1"], ["127.0.0.1", "::1", "::ffff:127.0.0.1"], ["127.0.0.2", None]),
        (["10.0.0.0/8"], ["10.1.2.3", "::ffff:10.1.2.3"], ["11.0.0.1", "::a00:1", None]),
        (["2001:db8::/32"], ["2001:db8:1::"], ["2001:db9::", "10.0.0.1"]),
        (["fe80::1"], ["fe80::1", "fe80::1%eth0"], ["fe80::2%eth0"]),
        (["::ffff:10.0.0.1"], ["10.0.0.1"], ["10.0.0.2"]),
        (["::ffff:10.0.0.0/104"], ["10.1.2.3", "::ffff:10.1.2.3"], ["11.0.0.1", "::10.1.2.3"]),
        (["0.0.0.0/0"], ["10.1.2.3", "255.255.255.255"], ["::1", "", "1.2.3"]),
        (["::/0"], ["::1", "2001:db8::1"], ["10.0.0.1", None]),
        (["10.0.0.0/8", "10.0.0.1/32", "fd00::/8"], ["10.9.9.9", "fd12::1"], ["11.0.0.1", "fe::"]),
        (["unix"], [None], ["127.0.0.1", "", "unix"]),
        (["*"], [None, "127.0.0.1", "192.0.2.1", "x"], []),
        ([" 10.0.0.1 ", ""], ["10.0.0.1"], [None, ""]),
        ([], [], [None, "127.0.0.1", "", "x", "*"]),
    ],
)
def test_trust_is_by_address_network_unix_or_all(
    entries: list[str], trusted: list[str | None], others: list[str | None]
) -> None:
    proxies = TrustedProxies(entries)
    for _ in range(2):  # the second time from memory
        assert all(proxies.trusts(host) for host in trusted)
        assert not any(proxies.trusts(host) for host in others)


def test_trust_of_ever_new_addresses_stays_right() -> None:
    proxies = TrustedProxies(["10.0.0.0/16"])
    for number in range(3000):
        host = f"10.{number % 2}.{number // 256}.{number % 256}"
        assert proxies.trusts(host) == (number % 2 == 0)


@pytest.mark.parametrize(
    "entry",
    ["localhost", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", "Unix", "**", "fe80::1%eth0"],
)
def test_anything_else_is_a_configuration_error(entry: str) -> None:
    with pytest.raises(ConfigurationError, match="forwarded_allow_ips") as caught:
        TrustedProxies([entry])
    assert repr(entry) in str(caught.value)
