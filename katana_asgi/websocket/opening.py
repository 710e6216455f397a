"""What an accepted handshake becomes: the frame codec, and the 101 that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from katana_asgi.websocket.codec import FrameCodec
from katana_asgi.websocket.deflate import Deflate, negotiate
from katana_asgi.websocket.handshake import accept_response

if TYPE_CHECKING:
    from katana_asgi.asgi.fields import ResponseFields
    from katana_asgi.websocket.handshake import Upgrade
    from katana_asgi.websocket.settings import WebSocketSettings

__all__ = ["open_codec"]


def open_codec(
    upgrade: Upgrade,
    settings: WebSocketSettings,
    subprotocol: str | None,
    fields: ResponseFields,
    defaults: bytes,
) -> tuple[FrameCodec, bytes]:
    """The codec for a handshake that the application accepts, and the response.

    ``fields`` are the application's, ``defaults`` further field lines. Raises what
    ``accept_response`` raises, before anything is changed.
    """
    wished = settings.deflate
    agreed = None if wished is None else negotiate(upgrade.extensions, wished)
    response = accept_response(
        upgrade,
        subprotocol=subprotocol,
        extension=None if agreed is None else agreed.response,
        fields=fields,
        defaults=defaults,
    )
    deflate = None if agreed is None or wished is None else Deflate(agreed, wished)
    codec = FrameCodec(
        max_size=settings.max_size, max_fragments=settings.max_fragments, deflate=deflate
    )
    return codec, response
