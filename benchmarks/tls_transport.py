"""CPU time of one request over TLS, through the transports of uvloop, asyncio and aiofastnet.

``python -m benchmarks.tls_transport`` starts one server of each kind after the other, in
several rounds, loads it with wrk and reads the CPU time it took. docs/decisions/tls-transport.md
has the figures. Needs wrk, openssl and for the third kind ``pip install aiofastnet``.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROUNDS = 3
SECONDS = 3
CONNECTIONS = 64
KINDS = {
    "uvloop": ("uvloop", False),
    "uvloop, aiofastnet": ("uvloop", True),
    "asyncio": ("asyncio", False),
    "asyncio, aiofastnet": ("asyncio", True),
}
TARGETS = {"static": "/static", "ASGI": "/", "ASGI, 64 KiB": "/large"}
LARGE = bytes(64 * 1024)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer with a word, or with 64 KiB."""
    body = LARGE if scope["path"] == "/large" else b"Hello, World!"
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def serve(folder: str, loop: str, fast: str) -> None:
    """Serve in this process until it is ended."""
    from katana_asgi import StaticRoute, run
    from katana_asgi.net import tls, tls_listener, tls_prepared
    from katana_asgi.worker import doors

    class Plain(tls.Tls):
        """aiofastnet crashes where a name is looked at."""

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.context = self._certificates.default

    tls_prepared.Tls = Plain  # type: ignore[attr-defined] # for this process alone
    if fast == "True":
        import aiofastnet

        class Fast(tls_listener.Arrival):
            """Goes on with the transport that is compared."""

            async def _shake_hands(self) -> None:
                self._begun = True
                loop, context = asyncio.get_running_loop(), self._arrivals.context
                await aiofastnet.connect_accepted_socket(
                    loop, lambda: self, self._sock, ssl=context
                )

        doors.Arrival = Fast  # type: ignore[attr-defined] # to compare
    run(
        application,
        loop=loop,
        lifespan="off",
        access_log=False,
        port=0,
        static_route=[StaticRoute("/static", "Hello, World!")],
        ssl_certfile=f"{folder}/cert.pem",
        ssl_keyfile=f"{folder}/key.pem",
    )


def cpu_time(pid: int) -> float:
    """Seconds a process has computed, in its own code and in the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(folder: str, loop: str, fast: bool) -> dict[str, tuple[float, float]]:
    """Microseconds of CPU time for a request, and requests in a second, by target."""
    command = [sys.executable, "-m", "benchmarks.tls_transport", folder, loop, str(fast)]
    found = {}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        url = ""
        for line in server.stderr:
            if match := re.search(r"Listening on (\S+)", line):
                url = match[1]
                break
        for name, target in TARGETS.items():
            load = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", url + target]
            before = cpu_time(server.pid)
            said = subprocess.run(load, capture_output=True, text=True, check=True).stdout
            spent = cpu_time(server.pid) - before
            assert "Non-2xx" not in said
            match = re.search(r"(\d+) requests in ([\d.]+)", said)
            assert match is not None, said
            found[name] = 1e6 * spent / int(match[1]), int(match[1]) / float(match[2])
        server.terminate()
        server.stderr.read()
    return found


def main() -> None:
    """Measure all kinds, taking turns, and print the medians."""
    figures: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            (
                *(
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                ),
                *("-nodes", "-subj", "/CN=localhost", "-keyout", f"{folder}/key.pem"),
                *("-out", f"{folder}/cert.pem"),
            ),
            check=True,
            capture_output=True,
        )
        for _ in range(ROUNDS):
            for kind, (loop, fast) in KINDS.items():
                for target, figure in measure(folder, loop, fast).items():
                    figures.setdefault((kind, target), []).append(figure)
    for (kind, target), all_figures in figures.items():
        cpu = statistics.median(each[0] for each in all_figures)
        rate = statistics.median(each[1] for each in all_figures)
        low, high = min(all_figures)[0], max(all_figures)[0]
        print(f"{kind:20} {target:14} {cpu:7.1f} µs ({low:.1f} to {high:.1f}) {rate:8.0f} req/s")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        serve(*sys.argv[1:])
    else:
        main()
