"""``RenderedValues``: bounded in entries and in bytes, the oldest leaves first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.config.model import StaticRoute
from katana_asgi.routes.cache import RenderedValues
from katana_asgi.routes.definition import Definition
from katana_asgi.routes.variants import Variants

EXACT = b"/exact"
VARIANTS = Variants(Definition(StaticRoute(path="/a")), b"")
ROOM_FOR_EIGHT = 8 * 8 * 1024


def test_the_oldest_entry_leaves_first_and_exact_routes_stay() -> None:
    known = {EXACT: VARIANTS}
    rendered = RenderedValues(known, most_entries=2)
    for name in (b"/1", b"/2", b"/3"):
        rendered.add(name, VARIANTS, 0)
    assert list(known) == [EXACT, b"/2", b"/3"]


def test_a_content_larger_than_its_share_is_not_kept() -> None:
    known = {EXACT: VARIANTS}
    rendered = RenderedValues(known, most_bytes=ROOM_FOR_EIGHT)
    rendered.add(b"/small", VARIANTS, 100)
    rendered.add(b"/large", VARIANTS, 1000)
    assert list(known) == [EXACT, b"/small"]


@given(st.lists(st.integers(0, 600), max_size=60))
def test_bytes_never_exceed_their_limit(lengths: list[int]) -> None:
    known = {EXACT: VARIANTS}
    rendered = RenderedValues(known, most_bytes=ROOM_FOR_EIGHT)
    held = {}
    for number, length in enumerate(lengths):
        held[b"/%d" % number] = length
        rendered.add(b"/%d" % number, VARIANTS, length)
        # each entry may come to hold its content four times over
        assert sum(4 * held[name] for name in known if name != EXACT) <= ROOM_FOR_EIGHT
        assert len(known) <= 11
    assert EXACT in known
