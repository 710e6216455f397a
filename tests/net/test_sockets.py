"""Sockets are bound once, to nothing that somebody else has, and failures are one clear line."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from katana_asgi.config.model import Config
from katana_asgi.errors import StartupError
from katana_asgi.net import sockets as module
from katana_asgi.net.sockets import bind_sockets, describe, remove_unix_socket

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's SO_REUSEPORT balancing")


class Binder:
    """Binds, and closes what it bound."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def __call__(self, count: int = 1, **settings: Any) -> list[socket.socket]:
        found = bind_sockets(Config(app="a:b", **settings), count)
        for sock in found:
            self._stack.callback(sock.close)
        return found

    def refusal(self, count: int = 1, **settings: Any) -> str:
        with pytest.raises(StartupError) as raised:
            self(count, **settings)
        assert raised.value.status == 1
        message = str(raised.value)
        assert "\n" not in message
        return message


@pytest.fixture
def bind() -> Iterator[Binder]:
    with ExitStack() as stack:
        yield Binder(stack)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")


def is_refused(sock: socket.socket) -> bool:
    with socket.socket(sock.family) as client:
        return client.connect_ex(sock.getsockname()) == errno.ECONNREFUSED


# TCP


@pytest.mark.parametrize("count", [1, 3])
def test_sockets_are_ready_for_a_loop_but_do_not_listen(bind: Binder, count: int) -> None:
    found = bind(count, port=0)
    assert len(found) == count
    for sock in found:
        assert not sock.getblocking()
        assert not sock.get_inheritable()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert is_refused(sock)


@linux
def test_each_slot_has_a_socket_of_its_own_on_one_port(bind: Binder) -> None:
    found = bind(4, port=0)
    assert len({sock.fileno() for sock in found}) == 4
    assert len({sock.getsockname() for sock in found}) == 1
    assert found[0].getsockname()[1] > 0
    for sock in found:
        sock.listen(8)


def test_a_single_slot_does_not_share_its_port(bind: Binder) -> None:
    (sock,) = bind(1, port=0)
    assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)


def test_slots_share_one_socket_where_the_kernel_does_not_balance(
    bind: Binder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KERNEL_BALANCES", False)
    first, second = bind(2, port=0)
    assert first is second


@pytest.mark.parametrize("count", [1, 2])
def test_a_port_that_somebody_listens_on_is_refused(bind: Binder, count: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        expected = f"cannot listen on 127.0.0.1:{port}: the address is in use"
        assert bind.refusal(count, port=port) == expected


@pytest.mark.parametrize("ours", [1, 2])
@pytest.mark.parametrize("theirs", [1, 2])
@pytest.mark.parametrize("listening", [False, True])
def test_a_second_instance_is_refused_even_before_the_first_listens(
    bind: Binder, ours: int, theirs: int, listening: bool
) -> None:
    first = bind(theirs, port=0)
    if listening:
        first[0].listen(8)
    assert "the address is in use" in bind.refusal(ours, port=first[0].getsockname()[1])


@pytest.mark.parametrize("count", [1, 2])
def test_a_port_is_shared_by_instances_that_say_so(bind: Binder, count: int) -> None:
    first = bind(count, port=0, reuse_port=True)
    port = first[0].getsockname()[1]
    second = bind(count, port=port, reuse_port=True)
    assert {sock.getsockname()[1] for sock in (*first, *second)} == {port}
    for sock in (*first, *second):
        sock.listen(8)
    assert "the address is in use" in bind.refusal(count, port=port)


@pytest.mark.parametrize("count", [1, 2])
def test_connections_of_an_earlier_run_are_not_in_the_way(bind: Binder, count: int) -> None:
    (earlier,) = bind(1, port=0)
    earlier.listen(8)
    address = earlier.getsockname()
    with socket.create_connection(address) as client:
        accepted, _ = earlier.accept()
        accepted.close()  # the side that closes first keeps the port in TIME_WAIT
        assert client.recv(1) == b""
    earlier.close()
    assert {sock.getsockname() for sock in bind(count, port=address[1])} == {address}


@linux
def test_a_group_that_cannot_be_completed_leaves_nothing_bound(bind: Binder) -> None:
    with pytest.raises(StartupError, match="this machine has no such address"):
        bind(2, host="192.0.2.1", port=0)  # TEST-NET-1


@ipv6
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_ipv6_literals_with_and_without_brackets(bind: Binder, host: str) -> None:
    found = bind(2, host=host, port=0)
    assert found[0].family == socket.AF_INET6
    port = found[0].getsockname()[1]
    assert describe(found[1]) == f"http://[::1]:{port}"


@ipv6
@pytest.mark.parametrize("host", ["::", ""])
def test_all_addresses_means_both_families(bind: Binder, host: str) -> None:
    (sock,) = bind(1, host=host, port=0)
    sock.listen(8)
    port = sock.getsockname()[1]
    for address in ("127.0.0.1", "::1"):
        with socket.create_connection((address, port)):
            sock.setblocking(True)
            sock.accept()[0].close()


def test_a_name_means_its_ipv4_address_first(bind: Binder) -> None:
    (sock,) = bind(1, host="localhost", port=0)
    assert sock.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".example"])
