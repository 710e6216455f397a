"""Files in memory never take more than what they are counted with."""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from katana_asgi.asgi.answers import file_response
from katana_asgi.http.default_fields import DefaultFields
from katana_asgi.http1.default_lines import KEEP_ALIVE, PERSISTENT, DefaultLines
from katana_asgi.http1.static_bytes import static_bytes, static_head
from katana_asgi.http1.writing import JOIN_UP_TO
from katana_asgi.http2.responses import DefaultBlocks, static_block
from tests.files.conftest import Site, write

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 150
DEFAULTS = DefaultFields()
LINES, BLOCKS = DefaultLines(DEFAULTS), DefaultBlocks(DEFAULTS)


def serve(site: Site, number: int) -> None:
    """Answer a request, and leave behind all that the protocol versions keep."""
    file = site.ask(f"/{number}.html", accept_encoding="gzip, br, zstd")
    assert file is not None
    response = file_response(file)
    render = static_head if len(response.content) > JOIN_UP_TO else static_bytes
    for end in (PERSISTENT, KEEP_ALIVE):
        render(response, LINES, end)
    static_block(response, BLOCKS)


@pytest.mark.parametrize("size", [0, 100, 4096, 4097, 65536])
def test_no_file_takes_more_than_it_is_counted_with(tmp_path: Path, size: int) -> None:
    for number in range(COUNT + 1):
        write(tmp_path / f"{number}.html", bytes([number]) * size)
    site = Site(tmp_path, immutable=True, max_age=60)
    serve(site, COUNT)  # what is made once
    before = site.mount.memory.weight
    gc.collect()
    tracemalloc.start()
    for number in range(COUNT):
        serve(site, number)
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    counted = site.mount.memory.weight - before
    if size < 65536:  # the larger ones do not all fit
        assert len(site.mount.memory) == COUNT + 1
    assert taken <= counted
