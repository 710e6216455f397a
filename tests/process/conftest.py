"""Applications in files, for servers in processes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAIN = """
import asyncio, os, sys, time

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        print("startup", file=sys.stderr)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("shutdown", file=sys.stderr)
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = b""
    if scope["path"] == "/pid":
        body = b"%d" % os.getpid()
    elif scope["path"] == "/thread":
        print("in a thread", file=sys.stderr)
        await asyncio.to_thread(time.sleep, 3600)
    elif scope["path"] == "/stubborn":
        print("stubborn", file=sys.stderr)
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass
    else:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            print("received", file=sys.stderr)
            body += message["body"]
            more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})

def make():
    return app

def fail_to_make():
    raise LookupError("in the factory")

async def no_lifespan(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError("only http")
    await app(scope, receive, send)

async def failed(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the module ``main``."""
    (tmp_path / "main.py").write_text(MAIN)
    return tmp_path


@pytest.fixture
def module(tmp_path: Path) -> Callable[[str], Path]:
    """Write a module ``main`` of these lines; returns its directory."""

    def write(source: str) -> Path:
        (tmp_path / "main.py").write_text(source)
        return tmp_path

    return write
