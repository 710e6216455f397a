"""Listening sockets: bound before the workers start, named for the log, removed at the end.

They come back bound but not listening. A worker calls ``listen`` after lifespan startup,
so that no client enters a queue that may never be emptied.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias
from weakref import WeakKeyDictionary, WeakSet

from katana_asgi.errors import StartupError
from katana_asgi.net.activation import activated_descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from katana_asgi.config.model import Config

__all__ = [
    "adopt",
    "bind_beside",
    "bind_slots",
    "bind_sockets",
    "describe",
    "in_slots",
    "is_bound_here",
    "own_unix_file",
    "reason_of",
    "remove_unix_socket",
]

Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int]

KERNEL_BALANCES: Final[bool] = sys.platform == "linux"
"""Linux spreads connections over a SO_REUSEPORT group. Elsewhere one of the sockets would
get them all, so the slots share a single socket there."""

UNIX_SOCKET_MODE: Final = 0o666
"""A proxy under another user must be able to connect, as it can over the loopback address;
who may reach the socket at all is the business of its directory."""

REASONS: Final = {
    errno.EADDRINUSE: "the address is in use",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EAFNOSUPPORT: "this machine does not support the address family",
    errno.ENOENT: "the directory does not exist",
}

_OURS: Final[WeakSet[socket.socket]] = WeakSet()
"""The sockets that were bound here, rather than inherited or given by a program."""

_BOUND: Final[WeakKeyDictionary[socket.socket, tuple[str, tuple[int, ...]]]] = WeakKeyDictionary()
"""Path and identity of the file of each Unix socket bound here. The descriptor cannot tell
them once it is closed, and never tells whether the file is still the same one."""


def bind_sockets(config: Config, count: int) -> list[socket.socket]:
    """The sockets of ``bind_slots``, of one slot after the other."""
    return [sock for row in bind_slots(config, count) for sock in row]


def bind_slots(config: Config, count: int) -> list[list[socket.socket]]:
    """Return, for each of ``count`` slots, a bound socket for every place to listen.

    They do not block and are not inherited. TCP slots get a SO_REUSEPORT socket each where the
    kernel balances over them; a Unix socket, an inherited descriptor and any other system have
    one socket, repeated.

    Raises ``StartupError`` (status 1) with one line that names the address and the reason.
    """
    if config.bind:
        columns = _bind_places(config, count)
    elif config.fd is not None:
        columns = [[adopt(config.fd)] * count]
    elif config.uds is not None:
        columns = [[_bind_unix(config.uds, int(config.uds_mode, 8))] * count]
    else:
        columns = [_bind_tcp(config.host, config.port, count, config.reuse_port)]
    return [list(row) for row in zip(*columns, strict=True)]


def _bind_places(config: Config, count: int) -> list[list[socket.socket]]:
    """The sockets of all places, each for all slots."""
    found: list[list[socket.socket]] = []
    try:
        for place in config.bind:
            found += _bind_place(place, config, count)
    except BaseException:
        for column in found:
            for sock in column:
                remove_unix_socket(sock)
        raise
    return found


def _bind_place(place: str, config: Config, count: int) -> list[list[socket.socket]]:
    kind, _, rest = place.partition(":")
    if kind == "unix":
        return [[_bind_unix(rest, int(config.uds_mode, 8))] * count]
    if kind == "fd" and rest.startswith("//"):
        return [[adopt(int(rest[2:]))] * count]
    if place == "systemd" or kind == "systemd":
        return [[adopt(number)] * count for number in activated_descriptors(rest)]
    host, _, port = place.rpartition(":")
    return [_bind_tcp(host, int(port), count, config.reuse_port)]


def describe(sock: socket.socket, scheme: str = "http") -> str:
    """Say where ``sock`` can be reached: ``http://[::1]:8000`` or ``unix:/run/app.sock``."""
    name = sock.getsockname()
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        return f"{scheme}://{_authority(name[0], name[1])}"
    return f"unix:{os.fsdecode(name).replace(chr(0), '@')}"  # a leading NUL: abstract, Linux


