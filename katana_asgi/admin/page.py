"""The status page for people: one self-contained file without outside assets.

``PAGE`` is the file; ``POLICY`` lets a browser run the script and style in it and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources
from typing import Final

__all__ = ["PAGE", "POLICY"]

PAGE: Final = resources.files("katana_asgi.admin").joinpath("status.html").read_bytes()


def _hash_of(tag: bytes) -> str:
    """The content of the only ``tag`` as a source expression (Content Security Policy 3 §2.3.1)."""
    (content,) = re.findall(rb"<%b>(.*?)</%b>" % (tag, tag), PAGE, re.DOTALL)
    return base64.b64encode(hashlib.sha256(content).digest()).decode("ascii")


POLICY: Final = (
    f"default-src 'none'; script-src 'sha256-{_hash_of(b'script')}'; "
    f"style-src 'sha256-{_hash_of(b'style')}'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
