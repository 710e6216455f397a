"""Who the client really is behind proxies: X-Forwarded-* and Forwarded (RFC 7239).

Pure: field lines and the direct peer in, a verdict out. A proxy appends on the right, so
lists are walked from the right and only as far as every hop passed is trusted.

Whatever a trusted proxy does not set or remove itself, its client controls, and most proxies
set X-Forwarded-For and X-Forwarded-Proto and pass on everything else untouched. So only these
two are believed, unless the operator names more. Where an X-Forwarded-For, -Proto, -Host or
-Port that is believed is present, Forwarded is ignored altogether: a proxy that speaks
Forwarded has to remove those X-Forwarded-* fields of its clients, or they must not be believed.
"""

from __future__ import annotations

import ipaddress
import re
from functools import partial
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes

from katana_asgi.codec import FORWARDED_FIELDS, nearest_hop, parse_node
from katana_asgi.errors import ConfigurationError
from katana_asgi.http.fields import TOKEN, is_valid_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from katana_asgi.http.message import Field

__all__ = [
    "FIELD_NAMES",
    "FORWARDED_FIELDS",
    "Address",
    "Forwarded",
    "TrustedProxies",
    "believe",
    "resolve",
]

Address: TypeAlias = tuple[str, int]
"""Host and port; port 0 where the proxy did not say."""

_FOR: Final = b"x-forwarded-for"
_PROTO: Final = b"x-forwarded-proto"
_HOST: Final = b"x-forwarded-host"
_PORT: Final = b"x-forwarded-port"
_PREFIX: Final = b"x-forwarded-prefix"
_FORWARDED: Final = b"forwarded"

FIELD_NAMES: Final = {
    "for": _FOR,
    "proto": _PROTO,
    "host": _HOST,
    "port": _PORT,
    "prefix": _PREFIX,
    "forwarded": _FORWARDED,
}
"""The fields that can be believed, by their names in the setting ``forwarded_fields``."""

_LONGEST_WALK: Final = 64
"""Hops that are read: more than any real path has; a client may name trusted hops by the
thousand."""

_MOST_VERDICTS: Final = 1024
"""Addresses whose trust is remembered, against memory growing with every client."""

_SCHEMES: Final = {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"}

_LONGEST_HOST: Final = 261
"""Bytes of a host: a name has 255 at most (RFC 1035 §2.3.4), a colon and a port six more."""

_MAPPED: Final = bytes(10) + b"\xff\xff"
"""The first bytes of an IPv4 address in IPv6 form (RFC 4291 §2.5.5.2)."""

_match_pair: Final = re.compile(
    # for=192.0.2.1:80 ought to be quoted, but is often not: unquoted values may hold :[]
    rb"[ \t]*(" + TOKEN + rb')=(?:"((?:[^"\\]|\\.)*)"|([^\s"\\]+))[ \t]*'
).fullmatch
_match_prefix: Final = re.compile(
    rb"(?:/(?:[A-Za-z0-9._~!$&'()*+;=:@-]|%[0-9A-Fa-f]{2})+)+"
).fullmatch
_search_control: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\\]").search


class Forwarded(NamedTuple):
    """The request as a trusted proxy tells it."""

    client: Address | None
    """The direct peer where the proxy does not name another; ``None`` for a Unix socket."""
    scheme: str
    """``http`` or ``https``, or the connection's own scheme where the proxy names none."""
    host: bytes | None
    """Fit for the Host field; ``None``, here and below, where the proxy does not say."""
    port: int | None
    prefix: str | None
    """Percent-decoded, starting with a slash and not ending with one."""


_Verdict: TypeAlias = tuple[Address | None, str, bytes | None, int | None, str | None]

_verdict: Final[Callable[[_Verdict], Forwarded]] = partial(tuple.__new__, Forwarded)
"""A third of what calling ``Forwarded`` costs; one is made for each request."""


