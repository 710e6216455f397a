"""What an accepted handshake becomes: the frame codec, and the fields that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from katana_asgi.websocket.codec import FrameCodec
from katana_asgi.websocket.deflate import Deflate, negotiate
from katana_asgi.websocket.handshake import response_fields

if TYPE_CHECKING:
    from katana_asgi.http.message import Field, ResponseFields
    from katana_asgi.websocket.handshake import Opening
    from katana_asgi.websocket.settings import WebSocketSettings

__all__ = ["open_codec"]


def open_codec(
    opening: Opening,
    settings: WebSocketSettings,
    subprotocol: str | None,
    fields: ResponseFields,
) -> tuple[FrameCodec, list[Field]]:
    """The codec for a handshake that the application accepts, and the fields of the response.

    ``fields`` are the application's. Raises what ``response_fields`` raises, before anything is
    changed.
    """
    wished = settings.deflate
    agreed = None if wished is None else negotiate(opening.extensions, wished)
    pairs = response_fields(
        opening,
        subprotocol=subprotocol,
        extension=None if agreed is None else agreed.response,
        fields=fields,
    )
    deflate = None if agreed is None or wished is None else Deflate(agreed, wished)
    codec = FrameCodec(
        max_size=settings.max_size, max_fragments=settings.max_fragments, deflate=deflate
    )
    return codec, pairs
