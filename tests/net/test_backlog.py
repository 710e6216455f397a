"""The queue of a socket that was opened elsewhere keeps its length."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from katana_asgi import Server
from katana_asgi.config.model import Config
from katana_asgi.net.backlog import backlog_for
from katana_asgi.net.sockets import bind_sockets
from tests.support import activated

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel")


def listening(path: Path | None, backlog: int) -> socket.socket:
    if path is None:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
    else:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(path))
    sock.listen(backlog)
    return sock


KINDS = pytest.mark.parametrize("kind", ["tcp", "unix"])


@KINDS
def test_what_listens_already_keeps_its_backlog(kind, tmp_path):
    with listening(tmp_path / "app.sock" if kind == "unix" else None, 77) as sock:
        assert backlog_for(sock, 2048) == 77


def test_what_was_bound_here_gets_the_setting():
    (sock,) = bind_sockets(Config(app="a:b", port=0), 1)
    with sock:
        assert backlog_for(sock, 99) == 99
        sock.listen(5)
        assert backlog_for(sock, 99) == 99


def test_a_bound_socket_of_a_program_gets_the_setting():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        assert backlog_for(sock, 99) == 99


@KINDS
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_activated_socket_has_the_backlog_of_its_unit(kind, loop, workers, tmp_path):
    (tmp_path / "main.py").write_text("async def app(scope, receive, send): pass\n")
    with listening(tmp_path / "app.sock" if kind == "unix" else None, 77) as sock:
        arguments = ("main:app", "--bind", "systemd", "--loop", loop, "--workers", workers)
        with activated([("web", sock)], *arguments, cwd=tmp_path) as server:
            server.wait_listening()
            assert backlog_for(sock, 2048) == 77
            assert server.stop() == 0


async def test_a_listening_socket_of_a_program_keeps_its_backlog():
    async def app(scope, receive, send):
        raise NotImplementedError

    with listening(None, 33) as sock:
        server = Server(app, access_log=False)
        await server.start([sock])
        assert backlog_for(sock, 2048) == 33
        await server.close()