class TrustedProxies:
    """The peers whose forwarding fields are believed, and which of these fields.

    ``entries`` are addresses, networks such as ``10.0.0.0/8``, ``unix`` for peers of Unix
    sockets, or ``*`` for all. ``fields`` are keys of ``FIELD_NAMES``, ``all`` or ``none``.
    Raises ``ConfigurationError`` for anything else.
    """

    __slots__ = ("_addresses", "_everyone", "_networks", "_texts", "_unix", "_verdicts", "believed")

    def __init__(self, entries: Iterable[str], fields: Iterable[str] = ("for", "proto")) -> None:
        self.believed: frozenset[bytes] = _believed(fields)
        names = {entry.strip() for entry in entries}
        self._everyone = "*" in names
        self._unix = self._everyone or "unix" in names
        self._addresses: set[bytes] = set()  # packed: 4 bytes, or 16
        self._texts: set[str] = set()  # those of IPv4; they have one spelling only
        self._networks: list[tuple[int, int, int]] = []  # bytes of an address, mask, first address
        self._verdicts: dict[str, bool] = {}
        for name in sorted(names - {"*", "unix", ""}):
            try:
                self._add(name)
            except ValueError:
                raise ConfigurationError(
                    f"setting forwarded_allow_ips: {name!r} is not an address, a network without "
                    "host bits (10.0.0.0/8), unix or *"
                ) from None

    def _add(self, name: str) -> None:
        if "%" in name:  # trusting the address without its zone would trust more than that
            raise ValueError(name)
        if "/" not in name:
            packed = _unmapped(ipaddress.ip_address(name).packed)
            self._addresses.add(packed)
            if len(packed) == 4:
                self._texts.add(inet_ntop(AF_INET, packed))
            return
        network = ipaddress.ip_network(name)
        first = network.network_address.packed
        if first.startswith(_MAPPED) and network.prefixlen >= 96:
            network = ipaddress.ip_network((first[12:], network.prefixlen - 96))
        self._networks.append(
            (
                network.max_prefixlen // 8,
                int(network.netmask),
                int(network.network_address),
            )
        )

    def trusts(self, host: str | None) -> bool:
        """Whether the peer at this address is trusted; ``None`` is a peer of a Unix socket."""
        if host is None:
            return self._unix
        if self._everyone or host in self._texts:
            return True
        if not self._networks and host.find(":") < 0:
            return False
        verdict = self._verdicts.get(host)
        if verdict is None:
            verdict = self._judge(host)
            if len(self._verdicts) >= _MOST_VERDICTS:
                self._verdicts.clear()
            self._verdicts[host] = verdict
        return verdict

    def _judge(self, host: str) -> bool:
        """Without ``ipaddress``: where clients follow one another, many are judged once only."""
        host = host.partition("%")[0]
        try:
            packed = _unmapped(inet_pton(AF_INET6 if ":" in host else AF_INET, host))
        except (OSError, ValueError):
            return False
        if packed in self._addresses:
            return True
        for length, mask, first in self._networks:  # a generator would cost more than the rest
            if length == len(packed) and int.from_bytes(packed, "big") & mask == first:
                return True
        return False


def _believed(names: Iterable[str]) -> frozenset[bytes]:
    """The field names behind the members of ``forwarded_fields``."""
    believed: set[bytes] = set()
    for name in names:
        if name == "all":
            believed |= FORWARDED_FIELDS
        elif name in FIELD_NAMES:
            believed.add(FIELD_NAMES[name])
        elif name != "none":
            raise ConfigurationError(
                f"setting forwarded_fields: {name!r} is not one of "
                f"{', '.join(FIELD_NAMES)}, all and none"
            )
    return frozenset(believed)


def resolve(
    fields: list[Field],
    positions: tuple[int, ...],
    peer: Address | None,
    scheme: str,
    trusted: TrustedProxies,
) -> Forwarded:
    """Tell client, scheme, host, port and prefix of a request that came from ``peer``.

    ``positions`` are the indexes of the forwarding fields in ``fields``; ``peer`` is ``None``
    for a Unix socket; ``scheme`` is that of the connection. Where the peer is not trusted
    nothing changes, and a field that is not believed is as good as absent. The client is the
    first hop from the right that is not trusted, or the leftmost where all are; a hop that is
    not an address (``unknown``, an obfuscated identifier, garbage) ends the walk and the last
    address found stays. The other values are those of the hop where the walk ended, as far as
    one can tell: see ``_pick`` and ``_from_elements``. Values that are not valid are ignored.
    """
    if not positions or not trusted.trusts(None if peer is None else peer[0]):
        return _verdict((peer, scheme, None, None, None))
    return _verdict(believe(fields, positions, peer, scheme, trusted))


def believe(
    fields: list[Field],
    positions: tuple[int, ...],
    peer: Address | None,
    scheme: str,
    trusted: TrustedProxies,
) -> _Verdict:
    """The members of what ``resolve`` returns, for a peer that is known to be trusted."""
    believed = trusted.believed
    # What nearly all proxies send: one address, or an untrusted one last, and the scheme.
    hop = nearest_hop(fields, positions, believed)
    if hop is not None:
        client, named, more = hop
        if not more or client is None or not trusted.trusts(client[0]):
            return client or peer, named or scheme, None, None, None
    values: dict[bytes, bytes] = {}
    for position in positions:
        name, value = fields[position]
        if name in believed:
            if name in values:
                values = _joined(fields, positions, believed)
                break
            values[name] = value
    proto = values.get(_PROTO)
    hops = values.get(_FOR)
    client, count, reached = peer, 0, -1
    if hops is not None:
        found, count, reached = _walk(hops, trusted)
        client = found or peer
    if proto is not None:
        scheme = _SCHEMES.get(_pick(proto, count, reached).lower(), scheme)
    if len(values) == (hops is not None) + (proto is not None):
        return client, scheme, None, None, None
    return _with_further(values, count, reached, trusted, client, scheme)


