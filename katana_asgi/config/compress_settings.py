"""The settings of compression.

A table, not a program; ``model.py`` says how fields become settings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from katana_asgi.config.refusal import NotAllowed
from katana_asgi.config.setting import setting

__all__ = ["CompressSettings"]

_match_pattern: Final = re.compile(
    r"[A-Za-z0-9!#$&^_.+\-]+/(?:[A-Za-z0-9!#$&^_.+\-]+|\*)"
).fullmatch


def check_media_type(member: str) -> None:
    """A media type, or all of one kind."""
    if _match_pattern(member) is None:
        raise NotAllowed(member, "media types such as text/html, or text/* for all of a kind")


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class CompressSettings:
    """Compression"""

    theme = "Compression"

    compress: bool = setting(
        False,
        "boolean",
        "Compress responses of the application with gzip, and with Brotli and Zstandard where "
        "their extras are installed.",
    )
    compress_min_size: int = setting(
        1024, "size", "Smallest response that is compressed, where its size is known.", minimum=0
    )
    compress_types: tuple[str, ...] = setting(
        (),
        "list",
        "Media types to compress, such as text/* or application/json; by default those that "
        "compress well.",
        check=check_media_type,
    )
