"""The applications of the table of leaving clients: one path prefix for each framework.

Each has four handlers: ``slow`` answers after a while, ``busy`` streams all the time, ``silent``
streams a piece and waits, ``done`` answers at once and has something to do afterwards. All of them
write to the error output when they begin and how they end. A framework that is not installed is
left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from importlib.util import find_spec

SLOW = 0.4
PIECE = "data: piece\n\n"
PACE = 0.02


def mark(number, what):
    """Write a line that the test waits for."""
    os.write(2, f"MARK {number} {what}\n".encode())  # at once, and whole, from any thread


async def slow(number):
    mark(number, "began")
    how = "whole"
    try:
        await asyncio.sleep(SLOW)
    except asyncio.CancelledError:
        how = "cancelled"
        raise
    finally:
        mark(number, how)


async def pieces(number, kind):
    mark(number, "began")
    how = "closed"
    try:
        while True:
            yield PIECE
            if kind == "busy":
                await asyncio.sleep(PACE)
            else:
                await asyncio.Event().wait()
    except asyncio.CancelledError:
        how = "cancelled"
        raise
    finally:
        mark(number, how)


async def afterwards(number):
    await asyncio.sleep(SLOW / 4)
    mark(number, "whole")


def starlette_app(stream=None):
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    async def handle(request):
        kind, number = request.path_params["kind"], request.path_params["number"]
        if kind == "slow":
            await slow(number)
            return PlainTextResponse("answer")
        if kind == "done":
            return PlainTextResponse("answer", background=BackgroundTask(afterwards, number))
        return (stream or StreamingResponse)(pieces(number, kind))

    return Starlette(routes=[Route("/{framework}/{kind}/{number}", handle)])


def layered_app():
    """Five layers of ``BaseHTTPMiddleware``, which run the application in tasks of their own."""
    from starlette.middleware.base import BaseHTTPMiddleware

    class Layer(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            return await call_next(request)

    app = starlette_app()
    for _ in range(5):
        app = Layer(app)
    return app


def fastapi_app():
    from fastapi import BackgroundTasks, Depends, FastAPI
    from starlette.responses import PlainTextResponse, StreamingResponse

    app = FastAPI()

    async def resource():
        yield "resource"

    @app.get("/fastapi/{kind}/{number}")
    async def handle(kind: str, number: int, thing: str = Depends(resource)):
        tasks = BackgroundTasks()
        if kind == "slow":
            await slow(number)
        elif kind == "done":
            tasks.add_task(afterwards, number)
        else:
            return StreamingResponse(pieces(number, kind), media_type="text/event-stream")
        return PlainTextResponse("answer", background=tasks)

    return app


def sse_app():
    from sse_starlette import EventSourceResponse

    return starlette_app(EventSourceResponse)


def django_app():
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import path

    async def handle(request, kind, number):
        if kind == "slow":
            await slow(number)
        elif kind == "done":
            tasks.add(asyncio.get_running_loop().create_task(afterwards(number)))
        else:
            return StreamingHttpResponse(pieces(number, kind), content_type="text/event-stream")
        return HttpResponse("answer")

    tasks = set()
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", DEBUG=False)
    django.setup(set_prefix=False)
    globals()["urlpatterns"] = [path("django/<kind>/<int:number>", handle)]
    return get_asgi_application()


def litestar_app():
    from litestar import Litestar, Response, get
    from litestar.background_tasks import BackgroundTask
    from litestar.response import Stream

    @get("/litestar/{kind:str}/{number:int}")
    async def handle(kind: str, number: int) -> Response:
        if kind == "slow":
            await slow(number)
            return Response("answer", media_type="text/plain")
        if kind == "done":
            background = BackgroundTask(afterwards, number)
            return Response("answer", media_type="text/plain", background=background)
        return Stream(pieces(number, kind), media_type="text/event-stream")

    handle.fn.__annotations__.update(kind=str, number=int, **{"return": Response})
    return Litestar(route_handlers=[handle], openapi_config=None)


def quart_app():
    from quart import Quart

    app = Quart(__name__)

    @app.get("/quart/<kind>/<int:number>")
    async def handle(kind, number):
        if kind == "slow":
            await slow(number)
        elif kind == "done":
            app.add_background_task(afterwards, number)
        else:
            return pieces(number, kind), 200, {"Content-Type": "text/event-stream"}
        return "answer"

    return app


def a2wsgi_app():
    from a2wsgi import WSGIMiddleware

    def handle(environ, start_response):
        _, _, kind, number = environ["PATH_INFO"].split("/")
        start_response("200 OK", [("content-type", "text/event-stream")])
        if kind in ("busy", "silent"):
            return stream(number, kind)
        mark(number, "began")
        if kind == "slow":
            time.sleep(SLOW)
        threading.Timer(SLOW / 4, mark, (number, "whole")).start()
        return [b"answer"]

    def stream(number, kind):
        mark(number, "began")
        try:
            for _ in range(50 if kind == "busy" else 3):  # a thread: only it can end itself
                yield PIECE.encode()
                time.sleep(PACE if kind == "busy" else SLOW)
        finally:
            mark(number, "closed")

    return WSGIMiddleware(handle, workers=64)


def raw_app():
    """Sends without ever listening: only the server can end it."""

    async def app(scope, receive, send):
        _, _, kind, number = scope["path"].split("/")
        start = {"type": "http.response.start", "status": 200, "headers": []}
        if kind in ("slow", "done"):
            if kind == "slow":
                await slow(number)
            await send(start)
            await send({"type": "http.response.body", "body": b"answer"})
            if kind == "done":
                await afterwards(number)
            return
        await send(start)
        async with contextlib.aclosing(pieces(number, kind)) as each:
            async for piece in each:
                body = {"type": "http.response.body", "body": piece.encode(), "more_body": True}
                await send(body)

    return app


MAKERS = {
    "raw": ("katana_asgi", raw_app),
    "starlette": ("starlette", starlette_app),
    "layered": ("starlette", layered_app),
    "fastapi": ("fastapi", fastapi_app),
    "sse": ("sse_starlette", sse_app),
    "django": ("django", django_app),
    "litestar": ("litestar", litestar_app),
    "quart": ("quart", quart_app),
    "a2wsgi": ("a2wsgi", a2wsgi_app),
}

INSTALLED = [name for name, (package, _) in MAKERS.items() if find_spec(package)]

_apps = {}


async def app(scope, receive, send):
    """Give a request to the framework that its path names."""
    if scope["type"] == "lifespan":
        for name in INSTALLED:
            _apps[name] = MAKERS[name][1]()
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await _apps[scope["path"].split("/")[1]](scope, receive, send)
