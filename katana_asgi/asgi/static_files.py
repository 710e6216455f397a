"""Files of ``--static-dir`` in front of the application (see ``files/``).

What a request below a mount gets is decided without the application; it is sent with the messages
that an application would use, so it is the same over every protocol version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from katana_asgi.asgi_types import ASGIApplication, Receive, Scope, Send
    from katana_asgi.files.response import FileResponse
    from katana_asgi.files.table import FileTable

__all__ = ["with_static_files"]


def with_static_files(application: ASGIApplication, files: FileTable) -> ASGIApplication:
    """Answer requests for files; every other request is the application's."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raw_path: bytes = scope["raw_path"]
            if scope["root_path"]:  # mounts are where static routes are: below it
                raw_path = raw_path.removeprefix(quote(scope["root_path"]).encode("ascii"))
            response = files.respond(
                scope["method"], raw_path, scope["query_string"], scope["headers"]
            )
            if response is not None:
                try:
                    await _send(response, send)
                finally:
                    response.close()
                return
        await application(scope, receive, send)

    return serve


async def _send(response: FileResponse, send: Send) -> None:
    content = response.content
    parts = (content,) if isinstance(content, bytes) else content
    await send(
        {
            "type": "http.response.start",
            "status": response.status,
            "headers": response.fields,
        }
    )
    last = len(parts) - 1
    for number, part in enumerate(parts):
        more = number < last
        if isinstance(part, bytes):
            await send({"type": "http.response.body", "body": part, "more_body": more})
        else:
            await send(
                {
                    "type": "http.response.zerocopysend",
                    "file": part.file.descriptor,
                    "offset": part.offset,
                    "count": part.length,
                    "more_body": more,
                }
            )
