"""Who masks: the codec in C, else a library's C, else the codec in Python."""

from __future__ import annotations

import runpy
import sys

import pytest
from websocket_frames import exclusive_or

from katana_asgi import codec
from katana_asgi.websocket import mask

DATA = b"Hello, masked world"
KEY = b"\x01\x80\xff\x37"


def apply_mask_of_a_fresh_module():
    return runpy.run_path(mask.__file__)["apply_mask"]


@pytest.mark.parametrize("native", [True, False])
def test_every_byte_meets_its_byte_of_the_key(native: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(codec, "NATIVE", native)
    apply_mask = apply_mask_of_a_fresh_module()
    assert apply_mask(DATA, KEY) == apply_mask(memoryview(DATA), KEY) == exclusive_or(DATA, KEY)


def test_the_codec_does_it_where_it_is_native_or_nothing_else_is_there(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(codec, "NATIVE", True)
    assert apply_mask_of_a_fresh_module() is codec.mask
    monkeypatch.setattr(codec, "NATIVE", False)
    monkeypatch.setitem(sys.modules, "websockets.speedups", None)
    assert apply_mask_of_a_fresh_module() is codec.mask
