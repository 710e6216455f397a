"""Masking: both ways to do it do the same."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websocket_frames import xor

from katana_asgi.websocket import mask
from katana_asgi.websocket.mask import STRIDED_FROM, apply_mask, mask_in_python

Mask: TypeAlias = Callable[[bytes, bytes], bytes]

keys = st.binary(min_size=4, max_size=4)
contents = st.binary(max_size=40) | st.integers(0, 2000).map(lambda size: b"\x5a\xc3!" * size)


@pytest.mark.parametrize("way", [apply_mask, mask_in_python])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, STRIDED_FROM - 1, STRIDED_FROM, 2001])
def test_every_byte_meets_its_byte_of_the_key(way: Mask, size: int) -> None:
    content = bytes(index * 7 & 0xFF for index in range(size))
    masked = way(content, b"\x01\x80\xff\x37")
    assert masked == xor(content, b"\x01\x80\xff\x37")


@given(contents, keys)
def test_both_ways_agree_and_undo_themselves(content: bytes, key: bytes) -> None:
    masked = mask_in_python(content, key)
    assert masked == apply_mask(content, key)
    assert masked == mask_in_python(memoryview(content), key)
    assert mask_in_python(masked, key) == content


def test_python_does_it_where_the_extension_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "websockets.speedups", None)
    without = runpy.run_path(mask.__file__)
    assert without["ACCELERATED"] is False
    assert without["apply_mask"] is without["mask_in_python"]
