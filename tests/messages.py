"""Messages of applications, and content to send, for tests of what the server makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    App = Callable[[Any, Any, Any], Awaitable[None]]

__all__ = ["bytes_of", "sends", "start_message"]


def bytes_of(size: int) -> bytes:
    """Content in which a piece that is lost or moved shows."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def start_message(*headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    """``http.response.start`` with status 200."""
    return {"type": "http.response.start", "status": 200, "headers": list(headers), **more}


def sends(*messages: dict[str, Any]) -> App:
    """An application that sends these messages, one after the other."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(dict(message))

    return application