def is_bound_here(sock: socket.socket) -> bool:
    """Whether this service has bound ``sock`` itself."""
    return sock in _OURS


def remove_unix_socket(sock: socket.socket) -> None:
    """Close ``sock`` and remove its file, where ``bind_sockets`` made one; else only close.

    Works on a socket that a loop has closed already. A file that another process has put
    there since stays.
    """
    sock.close()
    path, identity = _BOUND.pop(sock, ("", ()))
    with suppress(OSError):
        if path and _identity(path) == identity:
            os.unlink(path)


def _bind_tcp(host: str, port: int, count: int, share: bool) -> list[socket.socket]:
    host = host.removeprefix("[").removesuffix("]")
    failure: OSError | None = None
    for family, address in _resolve(host, port):
        try:
            return _bind_slots(family, address, count, share)
        except OSError as error:
            failure = error
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                break
    raise StartupError(_complaint(_authority(host, port), failure, port)) from failure


def _resolve(host: str, port: int) -> list[tuple[int, Address]]:
    """List the addresses of ``host``, the one to try first at the front.

    A slot has one socket, so a name with addresses of both families means IPv4: every
    client falls back to it. No host at all means all addresses: a dual-stack ``::``.
    """
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, ValueError) as error:  # ValueError: a label IDNA cannot encode
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StartupError(f"cannot listen on {host!r}: the host is unknown ({reason})") from error
    preferred = socket.AF_INET if host else socket.AF_INET6
    addresses = [(int(entry[0]), entry[4]) for entry in found]
    addresses.sort(key=lambda entry: entry[0] != preferred)
    return addresses  # type: ignore[return-value] # typeshed adds a shape without IPv6 support


def _bind_slots(family: int, address: Address, count: int, share: bool) -> list[socket.socket]:
    if not share and (count == 1 or not KERNEL_BALANCES):
        return [_bind_alone(family, address)] * count
    if not KERNEL_BALANCES:
        return [_bind(family, address, socket.SO_REUSEADDR, socket.SO_REUSEPORT)] * count
    if address[1] and not share:
        # SO_REUSEPORT would let a second instance of the same user join in silence.
        _bind_alone(family, address).close()
    group: list[socket.socket] = []
    try:
        for _ in range(count):
            group.append(_bind(family, address, socket.SO_REUSEADDR, socket.SO_REUSEPORT))
            address = group[0].getsockname()  # port 0: the first has picked one
    except BaseException:
        for sock in group:
            sock.close()
        raise
    return group


