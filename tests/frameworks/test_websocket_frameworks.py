"""WebSocket endpoints of Starlette, FastAPI and Django Channels, with a real client."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest
from fastapi import Cookie, Depends, FastAPI, WebSocket, WebSocketException, status
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from katana_asgi.testing import running
from tests.support import within


async def closed(client: Any) -> tuple[int, str]:
    """Wait for the close frame of the server; its code and reason."""
    try:
        while True:
            await within(client.recv())
    except ConnectionClosed as error:
        return error.rcvd.code, error.rcvd.reason


# -- Starlette


class Shout(WebSocketEndpoint):
    """Answers in capitals; says at the end how it ended."""

    encoding = "text"
    ends: asyncio.Queue[int]

    async def on_receive(self, websocket, data):
        await websocket.send_text(data.upper())

    async def on_disconnect(self, websocket, close_code):
        websocket.app.state.ends.put_nowait(close_code)


async def as_json(websocket):
    await websocket.accept(subprotocol="json", headers=[(b"x-from", b"starlette")])
    async for message in websocket.iter_json():
        await websocket.send_json({"got": message, "query": dict(websocket.query_params)})


async def as_bytes(websocket):
    await websocket.accept()
    async for message in websocket.iter_bytes():
        await websocket.send_bytes(message[::-1])
    websocket.app.state.ends.put_nowait("end of iteration")


async def deny(websocket):
    await websocket.send_denial_response(JSONResponse({"why": "no"}, status_code=418))


async def until_it_raises(websocket):
    await websocket.accept()
    try:
        while True:
            await websocket.send_text("x" * 10_000)
            await asyncio.sleep(0)
    except WebSocketDisconnect as error:
        websocket.app.state.ends.put_nowait(error.code)


async def page(request):
    return JSONResponse("page")


def starlette() -> Starlette:
    app = Starlette(
        routes=[
            WebSocketRoute("/shout", Shout),
            WebSocketRoute("/json", as_json),
            WebSocketRoute("/bytes", as_bytes),
            WebSocketRoute("/deny", deny),
            WebSocketRoute("/flood", until_it_raises),
            Route("/", page),
        ]
    )
    app.state.ends = asyncio.Queue()
    return app


async def test_a_starlette_endpoint(http, errors):
    app = starlette()
    async with running(app, http=http) as server:
        async with connect(f"ws://{server.host}:{server.port}/shout") as client:
            await client.send("quiet")
            assert await within(client.recv()) == "QUIET"
            await client.close(4001)
        assert await within(app.state.ends.get()) == 4001
        async with connect(f"ws://{server.host}:{server.port}/shout") as client:
            await client.send(b"bytes where text is expected")
            assert (await closed(client))[0] == 1003
    errors.append("RuntimeError")  # Starlette raises as well


async def test_starlette_functions(http):
    app = starlette()
    async with running(app, http=http) as server:
        url = f"ws://{server.host}:{server.port}"
        async with connect(f"{url}/json?a=b", subprotocols=["json"]) as client:
            assert client.response.headers["x-from"] == "starlette"
            await client.send('{"number": 1}')
            assert await within(client.recv()) == '{"got":{"number":1},"query":{"a":"b"}}'
        async with connect(f"{url}/bytes") as client:
            await client.send(b"abc")
            assert await within(client.recv()) == b"cba"
        assert await within(app.state.ends.get()) == "end of iteration"


async def test_starlette_denies_and_does_not_know(http):
    async with running(starlette(), http=http) as server:
        url = f"ws://{server.host}:{server.port}"
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"{url}/deny")
        response = caught.value.response
        assert (response.status_code, bytes(response.body)) == (418, b'{"why":"no"}')
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"{url}/nowhere")
        assert caught.value.response.status_code in (403, 404)


async def test_starlette_sees_a_client_that_vanishes(http):
    app = starlette()
    async with running(app, http=http) as server:
        client = await connect(f"ws://{server.host}:{server.port}/flood")
        await within(client.recv())
        client.transport.abort()
        assert await within(app.state.ends.get()) == 1006


# -- FastAPI


class Room:
    """Everybody hears everybody."""

    def __init__(self) -> None:
        self.present: list[WebSocket] = []

    async def say(self, text: str) -> None:
        for websocket in self.present:
            await websocket.send_text(text)


def known(token: str | None = None, session: Annotated[str | None, Cookie()] = None) -> str:
    if token is None and session is None:
        raise WebSocketException(status.WS_1008_POLICY_VIOLATION)
    return token or session or ""


def fastapi() -> FastAPI:
    app = FastAPI()
    room = Room()

    @app.websocket("/items/{item}")
    async def items(websocket: WebSocket, item: int, who: Annotated[str, Depends(known)]):
        await websocket.accept()
        while True:
            text = await websocket.receive_text()
            await websocket.send_json({"item": item, "who": who, "text": text})

    @app.websocket("/room/{name}")
    async def chat(websocket: WebSocket, name: str):
        await websocket.accept()
        room.present.append(websocket)
        await room.say(f"{name} is here")
        try:
            async for text in websocket.iter_text():
                await room.say(f"{name}: {text}")
        finally:
            room.present.remove(websocket)
        await room.say(f"{name} has left")

    @app.websocket("/wrong")
    async def wrong(websocket: WebSocket):
        await websocket.accept()
        raise RuntimeError("out of order")

    return app


async def test_fastapi_dependencies_path_and_cookies(http):
    async with running(fastapi(), http=http) as server:
        url = f"ws://{server.host}:{server.port}/items/7"
        answer = '{"item":7,"who":"%s","text":"hello"}'
        async with connect(f"{url}?token=query") as client:
            await client.send("hello")
            assert await within(client.recv()) == answer % "query"
        async with connect(url, additional_headers={"Cookie": "session=biscuit"}) as client:
            await client.send("hello")
            assert await within(client.recv()) == answer % "biscuit"
        with pytest.raises(InvalidStatus) as caught:
            await connect(url)
        assert caught.value.response.status_code == 403


async def test_fastapi_broadcasts(http):
    async with running(fastapi(), http=http) as server:
        url = f"ws://{server.host}:{server.port}/room"
        async with connect(f"{url}/ann") as ann:
            assert await within(ann.recv()) == "ann is here"
            async with connect(f"{url}/bob") as bob:
                for client in (ann, bob):
                    assert await within(client.recv()) == "bob is here"
                await bob.send("hello")
                for client in (ann, bob):
                    assert await within(client.recv()) == "bob: hello"
            assert await within(ann.recv()) == "bob has left"


async def test_fastapi_endpoints_that_fail_close_with_1011(http, errors):
    async with running(fastapi(), http=http) as server:
        async with connect(f"ws://{server.host}:{server.port}/wrong") as client:
            assert await closed(client) == (1011, "")
    errors.append("RuntimeError")


# -- Django Channels


def channels() -> Any:
    django = pytest.importorskip("django", reason="Django is not installed")
    pytest.importorskip("channels", reason="Django Channels is not installed")
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"],
            SECRET_KEY="for tests",
            ROOT_URLCONF=[],
            CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
        )
        django.setup()
    from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from channels.security.websocket import AllowedHostsOriginValidator
    from django.core.asgi import get_asgi_application
    from django.urls import path

    class Chat(AsyncWebsocketConsumer):
        groups = ("everybody",)

        async def connect(self):
            await self.accept(subprotocol=(self.scope["subprotocols"] or [None])[0])

        async def receive(self, text_data=None, bytes_data=None):
            if bytes_data is not None:
                await self.send(bytes_data=bytes_data)
            elif text_data == "leave":
                await self.close(4002)
            else:
                await self.channel_layer.group_send(
                    "everybody", {"type": "chat.message", "text": text_data}
                )

        async def chat_message(self, event):
            await self.send(event["text"])

    class Json(AsyncJsonWebsocketConsumer):
        async def receive_json(self, content, **more):
            await self.send_json({"name": self.scope["url_route"]["kwargs"]["name"], **content})

    class Refuse(AsyncWebsocketConsumer):
        async def connect(self):
            await self.close()

    routes = [
        path("chat", Chat.as_asgi()),
        path("json/<str:name>", Json.as_asgi()),
        path("refuse", Refuse.as_asgi()),
    ]
    return ProtocolTypeRouter(
        {
            "http": get_asgi_application(),
            "websocket": AllowedHostsOriginValidator(URLRouter(routes)),
        }
    )


async def test_channels_consumers(http):
    async with running(channels(), http=http) as server:
        url = f"ws://{server.host}:{server.port}"
        async with (
            connect(f"{url}/chat", subprotocols=["chat"]) as one,
            connect(f"{url}/chat") as two,
        ):
            assert (one.subprotocol, two.subprotocol) == ("chat", None)
            await one.send("to all")
            assert await within(one.recv()) == "to all"
            assert await within(two.recv()) == "to all"
            await two.send(b"\x00\x01")
            assert await within(two.recv()) == b"\x00\x01"
            await two.send("leave")
            assert (await closed(two))[0] == 4002
        async with connect(f"{url}/json/ann") as client:
            await client.send('{"a": [1]}')
            assert await within(client.recv()) == '{"name": "ann", "a": [1]}'
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"{url}/refuse")
        assert caught.value.response.status_code == 403
