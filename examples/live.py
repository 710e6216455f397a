"""A live page: what one visitor writes, all others read at once, and everybody sees who is there.

Lines go both ways over a WebSocket; the numbers come as server-sent events. One page, one file,
no framework and no build step. All visitors are in one process, so one worker::

    katana-asgi examples.live:app
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from katana_asgi.asgi_types import Receive, Scope, Send

MAX_LINE: Final = 500
"""Characters of a line: a page that others read must not be filled by one of them."""

LINES_KEPT: Final = 20

STREAM_TIME: Final = 10.0
"""Seconds of one event stream. A browser comes back for the next; a stopping server waits less."""

PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>katana-asgi live</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; }
  body { font: 1rem/1.6 system-ui, sans-serif; }
  body { max-width: 38rem; margin: 3rem auto; padding: 0 1rem; }
  h1 { font-weight: 600; margin-bottom: 0; }
  output { font-family: ui-monospace, monospace; }
  ol { list-style: none; padding: 0; min-height: 12rem; overflow-wrap: anywhere; }
  form { display: flex; gap: .5rem; }
  input { flex: 1; font: inherit; padding: .3rem .5rem; }
</style>
</head>
<body>
<h1>Live</h1>
<p>Open this page twice. WebSocket: <output id="socket">connecting</output>,
present: <output id="present">?</output>, lines so far: <output id="count">?</output>.</p>
<ol id="lines"></ol>
<form id="form"><input id="line" maxlength="500" autocomplete="off" autofocus
  aria-label="A line for everybody"><button>Send</button></form>
<script>
  const show = (id, text) => { document.getElementById(id).textContent = text; };
  const lines = document.getElementById("lines");
  let socket, open = false, delay = 200;

  function connect() {
    socket = new WebSocket(`ws${location.protocol.slice(4)}//${location.host}/socket`);
    socket.onopen = () => {
      open = true;
      delay = 200;
      lines.replaceChildren();
      show("socket", "open");
    };
    socket.onmessage = (event) => {
      const item = document.createElement("li");
      item.textContent = JSON.parse(event.data).line;
      lines.append(item);
      while (lines.children.length > 20) lines.firstChild.remove();
    };
    socket.onclose = (event) => {
      if (open) show("socket", `closed (${event.code})`);
      open = false;
      setTimeout(connect, delay);
      delay = Math.min(delay * 2, 10000);
    };
  }
  connect();

  const events = new EventSource("/events");
  events.addEventListener("numbers", (event) => {
    const numbers = JSON.parse(event.data);
    show("present", numbers.present);
    show("count", numbers.lines);
  });

  document.getElementById("form").onsubmit = (event) => {
    event.preventDefault();
    const field = document.getElementById("line");
    if (field.value && socket.readyState === WebSocket.OPEN) {
      socket.send(field.value);
      field.value = "";
    }
  };
</script>
</body>
</html>
"""


class Board:
    """What everybody sees: the last lines, and how many are present."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self.count = 0
        self.readers: set[asyncio.Queue[str]] = set()
        self._changed = asyncio.Event()

    def write(self, line: str) -> None:
        """A line for everybody."""
        self.lines.append(line)
        self.count += 1
        for reader in self.readers:
            reader.put_nowait(line)
        self.change()

    def change(self) -> None:
        """Wake everybody who waits for other numbers."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_changed(self) -> None:
        """Wait until a number is another."""
        await self._changed.wait()


board = Board()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Call the handler of the path."""
    if scope["type"] == "websocket" and scope["path"] == "/socket":
        await talk(receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close"})  # before accept: 403
    elif scope["type"] == "http":
        await HANDLERS.get(scope["path"], nothing)(receive, send)
    else:
        raise RuntimeError(f"no {scope['type']} here")  # no lifespan: nothing to prepare


async def talk(receive: Receive, send: Send) -> None:
    """One visitor: hear what is written while listening to what he writes."""
    await receive()
    await send({"type": "websocket.accept"})
    written: asyncio.Queue[str] = asyncio.Queue()
    for line in board.lines:
        written.put_nowait(line)
    board.readers.add(written)
    board.change()
    telling = asyncio.create_task(tell(written, send))
    try:
        while (message := await receive())["type"] == "websocket.receive":
            line = (message.get("text") or "").strip()[:MAX_LINE]
            if line:
                board.write(line)
    finally:
        board.readers.discard(written)
        telling.cancel()
        board.change()


async def tell(written: asyncio.Queue[str], send: Send) -> None:
    """Send one visitor every line; a slow one makes only this task wait."""
    try:
        while True:
            line = await written.get()
            await send({"type": "websocket.send", "text": json.dumps({"line": line})})
    except OSError:
        return  # the visitor has gone; receive() says so, too


async def events(_receive: Receive, send: Send) -> None:
    """The numbers, whenever one of them changes."""
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    try:
        async with asyncio.timeout(STREAM_TIME):
            while True:
                numbers = json.dumps({"present": len(board.readers), "lines": board.count})
                event = f"retry: 200\nevent: numbers\ndata: {numbers}\n\n".encode()
                await send({"type": "http.response.body", "body": event, "more_body": True})
                await board.wait_changed()
    except TimeoutError:
        await send({"type": "http.response.body", "body": b""})


async def page(_receive: Receive, send: Send) -> None:
    """The page in a browser."""
    await respond(send, 200, b"text/html; charset=utf-8", PAGE.encode())


async def nothing(_receive: Receive, send: Send) -> None:
    """Any other path."""
    await respond(send, 404, b"text/plain; charset=utf-8", b"There is nothing here.\n")


async def respond(send: Send, status: int, content_type: bytes, content: bytes) -> None:
    """Send a whole response."""
    headers = [(b"content-type", content_type)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


HANDLERS: Final[dict[str, Callable[[Receive, Send], Awaitable[None]]]] = {
    "/": page,
    "/events": events,
}
