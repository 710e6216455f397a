"""An application with a script, behind a cache with clocks of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from katana_asgi.cache.response_cache import ResponseCache
from katana_asgi.cache.wrapper import Cached
from katana_asgi.http.dates import http_date
from tests.support import within

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.asgi_types import Message, Receive, Scope, Send

NOW = 1_700_000_000.0


class Clocks:
    """Both clocks of a cache."""

    def __init__(self) -> None:
        self.monotonic = 500.0
        self.wall = NOW

    def advance(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


class Answer:
    """What a client got."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages
        (start,) = [each for each in messages if each["type"] == "http.response.start"]
        self.status = start["status"]
        self.pairs = list(start["headers"])
        self.body = b"".join(message.get("body", b"") for message in messages)

    def __getitem__(self, name: str) -> bytes | None:
        values = [value for key, value in self.pairs if key == name.encode()]
        assert len(values) <= 1, values
        return values[0] if values else None

    @property
    def age(self) -> int | None:
        """The Age of a stored response; ``None`` for one that was made for this request."""
        age = self["age"]
        return None if age is None else int(age)


class Origin:
    """The application: answers with ``responses`` in turn, the last one again and again."""

    def __init__(self) -> None:
        self.responses: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.gate: asyncio.Event | None = None
        self.on_call: Callable[[], None] | None = None

    def respond(self, cache_control: str | None = None, body: bytes = b"", **rest: Any) -> None:
        """Add a response; keyword arguments with capital letters are its fields."""
        fields = [] if cache_control is None else [(b"cache-control", cache_control.encode())]
        for name in [name for name in rest if name[0].isupper()]:
            value = rest.pop(name)
            for each in value if isinstance(value, list) else [value]:
                text = http_date(NOW + each) if isinstance(each, int) else each.encode()
                fields.append((name.replace("_", "-").lower().encode(), text))
        self.responses.append({"headers": fields, "body": body, "status": 200, **rest})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        number = len(self.calls)
        self.calls.append(dict(scope["headers"]))
        if self.on_call is not None:
            self.on_call()
        response = self.responses[min(number, len(self.responses) - 1)]
        if self.gate is not None:
            await self.gate.wait()
        if "error" in response:
            raise response["error"]
        start = {key: response[key] for key in ("status", "headers", "trailers") if key in response}
        await send({"type": "http.response.start", **start})
        pieces = response.get("pieces") or [response["body"] or b"call %d" % (number + 1)]
        if response["status"] in (204, 304) or scope["method"] == "HEAD":
            pieces = [b""]
        for piece in pieces[:-1]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        for message in response.get("instead", ()):
            await send(message)
        if "instead" not in response:
            await send({"type": "http.response.body", "body": pieces[-1], "more_body": False})


class Site:
    """An origin within a cache, asked as a server would ask it."""

    def __init__(self, origin: Any = None, most: int = 2**20, **settings: Any) -> None:
        self.clocks = Clocks()
        self.origin = Origin() if origin is None else origin
        self.cache = ResponseCache(
            most,
            monotonic=lambda: self.clocks.monotonic,
            wall=lambda: self.clocks.wall,
            **settings,
        )
        self.application = Cached(self.origin, self.cache)

    @property
    def calls(self) -> int:
        """How often the application was called."""
        return len(self.origin.calls)

    def scope(
        self, path: str = "/", method: str = "GET", host: str = "example.org", **fields: Any
    ) -> dict[str, Any]:
        pairs = [(b"host", host.encode())]
        for name, value in fields.items():
            for each in value if isinstance(value, list) else [value]:
                text = each if isinstance(each, bytes) else each.encode()
                pairs.append((name.replace("_", "-").encode(), text))
        raw_path, _, query = path.encode().partition(b"?")
        return {
            "type": "http",
            "method": method,
            "scheme": "http",
            "raw_path": raw_path,
            "path": raw_path.decode(),
            "query_string": query,
            "root_path": "",
            "headers": pairs,
            "state": {},
            "extensions": {},
        }

    async def get(self, path: str = "/", method: str = "GET", **fields: Any) -> Answer:
        """The answer to a request."""
        return await self.ask(self.scope(path, method, **fields))

    async def ask(self, scope: dict[str, Any]) -> Answer:
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            messages.append(message)

        await within(self.application(scope, receive, send))
        return Answer(messages)

    def asking(self, path: str = "/", **fields: Any) -> asyncio.Task[Answer]:
        """A request under way."""
        return asyncio.create_task(self.get(path, **fields))

    async def in_background(self) -> None:
        """Until no call in the background is left."""
        while self.application.refreshing:
            await within(asyncio.wait(list(self.application.refreshing.values())))
            await asyncio.sleep(0)


@pytest.fixture
def site() -> Site:
    return Site()
