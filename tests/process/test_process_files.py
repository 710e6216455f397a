"""Static files of a real service: disks that fail, reloads, files that change under load."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import threading
from http.client import HTTPResponse
from typing import TYPE_CHECKING

import pytest
from talk import ask, begin, read_response

from katana_asgi.testing import HttpPeer
from tests.files.test_targets import TRAVERSALS
from tests.messages import bytes_of
from tests.support import ROOT, ServerProcess, within

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024


def get(path: str, *fields: str) -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: a", *fields, "", "")).encode()


async def opened(url: str) -> HttpPeer:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return await HttpPeer.open(host, int(port))


@pytest.fixture
def assets(place: Path) -> Path:
    assets = place / "assets"
    assets.mkdir()
    (assets / "small.txt").write_bytes(b"small\n")
    (assets / "large.bin").write_bytes(bytes_of(3 * MIB))
    return assets


# -- a disk that fails


@pytest.fixture(scope="module")
def failing_disk(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process whose disk fails where names say so."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("disk") / "failing_disk.so"
    source = ROOT / "tests" / "process" / "failing_disk.c"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True
    )
    return {"LD_PRELOAD": str(library)}


@pytest.fixture
def failing(
    place: Path, assets: Path, failing_disk: dict[str, str]
) -> Iterator[tuple[ServerProcess, str]]:
    """A service on such a disk, and its address."""
    (assets / "large.eio").write_bytes(bytes_of(MIB))
    (assets / "small.eio").write_bytes(bytes_of(1000))
    (assets / "any.stat").write_bytes(b"x")
    (assets / "large.slow").write_bytes(bytes_of(3 * MIB))
    (assets / "small.slow").write_bytes(b"slow")
    arguments = ("main:app", "--static-dir", "/assets=assets")
    with ServerProcess(*arguments, cwd=place, env=failing_disk) as server:
        yield server, server.wait_listening()
        assert server.stop() == 0


def test_a_disk_that_fails_gives_a_status_or_breaks_off_and_the_service_goes_on(
    failing: tuple[ServerProcess, str],
) -> None:
    server, url = failing
    with begin(url, get("/assets/large.eio")) as connection:
        received = b""
        while data := connection.recv(65536):  # its end comes: nothing hangs
            received += data
    head, _, content = received.partition(b"\r\n\r\n")
    assert b"content-length: 1048576" in head
    assert content == bytes_of(len(content))
    assert len(content) <= 256 * 1024
    with begin(url, get("/assets/any.stat")) as connection:
        assert read_response(connection)[0] == 500
    assert ask(url, "/assets/small.eio") == bytes_of(1000)
    assert ask(url, "/assets/small.txt") == b"small\n"
    assert int(ask(url)) == server.process.pid
    server.wait_for("Input/output error")


async def test_a_slow_disk_delays_its_own_responses_only(
    assets: Path, failing: tuple[ServerProcess, str]
) -> None:
    server, url = failing
    async with await opened(url) as large, await opened(url) as small, await opened(url) as other:
        await large.send(get("/assets/large.slow"))
        await small.send(get("/assets/small.slow"))
        for _ in range(3):
            await other.send(get("/assets/large.bin"))
            assert (await other.response()).body == bytes_of(3 * MIB)
            await other.send(get("/pid"))
            assert int((await other.response()).body) == server.process.pid
        for name in ("large", "small"):
            (assets / f"{name}.slow.go").touch()
        assert (await large.response()).body == bytes_of(3 * MIB)
        assert (await small.response()).body == b"slow"


async def test_a_client_that_leaves_a_slow_disk_leaves_nothing_open(
    assets: Path, failing: tuple[ServerProcess, str]
) -> None:
    server, url = failing
    folder = f"/proc/{server.process.pid}/fd"

    def is_open() -> bool:
        names = [os.path.realpath(f"{folder}/{number}") for number in os.listdir(folder)]
        return str(assets / "large.slow") in names

    async with await opened(url) as client:
        await client.send(get("/assets/large.slow"))
        while not is_open():
            await within(asyncio.sleep(0.01))
        client.reset()
    (assets / "large.slow.go").touch()
    while is_open():
        await within(asyncio.sleep(0.01))
    assert int(ask(url)) == server.process.pid


def test_out_of_descriptors_is_a_503_that_passes(place: Path, assets: Path) -> None:
    with ServerProcess("main:app", "--static-dir", "/assets=assets", cwd=place) as server:
        url = server.wait_listening()
        pid = server.process.pid
        with begin(url, get("/assets/small.txt")) as connection:
            assert read_response(connection)[0] == 200
            used = max(int(number) for number in os.listdir(f"/proc/{pid}/fd")) + 1
            before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, before[1]))
            connection.sendall(get("/assets/large.bin"))
            response = HTTPResponse(connection)
            response.begin()
            assert (response.status, response.getheader("retry-after")) == (503, "1")
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            connection.sendall(get("/assets/large.bin"))
            assert read_response(connection)[2] == bytes_of(3 * MIB)
        assert server.stop() == 0


# -- containment, on the wire


async def test_no_target_reaches_what_is_not_served(place: Path, assets: Path) -> None:
    (place / "secret.txt").write_bytes(b"secret")
    (assets / ".env").write_bytes(b"secret")
    (assets / "out").symlink_to("..")
    targets = [b"/assets" + path for path in TRAVERSALS if path not in (b"/.", b"/..")]
    targets += [b"/assets/out/secret.txt", b"/assets/out", b"/assets..%2fsecret.txt"]
    targets += [b"http://a/assets/../secret.txt", b"/assets/%2e%2e/%2e%2e/etc/passwd"]
    with ServerProcess("main:app", "--static-dir", "/assets=assets", cwd=place) as server:
        url = server.wait_listening()
        for target in targets:
            async with await opened(url) as client:
                await client.send(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
                response = await client.response()
            assert response.status in (200, 400, 404, 414, 431), target  # 200: the application's
            assert b"secret" not in response.body, target
            assert b"root:" not in response.body, target
        assert server.stop() == 0


# -- changes


async def test_a_file_that_is_replaced_under_load_is_wholly_old_or_wholly_new(
    place: Path, assets: Path
) -> None:
    """By memory and by sendfile; the entity tag is that of the content."""

    def write(number: int, name: str, size: int) -> None:
        spare = assets / "spare"
        spare.write_bytes(bytes([number % 251]) * (size + number))
        os.utime(spare, (1_000_000_000 + number, 1_000_000_000 + number))
        spare.rename(assets / name)

    sizes = {"small.txt": 1000, "large.bin": 2 * MIB}
    for name, size in sizes.items():
        write(0, name, size)
    stop = threading.Event()

    def replace() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            for name, size in sizes.items():
                write(number, name, size)

    with ServerProcess("main:app", "--static-dir", "/assets=assets", cwd=place) as server:
        url = server.wait_listening()
        replacing = threading.Thread(target=replace)
        replacing.start()
        seen = set()
        try:
            async with await opened(url) as client:
                for count in range(400):
                    name = "large.bin" if count % 4 == 0 else "small.txt"
                    await client.send(get(f"/assets/{name}"))
                    response = await client.response()
                    number = len(response.body) - sizes[name]
                    assert response.body == bytes([number % 251]) * len(response.body)
                    tag = f'"{(1_000_000_000 + number) * 10**9:x}-{len(response.body):x}"'
                    assert response.header(b"etag") == tag.encode()
                    seen.add(number)
        finally:
            stop.set()
            replacing.join()
        assert len(seen) > 1
        assert server.stop() == 0


async def test_a_reload_picks_up_new_mounts_and_what_is_sent_completes(
    place: Path, assets: Path
) -> None:
    with (assets / "huge.bin").open("wb") as file:
        file.truncate(64 * MIB)
    other = place / "other"
    other.mkdir()
    (other / "new.txt").write_bytes(b"new")
    settings = place / "katana.toml"
    settings.write_text('app = "main:app"\nworkers = 2\n[static-dirs]\n"/assets" = "assets"\n')
    with ServerProcess("--config", "katana.toml", cwd=place) as server:
        url = server.wait_listening()
        async with await opened(url) as slow:
            await slow.send(get("/assets/huge.bin"))
            head = await slow.head()
            assert head.header(b"content-length") == b"%d" % (64 * MIB)
            settings.write_text(settings.read_text() + '"/other" = "other"\n')
            server.signal(signal.SIGHUP)
            server.wait_for("Reloaded|reloaded")
            while ask(url, "/other/new.txt") != b"new":
                pass  # the old workers still answer what had come to them
            assert await within(slow.reader.readexactly(64 * MIB)) == bytes(64 * MIB)
        assert server.stop() == 0


async def test_a_very_large_file_and_a_request_behind_it(place: Path, assets: Path) -> None:
    with (assets / "huge.bin").open("wb") as file:
        file.truncate(256 * MIB)
        file.seek(256 * MIB - 3)
        file.write(b"end")
    with ServerProcess("main:app", "--static-dir", "/assets=assets", cwd=place) as server:
        url = server.wait_listening()
        async with await opened(url) as client:
            await client.send(get("/assets/huge.bin") + get("/assets/small.txt"))
            assert (await client.head()).status == 200
            left = 256 * MIB
            last = b""
            while left:
                last = await within(client.reader.read(min(left, MIB)))
                left -= len(last)
            assert last.endswith(b"end")
            assert (await client.response()).body == b"small\n"
        assert server.stop() == 0
