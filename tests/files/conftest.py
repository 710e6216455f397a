"""A directory of files, and mounts of it with a disk and clocks that a test can disturb."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from katana_asgi.config.static_files import StaticFiles
from katana_asgi.files.disk import Disk
from katana_asgi.files.mount import FileMount, file_memory
from katana_asgi.files.response import FileResponse

MODIFIED = 1_000_000_000
"""Sun, 09 Sep 2001 01:46:40 GMT, the modification time of every file."""


class Clocks:
    """Both clocks; files were changed long before."""

    def __init__(self) -> None:
        self.monotonic = 1000.0
        self.wall = 4_000_000_000.0

    def advance(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


class FaultyDisk(Disk):
    """Counts its calls, and fails one kind of them with an errno from a given call on."""

    def __init__(self, failing: str = "", error: int = 0, after: int = 0) -> None:
        super().__init__()
        self.failing, self.error, self.after = failing, error, after
        self.opened: set[int] = set()
        self.calls = 0

    def _fault(self, name: str) -> None:
        if name == self.failing:
            if self.after:
                self.after -= 1
                return
            raise OSError(self.error, os.strerror(self.error))

    def open_root(self, directory: str | bytes) -> int:
        self._fault("open_root")
        return super().open_root(directory)

    def open(self, root: int, segments: list[bytes], symlinks: Any) -> int:
        self.calls += 1
        self._fault("open")
        opened = super().open(root, segments, symlinks)
        self.opened.add(opened)
        return opened

    def stat(self, opened: int) -> os.stat_result:
        self._fault("stat")
        return super().stat(opened)

    def read_now(self, opened: int, size: int, offset: int) -> bytes | None:
        self.calls += 1
        self._fault("read_now")
        return super().read_now(opened, size, offset)

    def names(self, opened: int) -> list[tuple[str, bool]]:
        self._fault("names")
        return super().names(opened)

    def close(self, opened: int) -> None:
        self.opened.discard(opened)
        super().close(opened)


class Site:
    """A mount of a directory, asked as a connection would ask it."""

    def __init__(self, root: Path, disk: Disk | None = None, **settings: Any) -> None:
        self.root = root
        self.clocks = Clocks()
        settings.setdefault("fallback", "404")
        self.disk = disk or FaultyDisk()
        self.mount = FileMount(
            StaticFiles("/static", str(root), **settings),
            file_memory(),
            self.disk,
            lambda: self.clocks.monotonic,
            lambda: self.clocks.wall,
        )

    def ask(
        self, path: str | bytes, method: str = "GET", **fields: str | bytes
    ) -> FileResponse | None:
        raw = path.encode() if isinstance(path, str) else path
        pairs = [
            (name.replace("_", "-").encode(), value.encode() if isinstance(value, str) else value)
            for name, value in fields.items()
        ]
        return self.mount.respond(method, raw, b"", pairs)

    def get(self, path: str | bytes, method: str = "GET", **fields: str | bytes) -> Answer:
        response = self.ask(path, method, **fields)
        assert response is not None
        return Answer(response)


class Answer:
    """A response whose content was read; its file is closed."""

    def __init__(self, response: FileResponse) -> None:
        self.status = response.status
        self.fields = dict(response.fields)
        assert len(self.fields) == len(response.fields), "a field appears twice"
        content = response.content
        self.from_file = not isinstance(content, bytes)
        if not isinstance(content, bytes):
            parts = [
                part
                if isinstance(part, bytes)
                else os.pread(part.file.descriptor, part.length, part.offset)
                for part in content
            ]
            content = b"".join(parts)
        self.content = content
        response.close()
        if response.status in (200, 206) and content:
            assert self.fields[b"content-length"] == b"%d" % len(content)

    def __getitem__(self, name: str) -> bytes | None:
        return self.fields.get(name.encode())


def write(path: Path, content: bytes | str = b"", modified: float = MODIFIED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(path, (modified, modified))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root, with a sibling whose files must never be served."""
    root = tmp_path / "static"
    write(tmp_path / "secret.txt", "secret")
    write(tmp_path / "static2" / "secret.txt", "secret")
    write(root / "index.html", "<h1>home</h1>")
    write(root / "style.css", "body { color: red }" * 10)
    write(root / "big.bin", bytes(range(256)) * 1000)
    write(root / "empty.txt")
    write(root / "docs" / "index.html", "docs")
    write(root / "bare" / "note.txt", "note")
    write(root / "a b&c.txt", "spaced")
    write(root / "café.txt", "coffee")
    write(root / ".env", "SECRET=1")
    write(root / ".git" / "config", "secret")
    write(root / ".well-known" / "security.txt", "contact")
    return root


@pytest.fixture
def site(root: Path) -> Site:
    return Site(root)
