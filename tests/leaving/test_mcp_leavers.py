"""The streams of an MCP server whose clients leave: no error, no connection that stays."""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct

import pytest
from test_leaving_table import wait_for_no_connection

from tests.support import TIMEOUT, ServerProcess

pytest.importorskip("mcp.server.mcpserver")

MAIN = """
import asyncio
from mcp.server.mcpserver import MCPServer

server = MCPServer("leaving")

@server.tool()
async def wait() -> str:
    await asyncio.sleep(60)
    return "waited"

app = server.streamable_http_app(host="127.0.0.1")
"""

COMMON = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
}

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "leaver", "version": "1"},
    },
}

READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}

CALL = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "tools/call",
    "params": {"name": "wait", "arguments": {}},
}


def ask(port, method, message, session=""):
    """Send a request; gives the socket and the response, whose stream is not read yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    fields = {**COMMON, **({"Mcp-Session-Id": session} if session else {})}
    connection.request(method, "/mcp", json.dumps(message) if message else None, fields)
    sock = connection.sock  # the connection lets go of it where the response closes
    return sock, connection.getresponse()


def leave(sock, response, how):
    if how == "RST":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    response.close()
    sock.close()


def test_leavers_of_mcp_streams_leave_nothing_behind(tmp_path):
    (tmp_path / "main.py").write_text(MAIN)
    with ServerProcess("main:app", cwd=tmp_path) as server:
        port = int(server.wait_listening().rpartition(":")[2])
        for how in ("FIN", "RST"):
            sock, response = ask(port, "POST", HELLO)
            assert response.status == 200
            session = response.headers["Mcp-Session-Id"]
            response.read()
            sock.close()
            sock, response = ask(port, "POST", READY, session)
            assert response.status == 202
            response.read()
            sock.close()
            for method, message in (("POST", CALL), ("GET", None)):
                sock, response = ask(port, method, message, session)
                assert response.status == 200
                leave(sock, response, how)
        assert wait_for_no_connection(server.process.pid) == []
        sock, response = ask(port, "POST", HELLO)
        assert response.status == 200
        sock.close()
        assert server.stop() == 0
        assert not re.search("ERROR|Traceback", server.stderr), server.stderr
        assert '" 500 ' not in server.stdout
