"""Who the client really is behind proxies: X-Forwarded-* and Forwarded (RFC 7239).

Pure: field lines and the direct peer in, a verdict out. A proxy appends on the right, so
lists are walked from the right and only as far as every hop passed is trusted.

Whatever a trusted proxy does not set or remove itself, its client controls. Most proxies know
only X-Forwarded-*, and pass a Forwarded field of their client on untouched. So where any of
X-Forwarded-For, -Proto, -Host or -Port is present, Forwarded is ignored altogether. A proxy
that speaks Forwarded has to remove the X-Forwarded-* fields of its clients.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes

from katana_asgi.codec import FORWARDED_FIELDS, parse_node
from katana_asgi.codec.nodes import IPAddress, unmapped
from katana_asgi.errors import ConfigurationError
from katana_asgi.http.fields import TOKEN, is_valid_host

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from katana_asgi.http.message import Field

__all__ = ["FORWARDED_FIELDS", "Address", "Forwarded", "TrustedProxies", "resolve"]

Address: TypeAlias = tuple[str, int]
"""Host and port; port 0 where the proxy did not say."""

_LONGEST_WALK: Final = 64
"""Hops looked at: more than any real path has; a client may name trusted hops by the thousand."""

_MOST_VERDICTS: Final = 1024
"""Addresses whose trust is remembered, against memory growing with every client."""

_SCHEMES: Final = {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"}

_LONGEST_HOST: Final = 261
"""Bytes of a host: a name has 255 at most (RFC 1035 §2.3.4), a colon and a port six more."""

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


class TrustedProxies:
    """The peers whose forwarding fields are believed.

    ``entries`` are addresses, networks such as ``10.0.0.0/8``, ``unix`` for peers of Unix
    sockets, or ``*`` for all. Raises ``ConfigurationError`` for anything else.
    """

    __slots__ = ("_addresses", "_everyone", "_networks", "_unix", "_verdicts")

    def __init__(self, entries: Iterable[str]) -> None:
        names = {entry.strip() for entry in entries}
        self._everyone = "*" in names
        self._unix = self._everyone or "unix" in names
        self._addresses: set[IPAddress] = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        self._verdicts: dict[str, bool] = {}
        for name in sorted(names - {"*", "unix", ""}):
            try:
                if "/" in name:
                    self._networks.append(ipaddress.ip_network(name))
                else:
                    self._addresses.add(unmapped(ipaddress.ip_address(name)))
            except ValueError:
                raise ConfigurationError(
                    f"setting forwarded_allow_ips: {name!r} is not an address, a network without "
                    "host bits (10.0.0.0/8), unix or *"
                ) from None

    def trusts(self, host: str | None) -> bool:
        """Whether the peer at this address is trusted; ``None`` is a peer of a Unix socket."""
        if host is None:
            return self._unix
        if self._everyone:
            return True
        verdict = self._verdicts.get(host)
        if verdict is None:
            verdict = self._judge(host)
            if len(self._verdicts) >= _MOST_VERDICTS:
                self._verdicts.clear()
            self._verdicts[host] = verdict
        return verdict

    def _judge(self, host: str) -> bool:
        try:
            address = unmapped(ipaddress.ip_address(host.partition("%")[0]))
        except ValueError:
            return False
        return address in self._addresses or any(address in network for network in self._networks)


def resolve(
    fields: Sequence[Field], peer: Address | None, scheme: str, trusted: TrustedProxies
) -> Forwarded:
    """Tell client, scheme, host, port and prefix of a request that came from ``peer``.

    ``peer`` is ``None`` for a Unix socket; ``scheme`` is that of the connection. Where the
    peer is not trusted nothing changes. The client is the first hop from the right that is not
    trusted, or the leftmost where all are; a hop that is not an address (``unknown``, an
    obfuscated identifier, garbage) ends the walk and the last address found stays. The other
    values are those of the hop where the walk ended, as far as one can tell: see ``_pick`` and
    ``_from_elements``. Values that are not valid are ignored.
    """
    if not trusted.trusts(None if peer is None else peer[0]):
        return Forwarded(peer, scheme, None, None, None)
    values: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        if name in FORWARDED_FIELDS:
            values.setdefault(name, []).extend(value.split(b","))
    prefixes = values.pop(b"x-forwarded-prefix", [])
    prefix = _parse_prefix(prefixes[-1].strip(b" \t")) if prefixes else None
    elements = values.pop(b"forwarded", [])
    if values or not elements:
        client, proto, host, port = _from_lists(values, trusted)
    else:
        client, proto, host, port = _from_elements(elements, trusted)
    return Forwarded(client or peer, proto or scheme, host, port, prefix)


_Findings: TypeAlias = tuple[Address | None, str | None, bytes | None, int | None]


def _from_lists(values: dict[bytes, list[bytes]], trusted: TrustedProxies) -> _Findings:
    hops = values.get(b"x-forwarded-for", [])
    client, reached = _walk([hop.strip(b" \t") for hop in hops[-_LONGEST_WALK:]], trusted)
    count = len(hops)
    return (
        client,
        _SCHEMES.get(_pick(values.get(b"x-forwarded-proto"), count, reached).lower()),
        _parse_host(_pick(values.get(b"x-forwarded-host"), count, reached)),
        _parse_port(_pick(values.get(b"x-forwarded-port"), count, reached)),
    )


def _pick(values: list[bytes] | None, hops: int, reached: int) -> bytes:
    """One of ``values``: that of the hop reached where there is one for each hop, else the last.

    ``reached`` counts from the right (-1 is the last hop). The last value is the one that the
    direct peer, which is trusted, added or let stand.
    """
    if not values:
        return b""
    return values[reached if len(values) == hops else -1].strip(b" \t")


def _from_elements(elements: list[bytes], trusted: TrustedProxies) -> _Findings:
    """Read RFC 7239 elements; scheme and host are taken as near to the client as they are given."""
    # Split at every comma, quoted or not: no parameter of RFC 7239 can hold one, and a quote
    # that a client left open must not swallow the elements which proxies appended.
    parsed = [_parse_element(element) for element in elements[-_LONGEST_WALK:]]
    client, reached = _walk([element.get(b"for", b"") for element in parsed], trusted)
    proto: str | None = None
    host: bytes | None = None
    for element in reversed(parsed[reached:]):
        proto = _SCHEMES.get(element.get(b"proto", b"").lower(), proto)
        host = _parse_host(element.get(b"host", b"")) or host
    return client, proto, host, None


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


def _walk(hops: list[bytes], trusted: TrustedProxies) -> tuple[Address | None, int]:
    """Walk from the right; the client found, and the hop where the walk ended (-1 is the last)."""
    client: Address | None = None
    reached = -1
    for reached in range(-1, -len(hops) - 1, -1):
        address = parse_node(hops[reached])
        if address is None:
            break
        client = address
        if not trusted.trusts(address[0]):
            break
    return client, reached


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