def test_an_unknown_host_is_named(bind: Binder, host: str) -> None:
    assert bind.refusal(2, host=host, port=0).startswith(
        f"cannot listen on {host!r}: the host is unknown"
    )


def test_a_privileged_port_says_what_is_missing(
    bind: Binder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whether this process may bind port 80 depends on who runs the tests.
    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    assert bind.refusal(2, port=80) == (
        "cannot listen on 127.0.0.1:80: permission denied; ports below 1024 need privileges"
    )


def test_an_address_is_described_as_a_person_types_it(bind: Binder) -> None:
    (sock,) = bind(1, port=0)
    assert describe(sock) == f"http://127.0.0.1:{sock.getsockname()[1]}"


# Unix sockets


def test_slots_share_a_unix_socket_that_any_user_may_connect_to(
    bind: Binder, tmp_path: Path
) -> None:
    path = tmp_path / "app.sock"
    first, second = bind(2, uds=str(path))
    assert first is second
    assert not first.getblocking()
    assert not first.get_inheritable()
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert describe(first) == f"unix:{path}"


def test_the_file_of_a_killed_run_is_replaced(bind: Binder, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    (sock,) = bind(1, uds=str(path))
    sock.listen(8)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_unix_socket_that_somebody_listens_on_is_refused(bind: Binder, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    (first,) = bind(1, uds=str(path))
    first.listen(8)
    assert bind.refusal(1, uds=str(path)) == f"cannot listen on unix:{path}: the address is in use"
    assert path.exists()


def test_a_unix_socket_with_a_full_queue_is_in_use(bind: Binder, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    (first,) = bind(1, uds=str(path))
    first.listen(0)
    with ExitStack() as clients:
        full = False
        while not full:
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            full = client.connect_ex(str(path)) != 0
        assert "the address is in use" in bind.refusal(1, uds=str(path))


@linux
def test_a_unix_socket_of_an_instance_that_is_still_starting_is_refused(
    bind: Binder, tmp_path: Path
) -> None:
    path = tmp_path / "with a space.sock"
    bind(1, uds=str(path))
    assert "the address is in use" in bind.refusal(1, uds=str(path))
    assert path.exists()


def test_a_file_that_is_no_socket_is_kept(bind: Binder, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    path.write_text("precious")
    assert bind.refusal(1, uds=str(path)) == (
        f"cannot listen on unix:{path}: the path exists and is not a socket"
    )
    assert path.read_text() == "precious"


def test_a_missing_directory_and_a_path_too_long_are_named(bind: Binder, tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "app.sock"
    assert bind.refusal(1, uds=str(missing)).endswith(": the directory does not exist")
    assert "too long" in bind.refusal(1, uds=str(tmp_path / ("x" * 200)))


def test_the_file_goes_at_the_end(
    bind: Binder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (sock,) = bind(1, uds="app.sock")
    monkeypatch.chdir("/")  # as an application may
    sock.close()  # as a loop may
    remove_unix_socket(sock)
    remove_unix_socket(sock)
    assert not (tmp_path / "app.sock").exists()


def test_a_file_that_somebody_else_has_put_there_stays(bind: Binder, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    (sock,) = bind(1, uds=str(path))
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        remove_unix_socket(sock)
        assert path.exists()


def test_removing_only_closes_what_has_no_file_of_ours(bind: Binder, tmp_path: Path) -> None:
    (sock,) = bind(1, port=0)
    remove_unix_socket(sock)
    assert sock.fileno() == -1
    path = tmp_path / "manager.sock"
    with socket.socket(socket.AF_UNIX) as manager:
        manager.bind(str(path))
        (adopted,) = bind(1, fd=os.dup(manager.fileno()))
        remove_unix_socket(adopted)
        assert path.exists()


# Inherited descriptors


def test_an_inherited_descriptor_is_shared_by_the_slots(bind: Binder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as manager:
        descriptor = os.dup(manager.fileno())
        os.set_inheritable(descriptor, True)
        first, second = bind(2, fd=descriptor)
        assert first is second
        assert first.fileno() == descriptor
        assert first.getsockname() == manager.getsockname()
        assert not first.getblocking()
        assert not first.get_inheritable()


@linux
def test_an_abstract_unix_socket_is_described(bind: Binder) -> None:
    with socket.socket(socket.AF_UNIX) as manager:
        manager.bind(b"\0katana-test-%d" % os.getpid())
        (sock,) = bind(1, fd=os.dup(manager.fileno()))
        assert describe(sock) == f"unix:@katana-test-{os.getpid()}"


def test_a_descriptor_that_is_no_stream_socket_is_refused(bind: Binder) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        number = datagrams.fileno()
        assert bind.refusal(1, fd=number) == (
            f"cannot listen on descriptor {number}: it is not a stream socket"
        )
        assert datagrams.getsockname()  # still open: it is not ours
    reader, writer = os.pipe()
    assert bind.refusal(1, fd=reader).startswith(f"cannot listen on descriptor {reader}: ")
    os.close(reader)
    os.close(writer)
    assert "Bad file descriptor" in bind.refusal(1, fd=reader)
