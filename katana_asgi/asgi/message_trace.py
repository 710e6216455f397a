"""Every ASGI message in the log, at ``--log-level trace``: lengths instead of content.

Field values are left out too: they hold cookies and credentials.
"""

from __future__ import annotations

import logging
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.asgi.slow_requests import request_line
from katana_asgi.observe.logs import TRACE

if TYPE_CHECKING:
    from katana_asgi.asgi_types import ASGIApplication, Message, Receive, Scope, Send

__all__ = ["describe_message", "with_message_trace"]

logger = logging.getLogger("katana_asgi.error")

_COUNTED: Final = {"body": "bytes", "bytes": "bytes", "text": "characters", "headers": "fields"}
"""What is told by its length only, and the unit."""


def with_message_trace(application: ASGIApplication) -> ASGIApplication:
    """Log the calls of ``application`` and all it receives and sends, each call by a number."""
    numbers = count(1)

    async def traced(scope: Scope, receive: Receive, send: Send) -> None:
        number = next(numbers)

        async def traced_receive() -> Message:
            message = await receive()
            logger.log(TRACE, "ASGI [%d] receive %s", number, describe_message(message))
            return message

        async def traced_send(message: Message) -> None:
            logger.log(TRACE, "ASGI [%d] send %s", number, describe_message(message))
            await send(message)

        logger.log(TRACE, "ASGI [%d] started %s", number, _describe_scope(scope))
        try:
            await application(scope, traced_receive, traced_send)
        except BaseException as error:
            logger.log(TRACE, "ASGI [%d] raised %s", number, type(error).__name__)
            raise
        logger.log(TRACE, "ASGI [%d] completed", number)

    return traced


def _describe_scope(scope: Scope) -> str:
    if scope["type"] == "lifespan":
        return "lifespan"
    method = scope.get("method", "GET")
    client = scope.get("client")
    line = request_line(method, scope["raw_path"], scope["query_string"])
    return f"{scope['type']} {line} from {client[0]}:{client[1]}" if client else line


def describe_message(message: Any) -> str:
    """The members of a message, with lengths for content and fields."""
    try:
        return " ".join(_describe_member(key, value) for key, value in message.items())
    except AttributeError:  # the application sent what is no message; send() will say so
        return type(message).__name__


def _describe_member(key: Any, value: Any) -> str:
    unit = _COUNTED.get(key)
    if unit is None or value is None:
        return ascii(value)[1:-1] if key == "type" else f"{key}={value!a}"
    try:
        return f"{key}=<{len(value)} {unit}>"
    except TypeError:  # an iterator of fields must not be consumed here
        return f"{key}=<{unit}>"
