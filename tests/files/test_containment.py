"""No name leaves its root: links, races, special files; with openat2 and without."""

from __future__ import annotations

import errno
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from katana_asgi.files.disk import Disk
from tests.files.conftest import Site, write
from tests.files.test_targets import TRAVERSALS

if TYPE_CHECKING:
    from pathlib import Path


class WalkingDisk(Disk):
    """A disk of a kernel without openat2."""

    def __init__(self) -> None:
        super().__init__()
        self.syscall = None


@pytest.fixture(params=[Disk, WalkingDisk], ids=["openat2", "walk"])
def disk(request: pytest.FixtureRequest) -> Disk:
    return request.param()


def test_this_kernel_has_openat2(root: Path) -> None:
    disk = Disk()
    opened = disk.open(disk.open_root(str(root)), [b"style.css"], "inside")
    assert disk.syscall is not None
    disk.close(opened)


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_reaches_what_is_not_served(root: Path, disk: Disk, path: bytes) -> None:
    answer = Site(root, disk).get(path)
    assert answer.status == 404
    assert answer.content == b""


LINKS = {
    # name: target, and with which settings it is served
    "inside.css": ("style.css", {"inside", "anywhere"}),
    "up.css": ("docs/../style.css", {"inside", "anywhere"}),
    "chain.css": ("inside.css", {"inside", "anywhere"}),
    "folder": ("docs", {"inside", "anywhere"}),
    "out.txt": ("../secret.txt", {"anywhere"}),
    "outer": ("..", {"anywhere"}),
    "chain-out.txt": ("out.txt", {"anywhere"}),
    "bounce.css": ("../static/style.css", {"anywhere"}),
    "absolute.txt": ("{tmp}/secret.txt", {"anywhere"}),
    "absolute-in.css": ("{tmp}/static/style.css", {"anywhere"}),
    "loop": ("loop", set()),
    "dangling": ("nowhere", set()),
}


@pytest.mark.parametrize("symlinks", ["never", "inside", "anywhere"])
@pytest.mark.parametrize("name", LINKS)
def test_links_are_followed_as_the_setting_says(
    root: Path, disk: Disk, name: str, symlinks: str
) -> None:
    for each, (target, _) in LINKS.items():
        (root / each).symlink_to(target.format(tmp=root.parent))
    path = {"folder": "/folder/index.html", "outer": "/outer/secret.txt"}.get(name, f"/{name}")
    answer = Site(root, disk, symlinks=symlinks).get(path)
    assert answer.status == (200 if symlinks in LINKS[name][1] else 404)


def test_a_folder_that_is_exchanged_for_a_link_never_leads_out(root: Path, disk: Disk) -> None:
    """Another process swaps a folder and a link out of the root all the time."""
    write(root / "swap" / "secret.txt", "harmless")
    (root / "away").symlink_to(root.parent)
    stop = threading.Event()

    def swap() -> None:
        names = [os.fsencode(root / name) for name in ("swap", "away", "spare")]
        while not stop.is_set():
            os.rename(names[0], names[2])
            os.rename(names[1], names[0])
            os.rename(names[0], names[1])
            os.rename(names[2], names[0])

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        site = Site(root, disk)
        statuses = set()
        for _ in range(3000):
            site.clocks.advance(2)
            answer = site.get("/swap/secret.txt")
            statuses.add(answer.status)
            assert answer.content in (b"harmless", b"")
    finally:
        stop.set()
        thread.join()
    assert statuses <= {200, 404}
    assert 200 in statuses


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "directory", "proc"])
def test_only_regular_files_are_sent_and_nothing_hangs(
    root: Path, disk: Disk, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)  # the address of a Unix socket must be short
    path, symlinks = "/special", "inside"
    if kind == "fifo":
        os.mkfifo(root / "special")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("special")
    elif kind == "directory":
        (root / "special").mkdir()
        path = "/special/"
    elif kind == "device":
        (root / "special").symlink_to("/dev/zero")
        symlinks = "anywhere"
    else:
        (root / "special").symlink_to("/proc/self/environ")
    assert Site(root, disk, symlinks=symlinks).get(path).status == 404


def test_openat2_that_a_filter_forbids_is_not_tried_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ctypes

    disk = Disk()
    tried = []

    def forbidden(*_: object) -> int:
        tried.append(1)
        ctypes.set_errno(errno.EPERM)
        return -1

    monkeypatch.setattr(disk, "syscall", forbidden)
    site = Site(root, disk)
    assert [site.get(path).status for path in ("/style.css", "/docs/", "/nope")] == [200, 200, 404]
    assert len(tried) == 1


def test_a_directory_that_may_only_be_passed_through_is(root: Path, disk: Disk) -> None:
    (root / "docs").chmod(0o711)
    assert Site(root, disk).get("/docs/index.html").status == 200


def test_a_descriptor_is_left_open_by_no_outcome(root: Path, disk: Disk) -> None:
    (root / "out").symlink_to("..")
    site = Site(root, disk)
    site.get("/style.css")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        for path in ("/style.css", "/big.bin", "/docs", "/docs/", "/out/x", "/nope", "/bare/", "/"):
            for method in ("GET", "HEAD", "POST"):
                site.get(path, method, accept_encoding="br", range="bytes=0-1")
    assert len(os.listdir("/proc/self/fd")) <= before