def _joined(
    fields: list[Field], positions: tuple[int, ...], believed: frozenset[bytes]
) -> dict[bytes, bytes]:
    """The values of each field, its lines as one list (RFC 9110 §5.3)."""
    lines: dict[bytes, list[bytes]] = {}
    for position in positions:
        name, value = fields[position]
        if name in believed:
            lines.setdefault(name, []).append(value)
    return {name: b",".join(values) for name, values in lines.items()}


def _with_further(
    values: dict[bytes, bytes],
    count: int,
    reached: int,
    trusted: TrustedProxies,
    client: Address | None,
    scheme: str,
) -> _Verdict:
    """The verdict where a believed field is not X-Forwarded-For or X-Forwarded-Proto."""
    prefix = host = port = None
    if _PREFIX in values:
        prefix = _parse_prefix(values.pop(_PREFIX).rpartition(b",")[2].strip(b" \t"))
    if len(values) == 1 and _FORWARDED in values:
        found, proto, host = _from_elements(values[_FORWARDED], trusted)
        return found or client, proto or scheme, host, None, prefix
    if _HOST in values:
        host = _parse_host(_pick(values[_HOST], count, reached))
    if _PORT in values:
        port = _parse_port(_pick(values[_PORT], count, reached))
    return client, scheme, host, port, prefix


def _pick(values: bytes, hops: int, reached: int) -> bytes:
    """One of ``values``: that of the hop reached where there is one for each hop, else the last.

    ``reached`` counts from the right (-1 is the last hop). The last value is the one that the
    direct peer, which is trusted, added or let stand.
    """
    if b"," not in values:
        return values.strip(b" \t")
    if values.count(b",") + 1 != hops:
        reached = -1
    return values.rsplit(b",", -reached)[reached].strip(b" \t")


def _from_elements(
    elements: bytes, trusted: TrustedProxies
) -> tuple[Address | None, str | None, bytes | None]:
    """Read RFC 7239 elements; scheme and host are taken as near to the client as they are given."""
    client: Address | None = None
    proto: str | None = None
    host: bytes | None = None
    # Split at every comma, quoted or not: no parameter of RFC 7239 can hold one, and a quote
    # that a client left open must not swallow the elements which proxies appended.
    for element in reversed(elements.rsplit(b",", _LONGEST_WALK)[-_LONGEST_WALK:]):
        parameters = _parse_element(element)
        proto = _SCHEMES.get(parameters.get(b"proto", b"").lower(), proto)
        host = _parse_host(parameters.get(b"host", b"")) or host
        address = parse_node(parameters.get(b"for", b""))
        if address is None:
            break
        client = address
        if not trusted.trusts(address[0]):
            break
    return client, proto, host


def _parse_element(element: bytes) -> dict[bytes, bytes]:
    """The parameters of one forwarded-element by lower-cased name; none where it is malformed."""
    parameters: dict[bytes, bytes] = {}
    for part in element.split(b";"):
        if not part.strip(b" \t"):
            continue
        pair = _match_pair(part)
        if pair is None or pair[1].lower() in parameters:
            return {}
        quoted, bare = pair[2], pair[3]
        value = re.sub(rb"\\(.)", rb"\1", quoted) if bare is None else bare
        parameters[pair[1].lower()] = value
    return parameters


def _walk(hops: bytes, trusted: TrustedProxies) -> tuple[Address | None, int, int]:
    """Walk from the right: the client found, the number of hops, and the hop where it ended.

    The last hop is -1.
    """
    members = hops.rsplit(b",", _LONGEST_WALK)
    count = len(members)
    if count > _LONGEST_WALK:
        count = hops.count(b",") + 1
        del members[0]
    leftmost = -len(members)
    client: Address | None = None
    reached = -1
    while True:
        address = parse_node(members[reached].strip(b" \t"))
        if address is None:
            return client, count, reached
        if reached == leftmost or not trusted.trusts(address[0]):
            return address, count, reached
        client = address
        reached -= 1


def _unmapped(packed: bytes) -> bytes:
    """A dual-stack listener sees IPv4 peers as ``::ffff:192.0.2.1``: take them for IPv4."""
    return packed[12:] if packed.startswith(_MAPPED) else packed


def _parse_host(value: bytes) -> bytes | None:
    return value if 0 < len(value) <= _LONGEST_HOST and is_valid_host(value) else None


def _parse_port(value: bytes) -> int | None:
    port = int(value) if value.isdigit() and len(value) <= 5 else 0
    return port if 1 <= port <= 65535 else None


def _parse_prefix(value: bytes) -> str | None:
    """A path prefix without its trailing slash; ``None`` unless an application can rely on it.

    Empty segments are refused since ``//host/`` in a redirect names another host, backslashes
    since browsers take them for slashes, and dots since they climb out of the prefix.
    """
    value = value.removesuffix(b"/")
    if _match_prefix(value) is None:
        return None
    try:
        prefix = unquote_to_bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        return None
    if ".." in prefix or "//" in prefix + "/" or _search_control(prefix):
        return None
    return prefix
