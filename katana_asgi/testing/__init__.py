"""A server, and clients that see every byte, for tests of applications and of what speaks to them.

``running`` serves an application in the running event loop, ``ServerThread`` in a thread,
``MemoryServer`` without a socket. ``HttpPeer`` and ``WebSocketPeer`` are clients that check what
they read. ``MemoryTransport`` is a connection that misbehaves when told to, and on ``FakeTimeLoop``
time passes when told to. Needs no pytest; nothing else in the package imports it.
"""

from katana_asgi.testing.fake_time import FakeTimeLoop, turns
from katana_asgi.testing.http_peer import HttpPeer, Response
from katana_asgi.testing.memory import MemoryServer
from katana_asgi.testing.servers import Running, ServerThread, running
from katana_asgi.testing.transport import MemoryTransport
from katana_asgi.testing.websocket_peer import Frame, WebSocketPeer, masked, opening

__all__ = [
    "FakeTimeLoop",
    "Frame",
    "HttpPeer",
    "MemoryServer",
    "MemoryTransport",
    "Response",
    "Running",
    "ServerThread",
    "WebSocketPeer",
    "masked",
    "opening",
    "running",
    "turns",
]
