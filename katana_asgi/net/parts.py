"""Several pieces in one write, without joining them, and with backpressure on every Python."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

__all__ = ["parts_writer", "write_parts"]

FORGETFUL: Final[bool] = (3, 12, 0) <= sys.version_info < (3, 12, 9) or (
    (3, 13, 0) <= sys.version_info < (3, 13, 2)
)
"""asyncio's own ``writelines`` does not pause the protocol there (CVE-2024-12254): an
application would be let write without end to a client that does not read."""


def parts_writer(transport: asyncio.WriteTransport) -> Callable[[Sequence[bytes]], None]:
    """``write_parts`` of one transport, for one that writes often."""
    return partial(write_parts, transport) if FORGETFUL else transport.writelines


def write_parts(transport: asyncio.WriteTransport, parts: Sequence[bytes]) -> None:
    """Write ``parts`` in their order; ``pause_writing`` is called as for ``write``."""
    if FORGETFUL and type(transport).__module__.startswith("asyncio"):
        for part in parts:
            transport.write(part)
    else:
        transport.writelines(parts)
