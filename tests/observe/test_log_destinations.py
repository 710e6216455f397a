"""Where lines go: files, pipes that nobody reads, full disks, a syslog."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import suppress

import pytest
from records import record

from katana_asgi import Config
from katana_asgi.errors import ConfigurationError
from katana_asgi.observe.access import AccessLog
from katana_asgi.observe.descriptor import AT_ONCE, MOST_WAITING, DescriptorStream, FileStream
from katana_asgi.observe.logs import LogHandler, configure_logging, reopen_logs
from tests.support import TIMEOUT, within

ACCESS = logging.getLogger("katana_asgi.access")


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        with suppress(OSError):
            os.close(descriptor)


def fill(writer: int) -> int:
    """Fill a pipe; returns the number of bytes it took."""
    os.set_blocking(writer, False)
    size = 0
    try:
        while True:
            size += os.write(writer, b"x" * AT_ONCE)
    except BlockingIOError:
        os.set_blocking(writer, True)
        return size


def test_a_pipe_that_nobody_reads_keeps_nobody_waiting(pipe):
    reader, writer = pipe
    size = fill(writer)
    stream = DescriptorStream(writer)
    stream.write("one\ntwo\n")
    stream.flush()
    assert stream.waiting
    os.read(reader, size)
    stream.flush()
    assert not stream.waiting
    assert os.read(reader, 100) == b"one\ntwo\n"


def test_lines_beyond_what_may_wait_are_counted(pipe):
    _, writer = pipe
    fill(writer)
    stream = DescriptorStream(writer)
    stream.write("x" * (MOST_WAITING - 1) + "\n")
    stream.write("one\ntwo\n")
    stream.flush()
    assert stream.lost == 2


def test_a_pipe_gets_whole_lines_that_cannot_mix_with_those_of_others(pipe):
    reader, writer = pipe
    os.set_blocking(reader, False)
    line = "y" * 99 + "\n"
    stream = DescriptorStream(writer)
    stream.write(line * 1000)
    pieces = []
    while stream.waiting:
        stream.flush()
        pieces.append(os.read(reader, 1 << 20))
    assert b"".join(pieces).decode() == line * 1000


def test_a_line_longer_than_a_pipe_takes_at_once_arrives_whole(pipe):
    reader, writer = pipe
    stream = DescriptorStream(writer)
    text = "z" * (3 * AT_ONCE) + "\n"
    stream.write(text)
    stream.flush()
    assert os.read(reader, 1 << 20).decode() == text


def test_a_pipe_whose_reader_has_gone_is_an_error_and_then_forgotten(pipe):
    reader, writer = pipe
    os.close(reader)
    stream = DescriptorStream(writer)
    stream.write("lost\n")
    with pytest.raises(BrokenPipeError):
        stream.flush()
    assert not stream.waiting


def test_a_file_that_was_moved_away_is_opened_anew(tmp_path):
    path = tmp_path / "access.log"
    stream = FileStream(str(path))
    stream.write("before\n")
    stream.flush()
    path.rename(tmp_path / "old.log")
    stream.write("between\n")
    stream.flush()
    stream.reopen()
    stream.write("after\n")
    stream.flush()
    assert (tmp_path / "old.log").read_text() == "before\nbetween\n"
    assert path.read_text() == "after\n"
    os.close(stream.fileno())


def test_a_file_that_cannot_be_opened_again_stays(tmp_path, capsys):
    directory = tmp_path / "logs"
    directory.mkdir()
    configure_logging(Config(app="a:b", access_log_file=str(directory / "access.log")))
    (directory / "access.log").rename(tmp_path / "kept.log")
    directory.rmdir()
    reopen_logs()
    ACCESS.info("still here")
    assert (tmp_path / "kept.log").read_text() == "still here\n"
    assert "cannot be reopened" in capsys.readouterr().err
    close_access_file()


def close_access_file() -> None:
    (handler,) = ACCESS.handlers
    os.close(handler.stream.fileno())


def test_a_file_cannot_be_opened_where_there_is_none(tmp_path):
    directory = tmp_path / "logs"
    directory.mkdir()
    config = Config(app="a:b", access_log_file=str(directory / "access.log"))
    directory.rmdir()
    with pytest.raises(ConfigurationError, match="access_log_file"):
        configure_logging(config)


async def test_a_full_disk_ends_nothing_but_the_log(capsys):
    configure_logging(Config(app="a:b", access_log_file="/dev/full"))
    log = AccessLog(asyncio.get_running_loop())
    for _ in range(3):
        log.add(record())
        log.flush()
    log.close()
    assert capsys.readouterr().err.count("No space left on device") == 1
    close_access_file()


async def test_what_a_slow_reader_did_not_take_is_offered_again(pipe, capsys):
    reader, writer = pipe
    size = fill(writer)
    configure_logging(Config(app="a:b", use_colors=False))
    handler = LogHandler(DescriptorStream(writer))
    handler.setFormatter(ACCESS.handlers[0].formatter)
    ACCESS.handlers[:] = [handler]
    log = AccessLog(asyncio.get_running_loop())
    log.add(record())
    log.flush()
    os.read(reader, size)
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(reader, arrived.set)
    await within(arrived.wait())
    loop.remove_reader(reader)
    assert b"GET /a?b=c" in os.read(reader, 4096)
    log.close()


@pytest.mark.parametrize("kind", ["unix", "udp"])
async def test_a_syslog_gets_a_datagram_for_each_line(tmp_path, kind):
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.settimeout(TIMEOUT)
        if kind == "unix":
            server.bind(str(tmp_path / "log"))
            target = f"syslog:{tmp_path / 'log'}"
        else:
            server.bind(("127.0.0.1", 0))
            target = f"syslog://127.0.0.1:{server.getsockname()[1]}"
        configure_logging(Config(app="a:b", access_log_file=target))
        log = AccessLog(asyncio.get_running_loop())
        log.add(record(b"/one"))
        log.add(record(b"/two"))
        log.close()
        for path in (b"/one", b"/two"):
            data = server.recv(4096)
            assert data.startswith(b"<30>katana-asgi: 127.0.0.1:4711 ")
            assert path in data
    ACCESS.handlers[0].close()


def test_a_syslog_that_is_not_there_is_a_mistake_in_the_settings(tmp_path):
    config = Config(app="a:b", access_log_file=f"syslog:{tmp_path}/none")
    with pytest.raises(ConfigurationError, match="syslog"):
        configure_logging(config)
