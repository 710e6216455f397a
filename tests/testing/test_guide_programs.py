"""The programs of the guide do what they say, with an application of Starlette."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from tests.support import ROOT

GUIDE = (ROOT / "docs" / "guide" / "testing.md").read_text(encoding="utf-8")

PROGRAMS = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


async def home(request):
    return PlainTextResponse("ok")


async def stream(request):
    async def events():
        number = 0
        while True:
            yield f"event {number}\n"
            number += 1
            await asyncio.sleep(0)

    return StreamingResponse(events())


async def echo(websocket):
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.receive()


APP = Starlette(routes=[Route("/", home), Route("/stream", stream), WebSocketRoute("/echo", echo)])


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_guide_does_what_it_says(program, monkeypatch, katana_server):
    monkeypatch.setitem(sys.modules, "main", SimpleNamespace(app=APP))
    names: dict = {}
    exec(program, names)
    for name, value in names.items():
        if name.startswith("test_"):
            ended = value(katana_server) if inspect.signature(value).parameters else value()
            if inspect.iscoroutine(ended):
                asyncio.run(ended)
