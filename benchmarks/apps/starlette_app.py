"""A Starlette application with one plain-text route."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def greeting(request: Request) -> PlainTextResponse:
    """Answer the greeting of the other applications."""
    return PlainTextResponse("Hello, World!")


app = Starlette(routes=[Route("/", greeting)])
