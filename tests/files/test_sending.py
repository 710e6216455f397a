"""Parts of files into real sockets, on both loops: bytes, back-pressure, ends, descriptors."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import uvloop

from katana_asgi.errors import ClientDisconnected
from katana_asgi.files.disk import Disk
from katana_asgi.files.response import FileRange, OpenFile
from katana_asgi.files.sending import (
    FileShrank,
    RangeReader,
    SendfileUnsupported,
    Sending,
    send_in_chunks,
)
from tests.support import TIMEOUT, within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

KIB = 1024
MIB = 1024 * KIB

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[None, None, None]], None]:
    """Runs a coroutine on one of the loops."""

    def in_loop(coroutine: Coroutine[None, None, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(within(coroutine))

    return in_loop


class Accepting(asyncio.Protocol):
    """The server's side of one connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.lost = asyncio.Event()
        self.drained = asyncio.Event()
        self.drained.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self.drained.set()

    def pause_writing(self) -> None:
        self.drained.clear()

    def resume_writing(self) -> None:
        self.drained.set()

    async def send(self, data: bytes) -> None:
        self.transport.write(data)
        await self.drained.wait()


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[Accepting, socket.socket]]:
    """A TCP connection: the accepting protocol, and the client's socket."""
    loop = asyncio.get_running_loop()
    made: asyncio.Future[Accepting] = loop.create_future()

    def accept() -> Accepting:
        protocol = Accepting()
        loop.call_soon(made.set_result, protocol)
        return protocol

    server = await loop.create_server(accept, "127.0.0.1", 0)
    client = socket.socket()
    client.setblocking(False)
    try:
        await loop.sock_connect(client, server.sockets[0].getsockname())
        protocol = await made
        yield protocol, client
        protocol.transport.abort()
        await protocol.lost.wait()
    finally:
        client.close()
        server.close()


