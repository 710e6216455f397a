"""How each server is started: katana-asgi, its peers, and the ceilings that nothing can beat.

One worker, uvloop where the server has a choice, 127.0.0.1, idle connections kept for 75 s. The
access log is off for all or on for all.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CEILINGS", "PEERS", "SERVERS", "Options", "Server"]

KATANA = "katana_asgi"
COMPILED_PYTHON = "COMPILED_PYTHON"
"""The variable that names the interpreter of an environment with a compiled katana-asgi."""

KEEP_ALIVE = "75"
GREETING = "Hello, World!"

NGINX = """
daemon off; worker_processes {workers}; pid {directory}/nginx.pid; error_log stderr;
worker_rlimit_nofile 20000; events {{ worker_connections 16384; }}
http {{
  access_log {log}; client_body_temp_path {directory}; proxy_temp_path {directory};
  fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
  default_type text/plain; keepalive_requests 1000000000; keepalive_timeout 75s;
  server {{ listen 127.0.0.1:{port} backlog=2048; location / {{ return 200 "{greeting}"; }} }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a deployment asks of a server; ``directory`` is scratch space of its own."""

    app: str
    port: int
    workers: int
    access_log: bool
    directory: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that can take part.

    ``needs`` are modules (or, for a program, its name) without which it is skipped. A server
    with ``runs_apps`` false always answers the greeting. ``lacks`` says what else is not here, or
    ``None``. ``logs`` says that it has an access
    log, ``scales`` that it has workers, ``polls`` that it is busy while idle, so that it must not
    run in the turns of others; ``note`` is what a reader of its figures must know.
    """

    name: str
    command: Callable[[Options], list[str]]
    needs: tuple[str, ...] = ()
    program: str = ""
    lacks: Callable[[], str | None] = lambda: None
    package: str = ""
    runs_apps: bool = True
    logs: bool = True
    scales: bool = True
    polls: bool = False
    note: str = ""

    def missing(self) -> str | None:
        """Return why the server cannot take part here, or ``None``."""
        if self.program and shutil.which(self.program) is None:
            return f"the program {self.program} is not installed"
        for module in self.needs:
            if importlib.util.find_spec(module) is None:
                return f"the package {module} is not installed"
        return self.lacks()


def module(*arguments: str) -> list[str]:
    """Return the command that runs a module with the suite's own interpreter."""
    return [sys.executable, "-m", *arguments]


def katana(*flags: str, log: bool | None = None) -> Callable[[Options], list[str]]:
    """Return the command of katana-asgi with further flags; ``log`` overrules the options."""

    def command(options: Options) -> list[str]:
        access = options.access_log if log is None else log
        return module(
            KATANA,
            options.app,
            f"--port={options.port}",
            f"--workers={options.workers}",
            f"--timeout-keep-alive={KEEP_ALIVE}",
            "--access-log" if access else "--no-access-log",
            *flags,
        )

    return command


def compiled(options: Options) -> list[str]:
    """Return the command of the compiled katana-asgi: not the one of this tree, hence ``-I``."""
    return [os.environ[COMPILED_PYTHON], "-I", *katana()(options)[1:]]


def lacks_compiled() -> str | None:
    """Return why there is no compiled katana-asgi, or ``None``."""
    python = os.environ.get(COMPILED_PYTHON, "")
    if not python:
        return f"{COMPILED_PYTHON} names no interpreter that has a compiled katana-asgi"
    command = [python, "-I", "-m", KATANA, "--version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{COMPILED_PYTHON}: {error}"
    return None if "(compiled, " in done.stdout else f"{python} has no compiled katana-asgi"


def uvicorn(http: str) -> Callable[[Options], list[str]]:
    """Return the command of uvicorn with one of its HTTP implementations."""

    def command(options: Options) -> list[str]:
        return module(
            "uvicorn",
            options.app,
            f"--port={options.port}",
            f"--workers={options.workers}",
            f"--http={http}",
            "--loop=uvloop",
            f"--timeout-keep-alive={KEEP_ALIVE}",
            "--access-log" if options.access_log else "--no-access-log",
        )

    return command


def granian(options: Options) -> list[str]:
    """Return the command of granian."""
    return module(
        "granian",
        options.app,
        "--interface=asgi",
        "--loop=uvloop",
        "--http=1",
        "--host=127.0.0.1",
        f"--port={options.port}",
        f"--workers={options.workers}",
        "--access-log" if options.access_log else "--no-access-log",
    )


def hypercorn(options: Options) -> list[str]:
    """Return the command of hypercorn."""
    return module(
        "hypercorn",
        options.app,
        f"--bind=127.0.0.1:{options.port}",
        f"--workers={options.workers}",
        "--worker-class=uvloop",
        f"--keep-alive={KEEP_ALIVE}",
        *(["--access-logfile=-"] if options.access_log else []),
    )


def gunicorn(options: Options) -> list[str]:
    """Return the command of gunicorn with its own ASGI worker."""
    return module(
        "gunicorn",
        options.app,
        f"--bind=127.0.0.1:{options.port}",
        f"--workers={options.workers}",
        "--worker-class=asgi",
        "--asgi-loop=uvloop",
        f"--keep-alive={KEEP_ALIVE}",
        *(["--access-logfile=-"] if options.access_log else []),
    )


def launched(name: str) -> Callable[[Options], list[str]]:
    """Return the command of a server that is started from code."""

    def command(options: Options) -> list[str]:
        port, workers = f"--port={options.port}", f"--workers={options.workers}"
        return module("benchmarks.launch", name, options.app, port, workers)

    return command


def ceiling(protocol: str) -> Callable[[Options], list[str]]:
    """Return the command of a bare protocol."""

    def command(options: Options) -> list[str]:
        return module("benchmarks.ceilings", protocol, f"--port={options.port}")

    return command


def nginx(options: Options) -> list[str]:
    """Write a configuration and return the command of nginx."""
    path = options.directory / "nginx.conf"
    path.write_text(
        NGINX.format(
            workers=options.workers,
            directory=options.directory,
            port=options.port,
            greeting=GREETING,
            log="/dev/stdout" if options.access_log else "off",
        )
    )
    return ["nginx", "-c", str(path), "-p", str(options.directory)]


def bare(name: str, protocol: str, note: str) -> Server:
    """Return the definition of a bare protocol."""
    return Server(
        name=name,
        command=ceiling(protocol),
        needs=("uvloop",),
        runs_apps=False,
        logs=False,
        scales=False,
        note=note,
    )


STATIC = f"--static-route=/={GREETING}"

ALL = (
    Server(name="katana", command=katana(), needs=(KATANA,), package="katana-asgi"),
    Server(
        name="katana-compiled",
        command=compiled,
        lacks=lacks_compiled,
        note=f"the request path compiled, as installed where {COMPILED_PYTHON} says",
    ),
    Server(
        name="katana-static",
        command=katana(STATIC),
        needs=(KATANA,),
        package="katana-asgi",
        runs_apps=False,
        note="GET / is a static route: the application is never called",
    ),
    Server(
        name="katana-no-log",
        command=katana(log=False),
        needs=(KATANA,),
        package="katana-asgi",
        note="no access log, in rows where the others write one",
    ),
    Server(
        name="katana-metrics",
        command=katana("--statsd=127.0.0.1:9"),
        needs=(KATANA,),
        package="katana-asgi",
        note="metrics are counted, and pushed once a second to a port where nobody listens",
    ),
    Server(
        name="katana-json-log",
        command=katana("--access-log-format=json"),
        needs=(KATANA,),
        package="katana-asgi",
        note="the access log as JSON, in rows where the others write their usual line",
    ),
    Server(
        name="katana-no-memo",
        command=katana("--no-memo"),
        needs=(KATANA,),
        package="katana-asgi",
        note="every request is parsed: the request memo is off",
    ),
    Server(
        name="katana-h11",
        command=katana("--http=h11"),
        needs=(KATANA, "h11"),
        package="katana-asgi",
        note="the strict parser",
    ),
    Server(
        name="uvicorn",
        command=uvicorn("httptools"),
        needs=("uvicorn", "httptools"),
        package="uvicorn",
        note="httptools",
    ),
    Server(
        name="uvicorn-zttp",
        command=uvicorn("zttp"),
        needs=("uvicorn", "zttp"),
        package="uvicorn",
        note="zttp",
    ),
    Server(
        name="granian",
        command=granian,
        needs=("granian",),
        package="granian",
        note="threads of its own besides the event loop's: compare CPU per request",
    ),
    Server(name="hypercorn", command=hypercorn, needs=("hypercorn",), package="hypercorn"),
    Server(name="gunicorn", command=gunicorn, needs=("gunicorn",), package="gunicorn"),
    Server(
        name="fastpysgi",
        command=launched("fastpysgi"),
        needs=("fastpysgi",),
        package="fastpysgi",
        logs=False,
        polls=True,
        note="a busy core while idle, so stopped between its turns; own libuv; no access log",
    ),
    Server(
        name="freastal",
        command=launched("freastal"),
        needs=("freastal",),
        package="freastal",
        logs=False,
        note="its own libuv, not uvloop; no access log",
    ),
    Server(
        name="nginx",
        command=nginx,
        program="nginx",
        runs_apps=False,
        note="return 200: no application",
    ),
    bare("bare", "fixed", "a uvloop protocol that answers any read with the same bytes"),
    bare("bare-each", "each", "a uvloop protocol with one write for each request"),
    bare("bare-close", "closing", "a uvloop protocol that answers and closes"),
)

SERVERS: dict[str, Server] = {server.name: server for server in ALL}
CEILINGS = ("nginx", "bare", "bare-each", "bare-close")
PEERS = (
    "uvicorn",
    "uvicorn-zttp",
    "granian",
    "hypercorn",
    "gunicorn",
    "fastpysgi",
    "freastal",
)
