"""Files and stored responses: CPU time of a request, beside servers that send files, too.

``python -m benchmarks.files`` serves one directory with each server in turn (katana-asgi, nginx
with sendfile, granian, peregrine, Starlette on uvicorn), asks for files of three sizes over one
keep-alive connection, and prints microseconds of CPU per request. The rows ``stored`` and
``route`` are a hit of the response cache and a static route of 1 KiB, for the ratio of the two.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from benchmarks.deployment import free_port
from benchmarks.processes import usage

SIZES = {"1k": 1024, "64k": 65536, "100m": 100 << 20}
SHARE = {"1k": 1.0, "64k": 0.25, "100m": 0.001}
"""Of the requests asked for, by what one costs."""

WAIT = 10.0
FIELDS = "Host: 127.0.0.1\r\nUser-Agent: benchmark\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n"

APPLICATION = """
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

async def stored(request):
    return Response(b"x" * 1024, headers={{"cache-control": "public, max-age=3600"}})

app = Starlette(routes=[
    Route("/stored", stored),
    Mount("/files", StaticFiles(directory={directory!r})),
])
"""

NGINX = """
daemon off; worker_processes 1; pid {scratch}/nginx.pid; error_log stderr;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {scratch}; proxy_temp_path {scratch};
  fastcgi_temp_path {scratch}; uwsgi_temp_path {scratch}; scgi_temp_path {scratch};
  sendfile on; tcp_nopush on; open_file_cache max=100; keepalive_requests 1000000000;
  server {{ listen 127.0.0.1:{port}; location /files/ {{ alias {directory}/; }} }}
}}
"""


def commands(scratch: Path, directory: Path, port: int) -> dict[str, list[str]]:
    """How each server is started that is installed here."""
    (scratch / "filesapp.py").write_text(APPLICATION.format(directory=str(directory)))
    (scratch / "nginx.conf").write_text(
        NGINX.format(scratch=scratch, directory=directory, port=port)
    )
    python = (sys.executable, "-m")
    address = ("--host", "127.0.0.1", "--port", str(port))
    route = "/route=" + "x" * 1024
    mount = f"/files={directory}"
    found = {
        "katana": [
            *(*python, "katana_asgi", "filesapp:app", "--port", str(port), "--no-access-log"),
            *("--static-dir", mount, "--cache", "16MiB", "--static-route", route),
        ],
        "uvicorn": [*python, "uvicorn", "filesapp:app", *address, "--no-access-log"],
        "granian": [
            *(*python, "granian", "filesapp:app", "--interface=asgi", *address, "--workers=1"),
            *("--static-path-route=/files", f"--static-path-mount={directory}"),
        ],
        "peregrine": [
            *(*python, "peregrine", *address, "--protocol", "asgi", "--workers", "1"),
            *("--static-dir", mount, "filesapp:app"),
        ],
        "nginx": ["nginx", "-c", str(scratch / "nginx.conf"), "-p", str(scratch)],
    }
    return {name: line for name, line in found.items() if installed(line)}


def installed(line: list[str]) -> bool:
    """Whether the program or the module of a command is here."""
    if line[1] == "-m":
        return find_spec(line[2]) is not None
    return shutil.which(line[0]) is not None


def connected(port: int) -> socket.socket:
    """A connection, as soon as the server accepts."""
    deadline = time.monotonic() + WAIT
    while True:
        try:
            sock = socket.create_connection(("127.0.0.1", port), WAIT)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock


def asker(sock: socket.socket, path: str, size: int) -> Callable[[int], None]:
    """What sends a request, no two the same, and reads ``size`` bytes behind the head."""
    buffer = bytearray(1 << 20)
    beginning = f"GET {path} HTTP/1.1\r\n{FIELDS}X-Number: "

    def ask(number: int) -> None:
        sock.sendall(f"{beginning}{number}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            data = sock.recv(65536)
            if not data:
                raise ConnectionError("the server closed")
            head += data
        if not head.startswith(b"HTTP/1.1 200"):
            raise ValueError(head[:80])
        left = size - len(head.partition(b"\r\n\r\n")[2])
        chunked = b"chunked" in head.lower()
        while left > 0 or (chunked and not head.endswith(b"0\r\n\r\n")):
            count = sock.recv_into(buffer)
            if not count:
                raise ConnectionError("the server closed")
            left -= count
            head = bytes(buffer[max(0, count - 5) : count])

    return ask


def measure(
    line: list[str], scratch: Path, port: int, rows: dict[str, tuple[str, int, int]]
) -> dict[str, float]:
    """Microseconds of CPU per request in each row; a row that fails is left out."""
    process = subprocess.Popen(
        line, cwd=scratch, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    found = {}
    try:
        for name, (path, size, count) in rows.items():
            with suppress(OSError, ValueError), connected(port) as sock:
                ask = asker(sock, path, size)
                for number in range(max(3, count // 20)):
                    ask(-number)
                before = usage(process.pid).cpu_seconds
                for number in range(count):
                    ask(number)
                found[name] = (usage(process.pid).cpu_seconds - before) / count * 1e6
    finally:
        process.terminate()
        process.wait(WAIT)
    return found


def main() -> None:
    """Measure all servers in turns and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="of 1 KiB in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--servers", default="katana,nginx,granian,peregrine,uvicorn")
    options = parser.parse_args()
    results: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as place:
        scratch, directory = Path(place), Path(place) / "files"
        directory.mkdir()
        rows = {}
        for name, size in SIZES.items():
            (directory / f"{name}.bin").write_bytes(os.urandom(size))
            os.utime(directory / f"{name}.bin", (1e9, 1e9))
            rows[name] = (f"/files/{name}.bin", size, max(5, int(options.requests * SHARE[name])))
        for name in ("stored", "route"):
            rows[name] = (f"/{name}", 1024, options.requests)
        time.sleep(2.1)  # a file that has just changed is not kept in memory
        for _ in range(options.rounds):
            for server in options.servers.split(","):
                port = free_port()
                line = commands(scratch, directory, port).get(server)
                if line is None:
                    continue
                for row, value in measure(line, scratch, port, rows).items():
                    results.setdefault(server, {}).setdefault(row, []).append(value)
    print(f"{'':10}" + "".join(f"{row:>12}" for row in rows))
    for server, found in results.items():
        cells = [f"{statistics.median(found[row]):.1f}" if row in found else "-" for row in rows]
        print(f"{server:10}" + "".join(f"{cell:>12}" for cell in cells))


if __name__ == "__main__":
    main()
