"""Framework x how the client leaves x when x what is between: all of it against one server.

``run_table`` is the one list of cases. The test runs it against this server; as a program this
file runs it against this server and uvicorn and writes docs/reference/leaving-clients.md.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import socket
import ssl
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

FIRST = {"before": "slow", "busy": "busy", "silent": "silent", "after": "done"}
"""When the client leaves, and the handler that it asks for."""

HOW = ("FIN", "RST", "half")

ENOUGH = 8.0 * float(os.environ.get("TEST_PATIENCE") or 1)
"""Seconds after which a handler counts as never ended; as a program this is without tests/."""

AT_ONCE = 60
"""Cases under way at a time."""


class Case(NamedTuple):
    """One line of the table."""

    framework: str
    when: str
    how: str
    between: str


class Result(NamedTuple):
    """How the handler ended, after how many seconds, and what a half-closed client got."""

    end: str
    seconds: float
    got: str


def cases(frameworks, between):
    """All of them; a half-closed connection exists only where nothing is between."""
    for framework, when, how, each in itertools.product(frameworks, FIRST, HOW, between):
        if how != "half" or each == "plain":
            yield Case(framework, when, how, each)


class Marks:
    """What the applications write, as it comes."""

    def __init__(self, text) -> None:
        self._text = text

    async def wait(self, number, what) -> str:
        """Wait for a mark of one case; ``never`` after a while."""
        end = time.monotonic() + ENOUGH
        while time.monotonic() < end:
            match = re.search(rf"^MARK {number} ({what})$", self._text(), re.MULTILINE)
            if match is not None:
                return match[1]
            await asyncio.sleep(0.05)
        return "never"


async def leave(reader, writer, how) -> None:
    """Go, in one of the ways there are."""
    if how == "half":
        writer.write_eof()
        return
    if how == "RST":
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()
    with suppress(OSError, ssl.SSLError):
        await asyncio.wait_for(writer.wait_closed(), 2)


async def gets(reader, when) -> str:
    """What a client that has half-closed still gets."""
    data = b""
    with suppress(OSError, asyncio.TimeoutError):
        async with asyncio.timeout(1.2):
            while piece := await reader.read(65536):
                data += piece
            return (
                "its answer" if data.endswith(b"answer") or b"answer\r\n0\r\n" in data else "an end"
            )
    return "what is sent" if when == "silent" or data.count(b"piece") > 10 else "nothing"


async def run_case(case, number, port, trust, marks) -> Result:
    """One client."""
    tls = trust if case.between == "TLS" else None
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname="localhost" if tls else None
    )
    target = f"/{case.framework}/{FIRST[case.when]}/{number}"
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    if case.when == "before":
        await marks.wait(number, "began")
    else:
        expected = b"answer" if case.when == "after" else b"piece"
        try:
            await asyncio.wait_for(reader.readuntil(expected), ENOUGH)
        except (OSError, EOFError, TimeoutError) as error:
            writer.close()
            return Result(f"no answer: {error!r}", 0.0, "")
    begin = time.monotonic()
    await leave(reader, writer, case.how)
    got = ""
    if case.how == "half":
        got = await gets(reader, case.when) if case.when != "after" else ""
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        begin = time.monotonic()
    end = await marks.wait(number, "whole|cancelled|closed")
    return Result(end, max(0.0, time.monotonic() - begin), got)


async def run_table(frameworks, ports, trust, text) -> dict[Case, Result]:
    """Every case against the server at these ports, by what is between; ``text`` is its output."""
    gate = asyncio.Semaphore(AT_ONCE)
    marks = Marks(text)
    numbers = itertools.count(1)

    async def one(case):
        async with gate:
            return await run_case(case, next(numbers), ports[case.between], trust, marks)

    table = list(cases(frameworks, ports))
    return dict(zip(table, await asyncio.gather(*map(one, table)), strict=True))


NGINX = """
events {{ worker_connections 512; }}
http {{
    access_log off;
    upstream app {{ server 127.0.0.1:{behind} max_fails=0; keepalive 8; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""

COMMANDS = {
    "katana-asgi": (sys.executable, "-m", "katana_asgi", "leaving_apps:app"),
    "uvicorn": (sys.executable, "-m", "uvicorn", "leaving_apps:app"),
}

TITLES = {
    "before": "before the response",
    "busy": "in a busy stream",
    "silent": "in a silent stream",
    "after": "after the answer",
}

NAMES = {
    "raw": "plain ASGI that never listens",
    "starlette": "Starlette",
    "layered": "Starlette, five `BaseHTTPMiddleware`",
    "fastapi": "FastAPI, `Depends` with yield",
    "sse": "sse-starlette",
    "django": "Django",
    "litestar": "Litestar",
    "quart": "Quart",
    "a2wsgi": "WSGI through a2wsgi",
}

PAGE = ROOT / "docs" / "reference" / "leaving-clients.md"

INTRODUCTION = """# Clients that leave

How the handlers of real frameworks end when their client leaves, here and on uvicorn {version}.
`python tests/leaving/leaving_table.py` makes the table.
`test_table` in `test_leaving_table.py` runs the same cases with every test run, over TLS and behind
nginx too.

- A handler that had not begun its response is left to finish ("whole"), unless its framework
  cancels it.
- A stream is "cancelled" (`CancelledError`) or "closed" (its generator is closed, or comes to its
  end by itself).
- "Leaves" is an ordinary close (FIN) or a reset (RST); where they differ, both are named.
- "Half-closes" is a client that ends its sending side, reads on for about a second and then leaves;
  the parentheses say what it got.
- Seconds are from the client's leaving to the end of the handler's `finally`.
  `--timeout-disconnect` was one second; it is for streams that never listen for the disconnect.
- The generators of WSGI run in threads, which nothing can cancel; those here end by themselves
  after about a second.

| application | when | leaves | half-closes | uvicorn: leaves | uvicorn: half-closes |
| --- | --- | --- | --- | --- | --- |
"""


def described(result) -> str:
    """A cell of the page."""
    if result.end.startswith("n"):
        return "**never**" if result.end == "never" else result.end
    got = f" (gets {result.got})" if result.got else ""
    seconds = "at once" if result.seconds < 0.75 else f"{result.seconds:.0f} s"
    return f"{result.end}, {seconds}{got}"


def main() -> None:
    """Run the table against both servers and write the page."""
    from importlib.metadata import version

    from leaving_apps import INSTALLED

    from tests.ports import free_port
    from tests.support import ServerProcess

    found = {}
    for name, command in COMMANDS.items():
        port = free_port()
        flags = ("--timeout-disconnect", "1s") if name == "katana-asgi" else ()
        arguments = ("--port", str(port), *flags)
        with ServerProcess(*arguments, cwd=HERE, command=command, port=False) as server:
            server.wait_for("Listening on|Uvicorn running")
            ports = {"plain": port}
            run = run_table(INSTALLED, ports, None, lambda server=server: server.stderr)
            found[name] = asyncio.run(run)
    text = INTRODUCTION.format(version=version("uvicorn"))
    for framework, when in itertools.product(INSTALLED, FIRST):
        cells = [NAMES[framework], TITLES[when]]
        for results in found.values():
            ends = [described(results[Case(framework, when, how, "plain")]) for how in HOW]
            cells += [" / ".join(dict.fromkeys(ends[:2])), ends[2]]
        text += f"| {' | '.join(cells)} |\n"
    PAGE.write_text(text)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
