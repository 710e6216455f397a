"""Which mount a request is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from katana_asgi.config.static_files import StaticFiles
from katana_asgi.files.table import FileTable
from tests.files.conftest import write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def table(tmp_path: Path) -> FileTable:
    mounts = {"/": "top", "/assets": "assets", "/assets/img": "img", "/a b": "spaced"}
    for name in mounts.values():
        write(tmp_path / name / "where.txt", name)
        write(tmp_path / name / "img" / "where.txt", f"img in {name}")
    return FileTable(StaticFiles(path, str(tmp_path / name)) for path, name in mounts.items())


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (b"/where.txt", b"top"),
        (b"/assets/where.txt", b"assets"),
        (b"/assets/img/where.txt", b"img"),
        (b"/%61ssets/where.txt", b"assets"),
        (b"/assets/im%67/where.txt", b"img"),
        (b"/a%20b/where.txt", b"spaced"),
        (b"/img/where.txt", b"img in top"),
        # a prefix is whole segments
        (b"/assetsimg/where.txt", None),
        (b"/assets.txt", None),
        (b"/assets%2fwhere.txt", None),
        (b"/assets%2fimg/where.txt", None),
        (b"/assets/../where.txt", None),
        (b"*", None),
        (b"", None),
    ],
)
def test_the_longest_path_counts(table: FileTable, path: bytes, content: bytes | None) -> None:
    response = table.respond("GET", path, b"", [])
    assert (response and response.content) == content


def test_a_mount_without_its_slash_is_a_directory(table: FileTable) -> None:
    response = table.respond("GET", b"/assets", b"", [])
    assert response is not None
    assert (response.status, response.fields[0]) == (308, (b"location", b"./assets/"))


def test_no_mounts_answer_nothing() -> None:
    assert FileTable([]).respond("GET", b"/", b"", []) is None
