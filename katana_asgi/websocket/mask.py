"""Masking of frame payloads (RFC 6455 §5.3): XOR with a key of four bytes.

The codec does it. Where its C functions were not built, the door to ``websockets.speedups``: a
C function that is used where it is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi import codec

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Mask: TypeAlias = Callable[[bytes | memoryview, bytes], bytes]

__all__ = ["apply_mask"]


def _accelerated() -> Mask | None:
    try:
        from websockets.speedups import apply_mask as mask_in_c
    except ImportError:  # not installed, or installed without its extension module
        return None
    return mask_in_c


apply_mask: Final[Mask] = codec.mask if codec.NATIVE else _accelerated() or codec.mask
"""``apply_mask(data, key)``: the fastest there is; ``data`` is bytes or a memoryview."""