def _bind_alone(family: int, address: Address) -> socket.socket:
    """Bind an address that no other socket has bound, whether it listens already or not.

    Linux lets sockets with SO_REUSEADDR share a port until one of them listens: a service
    started twice would notice late or never. Without the option connections of an earlier
    run in TIME_WAIT are in the way. So it is used only where such connections exist.
    """
    try:
        sock = _bind(family, address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        sock = _bind(family, address, socket.SO_REUSEADDR)
        if not _has_connections(address[1]):
            sock.close()
            sock = _bind(family, address)
    # Connections inherit it: without it their TIME_WAIT would be in the next run's way.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return sock


def _bind(family: int, address: Address, *options: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in options:
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # "::" is dual-stack
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    _OURS.add(sock)
    return sock


def _has_connections(port: int) -> bool:
    """Tell whether a connection, in any state, has this local port (true where unknown)."""
    suffix = f":{port:04X}"
    tables = [table for table in ("/proc/net/tcp", "/proc/net/tcp6") if os.path.exists(table)]
    return not tables or any(
        len(row) > 1 and row[1].endswith(suffix) for table in tables for row in _rows(table)
    )


def _rows(table: str) -> Iterator[list[str]]:
    with open(table, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            yield line.split()


def _bind_unix(path: str, mode: int = UNIX_SOCKET_MODE) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise StartupError(f"cannot listen on unix:{path}: this system has no Unix sockets")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.startswith("@"):  # abstract: it has no file, and no permissions
            sock.bind(f"\0{path[1:]}")
        else:
            _remove_stale(path)
            sock.bind(path)
            os.chmod(path, mode)
            path = os.path.abspath(path)  # the application may change the directory
            _BOUND[sock] = path, _identity(path)
    except OSError as error:
        sock.close()
        raise StartupError(_complaint(f"unix:{path}", error)) from error
    sock.setblocking(False)
    _OURS.add(sock)
    return sock


def _remove_stale(path: str) -> None:
    """Remove the socket file that a run left behind when it was killed; keep anything else."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "the path exists and is not a socket")
    if _is_held(path):
        raise OSError(errno.EADDRINUSE, "in use")
    os.unlink(path)


def _identity(path: str) -> tuple[int, ...]:
    """Tell one file from the next at the same path: inode numbers are used again."""
    status = os.lstat(path)
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _is_held(path: str) -> bool:
    """Tell whether a process has the Unix socket at ``path``.

    Raises ``PermissionError`` where this user may not connect and so cannot know.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            client.connect(path)
        except FileNotFoundError:
            return False
        except ConnectionRefusedError:
            # Bound but not listening yet (its application is importing) refuses as well.
            table = "/proc/net/unix"
            return os.path.exists(table) and any(row[7:] == path.split() for row in _rows(table))
        except PermissionError:
            raise
        except OSError:  # a full queue, or a datagram socket: it is in use
            return True
    return True


def adopt(descriptor: int) -> socket.socket:
    """A socket from a descriptor that was inherited. Raises ``StartupError`` for another kind."""
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise StartupError(_complaint(f"descriptor {descriptor}", error)) from error
    if sock.type != socket.SOCK_STREAM:
        sock.detach()
        raise StartupError(f"cannot listen on descriptor {descriptor}: it is not a stream socket")
    sock.setblocking(False)
    sock.set_inheritable(False)
    return sock


def bind_beside(sock: socket.socket) -> socket.socket:
    """A socket for one slot more at the address of ``sock``: of its own, or ``sock`` itself.

    Raises ``OSError``.
    """
    if (
        not KERNEL_BALANCES
        or sock.family not in (socket.AF_INET, socket.AF_INET6)
        or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    ):
        return sock
    address = sock.getsockname()
    return _bind(sock.family, address, socket.SO_REUSEADDR, socket.SO_REUSEPORT)


def own_unix_file(sock: socket.socket) -> None:
    """Have the file of an inherited Unix socket removed at the end, as if it were bound here."""
    if hasattr(socket, "AF_UNIX") and sock.family == socket.AF_UNIX:
        path = os.fsdecode(sock.getsockname())
        if path and not path.startswith("\0") and os.path.exists(path):
            path = os.path.abspath(path)
            _BOUND[sock] = path, _identity(path)


def in_slots(sockets: list[socket.socket]) -> list[list[socket.socket]]:
    """One row for each slot: a socket of every address that ``sockets`` are bound to.

    An address with a single socket has it in every row, as when it was bound.
    """
    columns: dict[object, list[socket.socket]] = {}
    for sock in sockets:
        columns.setdefault((sock.family, sock.getsockname()), []).append(sock)
    count = max(map(len, columns.values()))
    return [[found[min(row, len(found) - 1)] for found in columns.values()] for row in range(count)]


def reason_of(error: OSError) -> str:
    """The reason of an error, in words that name the limit where one was reached."""
    if error.errno not in (errno.EMFILE, errno.ENFILE):
        return error.strerror or str(error)
    try:
        from resource import RLIMIT_NOFILE, getrlimit
    except ImportError:
        return "there are no file descriptors left"
    return f"there are no file descriptors left (ulimit -n is {getrlimit(RLIMIT_NOFILE)[0]})"


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _complaint(where: str, error: OSError | None, port: int = 0) -> str:
    reason = "the host has no address"
    if error is not None:
        reason = REASONS.get(error.errno or 0) or reason_of(error)
        if error.errno == errno.EACCES and 0 < port < 1024:
            reason = "permission denied; ports below 1024 need privileges"
    return f"cannot listen on {where}: {reason}"