async def received(client: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = await asyncio.get_running_loop().sock_recv(client, 256 * KIB)
        if not chunk:
            break
        data += chunk
    return bytes(data)


def opened(path: Path) -> OpenFile:
    return OpenFile(Disk(), os.open(path, os.O_RDONLY))


def some_file(directory: Path, size: int) -> tuple[Path, bytes]:
    content = os.urandom(min(size, 8191)) * (size // 8191 + 1)
    path = directory / "file"
    path.write_bytes(content[:size])
    return path, content[:size]


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


SIZES = [0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, MIB - 1, MIB, MIB + 1, 24 * MIB + 7]


@pytest.mark.parametrize("size", SIZES)
def test_sendfile_and_chunks_give_the_same_bytes(run, tmp_path: Path, size: int) -> None:
    path, content = some_file(tmp_path, size)

    async def check() -> None:
        file = opened(path)
        reader = RangeReader(Disk())
        async with pair() as (server, client):
            for offset in (0, min(size, 12_345)):
                part = FileRange(file, offset, size - offset)
                server.transport.write(b"head")
                reading = asyncio.create_task(received(client, 4 + part.length))
                sending = Sending(server.transport, part)
                await sending.run()
                assert sending.sent == part.length
                assert await reading == b"head" + content[offset:]
                reading = asyncio.create_task(received(client, part.length))
                await send_in_chunks(reader, part, server.send)
                assert await reading == content[offset:]
        reader.close()
        file.close()

    run(check())


def test_what_the_transport_has_buffered_goes_first(run, tmp_path: Path) -> None:
    path, content = some_file(tmp_path, MIB)
    before = os.urandom(8 * MIB)  # more than the kernel takes at once

    async def check() -> None:
        async with pair() as (server, client):
            server.transport.write(before)
            assert server.transport.get_write_buffer_size() > 0
            reading = asyncio.create_task(received(client, len(before) + MIB + 4))
            await Sending(server.transport, FileRange(opened(path), 0, MIB)).run()
            server.transport.write(b"next")
            assert await reading == before + content + b"next"

    run(check())


def test_a_client_that_does_not_read_holds_only_what_the_kernel_took(run, tmp_path) -> None:
    path, _ = some_file(tmp_path, 32 * MIB)

    async def check() -> None:
        async with pair() as (server, _):
            sending = Sending(server.transport, FileRange(opened(path), 0, 32 * MIB))
            running = asyncio.create_task(sending.run())
            await until_it_stalls(sending)
            assert 0 < sending.sent < 32 * MIB
            assert server.transport.get_write_buffer_size() == 0
            sending.cancel(ClientDisconnected("the deadline has passed"))
            with pytest.raises(ClientDisconnected, match="deadline"):
                await running

    run(check())


async def until_it_stalls(sending: Sending) -> None:
    """Until nothing was accepted for some turns of the loop in which it could have been."""
    before, turns = -1, 0
    while turns < 50:
        await asyncio.sleep(0.001)
        turns = turns + 1 if sending.sent == before else 0
        before = sending.sent


def test_a_client_that_leaves_ends_the_sending_and_closes_all_descriptors(run, tmp_path) -> None:
    path, _ = some_file(tmp_path, 8 * MIB)

    async def check() -> None:
        before = 0
        for round_ in range(40):
            async with pair() as (server, client):
                file = opened(path)
                running = asyncio.create_task(
                    Sending(server.transport, FileRange(file, 0, 8 * MIB)).run()
                )
                await received(client, KIB)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.close()
                with pytest.raises(ClientDisconnected):
                    await running
                file.close()
            if round_ == 3:
                before = descriptors()
        assert descriptors() <= before

    run(check())


def test_a_sending_whose_connection_is_aborted_is_cancelled_with_it(run, tmp_path: Path) -> None:
    path, _ = some_file(tmp_path, 16 * MIB)

    async def check() -> None:
        async with pair() as (server, client):
            sending = Sending(server.transport, FileRange(opened(path), 0, 16 * MIB))
            running = asyncio.create_task(sending.run())
            await until_it_stalls(sending)
            server.transport.abort()
            await server.lost.wait()
            sending.cancel(ClientDisconnected("the connection was lost"))
            with pytest.raises(ClientDisconnected):
                await running
            await received(client, 16 * MIB)  # ends: no duplicate keeps the socket open

    run(check())


def test_a_cancelled_task_leaves_no_descriptor(run, tmp_path: Path) -> None:
    path, _ = some_file(tmp_path, 16 * MIB)

    async def check() -> None:
        async with pair() as (server, _):
            before = descriptors()
            part = FileRange(opened(path), 0, 16 * MIB)
            sending = Sending(server.transport, part)
            running = asyncio.create_task(sending.run())
            await until_it_stalls(sending)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            part.file.close()
            assert descriptors() == before

    run(check())


@pytest.mark.parametrize("way", ["sendfile", "chunks"])
def test_a_file_that_shrinks_breaks_off(run, tmp_path: Path, way: str) -> None:
    path, content = some_file(tmp_path, 100_000)

    async def check() -> None:
        file = opened(path)
        os.truncate(path, 60_000)
        part = FileRange(file, 0, 100_000)
        async with pair() as (server, client):
            if way == "sendfile":
                sending = Sending(server.transport, part).run()
            else:
                sending = send_in_chunks(RangeReader(Disk()), part, server.send)
            with pytest.raises(FileShrank, match="40000 bytes early"):
                await sending
            assert await received(client, 60_000) == content[:60_000]

    run(check())


def test_a_file_that_is_unlinked_or_replaced_is_sent_as_it_was(run, tmp_path: Path) -> None:
    path, content = some_file(tmp_path, 2 * MIB)

    async def check() -> None:
        file = opened(path)
        other = tmp_path / "other"
        other.write_bytes(b"new")
        other.rename(path)
        async with pair() as (server, client):
            reading = asyncio.create_task(received(client, 2 * MIB))
            await Sending(server.transport, FileRange(file, 0, 2 * MIB)).run()
            assert await reading == content

    run(check())


def test_what_sendfile_cannot_read_is_left_to_chunks(run, tmp_path: Path) -> None:
    async def check() -> None:
        reading, writing = os.pipe()
        os.write(writing, b"x" * 10)
        file = OpenFile(Disk(), reading)
        async with pair() as (server, client):
            with pytest.raises((SendfileUnsupported, OSError)):
                await Sending(server.transport, FileRange(file, 0, 10)).run()
            server.transport.write(b"!")
            assert await received(client, 1) == b"!"  # nothing was sent before
        os.close(writing)

    run(check())


class ColdDisk(Disk):
    """Nothing is in the page cache; reads may fail."""

    def __init__(self, error: int = 0) -> None:
        super().__init__()
        self.error = error
        self.waited = 0

    def read_now(self, opened: int, size: int, offset: int) -> bytes | None:
        return None

    def read(self, opened: int, size: int, offset: int) -> bytes:
        self.waited += 1
        if self.error and offset:
            raise OSError(self.error, os.strerror(self.error))
        return super().read(opened, size, offset)


def test_a_cold_file_is_read_by_a_thread(run, tmp_path: Path) -> None:
    path, content = some_file(tmp_path, MIB)

    async def check() -> None:
        disk = ColdDisk()
        reader = RangeReader(disk)
        async with pair() as (server, client):
            reading = asyncio.create_task(received(client, MIB))
            await send_in_chunks(reader, FileRange(opened(path), 0, MIB), server.send)
            assert await reading == content
        assert disk.waited == 4
        reader.close()

    run(check())


def test_a_disk_that_fails_in_the_middle_is_an_error_and_hangs_nothing(run, tmp_path) -> None:
    path, _ = some_file(tmp_path, MIB)

    async def check() -> None:
        reader = RangeReader(ColdDisk(error=5))
        async with pair() as (server, client):
            reading = asyncio.create_task(received(client, 256 * KIB))
            with pytest.raises(OSError, match="Input/output"):
                await send_in_chunks(reader, FileRange(opened(path), 0, MIB), server.send)
            await reading
        reader.close()

    run(check())


class SlowDisk(Disk):
    """Nothing is in the page cache, and a read waits for its gate."""

    def __init__(self, error: int = 0) -> None:
        super().__init__()
        self.error = error
        self.gate = threading.Event()
        self.asked = threading.Event()
        self.read_from: list[int] = []

    def is_cold(self, opened: int, offset: int) -> bool:
        return True

    def read(self, opened: int, size: int, offset: int) -> bytes:
        self.asked.set()
        assert self.gate.wait(TIMEOUT)
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        self.read_from.append(offset)
        return super().read(opened, size, offset)


def test_sendfile_of_a_cold_file_waits_for_a_thread_and_not_on_the_loop(run, tmp_path) -> None:
    size = 5 * MIB + 3
    path, content = some_file(tmp_path, size)

    async def check() -> None:
        disk = SlowDisk()
        reader = RangeReader(disk)
        async with pair() as (server, client):
            reading = asyncio.create_task(received(client, size - 1))
            part = FileRange(opened(path), 1, size - 1)
            running = asyncio.create_task(Sending(server.transport, part, None, reader).run())
            while not disk.asked.is_set():
                await asyncio.sleep(0.001)  # the loop goes on
            disk.gate.set()
            await running
            assert await reading == content[1:]
        assert disk.read_from[0] == 1
        assert max(disk.read_from) < size
        reader.close()

    run(check())


@pytest.mark.parametrize("end", ["disk", "client", "cancelled"])
def test_what_waits_for_a_slow_disk_ends_with_the_disk_the_client_or_its_task(
    run, tmp_path, end: str
) -> None:
    path, _ = some_file(tmp_path, MIB)

    async def check() -> None:
        disk = SlowDisk(error=5 if end == "disk" else 0)
        reader = RangeReader(disk)
        async with pair() as (server, _):
            file = opened(path)
            sending = Sending(server.transport, FileRange(file, 0, MIB), None, reader)
            running = asyncio.create_task(sending.run())
            while not disk.asked.is_set():
                await asyncio.sleep(0.001)
            if end == "client":
                sending.cancel(ClientDisconnected("the client has disconnected"))
            if end == "cancelled":
                running.cancel()
            disk.gate.set()
            with pytest.raises((OSError, asyncio.CancelledError)):
                await running
            file.close()
        reader.close()
        links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        assert str(path) not in [os.path.realpath(link) for link in links]

    run(check())


def test_more_waits_in_the_socket_of_a_client_that_reads_and_no_more_afterwards(
    run, tmp_path
) -> None:
    path, content = some_file(tmp_path, 24 * MIB)
    option = (socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)

    async def check() -> None:
        async with pair() as (server, client):
            sock = server.transport.get_extra_info("socket")
            own = socket.socket(fileno=os.dup(sock.fileno()))
            own.setsockopt(*option, 65536)
            part = FileRange(opened(path), 0, 24 * MIB)
            sending = Sending(server.transport, part)
            running = asyncio.create_task(sending.run())
            await until_it_stalls(sending)
            if sending.sent < MIB:  # a client that has read nothing
                assert own.getsockopt(*option) == 65536
            reading = asyncio.create_task(received(client, 24 * MIB))
            raised = 0
            while not running.done():
                raised = max(raised, own.getsockopt(*option))
                await asyncio.sleep(0)
            assert raised == 2 * MIB
            assert await reading == content
            assert own.getsockopt(*option) == 65536
            own.close()

    run(check())


def test_a_connection_that_has_ended_gets_nothing(run, tmp_path: Path) -> None:
    path, _ = some_file(tmp_path, KIB)

    async def check() -> None:
        async with pair() as (server, _):
            server.transport.abort()
            with pytest.raises(ClientDisconnected):
                await Sending(server.transport, FileRange(opened(path), 0, KIB)).run()

    run(check())
