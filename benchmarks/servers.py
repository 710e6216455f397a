"""How each server is started: katana-asgi, its peers, and the ceilings that nothing can beat.

One worker, uvloop where the server has a choice, 127.0.0.1, idle connections kept for 75 s where
it can be said. The access log is off for all or on for all. Who can honour the fields of a proxy
at 127.0.0.1 by a setting does; a note says who cannot.
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

__all__ = ["CEILINGS", "PEERS", "ROOT", "SERVERS", "Options", "Server"]

ROOT = Path(__file__).parent.parent
KATANA = "katana_asgi"
PURE_PYTHON = "PURE_PYTHON"
"""The variable that names the interpreter of an environment in which no compiler was."""

KEEP_ALIVE = "75"
PROXY = "127.0.0.1"
"""The address from which the fields of a proxy are trusted: the load generator's."""
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
    http2: bool = False


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


def pure(options: Options) -> list[str]:
    """Return the command of katana-asgi as it is without a compiler.

    It is not the one of this tree, which ``-I`` keeps out of its path; the application is.
    """
    command = katana(f"--app-dir={ROOT}")(options)
    return [os.environ[PURE_PYTHON], "-I", *command[1:]]


def lacks_pure() -> str | None:
    """Return why there is no such katana-asgi, or ``None``."""
    python = os.environ.get(PURE_PYTHON, "")
    if not python:
        return f"{PURE_PYTHON} names no interpreter that has a katana-asgi without native code"
    program = (
        f"import importlib.util, pathlib; "
        f"place = importlib.util.find_spec({KATANA!r}).submodule_search_locations[0]; "
        f"print(len([*pathlib.Path(place).rglob('*.so')]))"
    )
    try:
        done = subprocess.run(
            [python, "-I", "-c", program], capture_output=True, text=True, check=False
        )
    except OSError as error:
        return f"{PURE_PYTHON}: {error}"
    if done.returncode:
        return f"{python} has no katana-asgi"
    return None if done.stdout.strip() == "0" else f"the katana-asgi of {python} has native code"


def uvicorn(http: str, *flags: str) -> Callable[[Options], list[str]]:
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
            *flags,
        )

    return command


def granian(*, proxied: bool = False) -> Callable[[Options], list[str]]:
    """Return the command of granian; ``proxied`` wraps the application as granian's manual says."""

    def command(options: Options) -> list[str]:
        app = options.app
        if proxied:
            app = f"benchmarks.apps.behind_proxy:{app.split('.')[-1].split(':')[0]}"
        return module(
            "granian",
            app,
            "--interface=asgi",
            "--loop=uvloop",
            f"--http={2 if options.http2 else 1}",
            "--host=127.0.0.1",
            f"--port={options.port}",
            f"--workers={options.workers}",
            "--access-log" if options.access_log else "--no-access-log",
        )

    return command


def peregrine(options: Options) -> list[str]:
    """Return the command of peregrine."""
    settings = {
        "host": "127.0.0.1",
        "port": options.port,
        "protocol": "asgi",
        "workers": options.workers,
        "keep-alive": f"{KEEP_ALIVE}000",
        "max-connections": 20_000,
        "max-body": 1 << 26,
        "forwarded-allow-ips": PROXY,
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    log = ["--access-log"] if options.access_log else []
    return module("peregrine", *words, *log, options.app)


def h2corn(options: Options) -> list[str]:
    """Return the command of h2corn."""
    return module(
        "h2corn",
        f"--bind=127.0.0.1:{options.port}",
        f"--workers={options.workers}",
        "--loop=uvloop",
        f"--timeout-keep-alive={KEEP_ALIVE}",
        "--proxy-headers",
        f"--forwarded-allow-ips={PROXY}",
        "--access-log" if options.access_log else "--no-access-log",
        options.app,
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
        name="katana-pure",
        command=pure,
        lacks=lacks_pure,
        note=f"as it is installed where there is no compiler: the interpreter in {PURE_PYTHON}",
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
        name="katana-request-ids",
        command=katana("--request-id=trust"),
        needs=(KATANA,),
        package="katana-asgi",
        note="the X-Request-ID of the proxy is kept and sent back",
    ),
    Server(
        name="katana-httptools",
        command=katana("--http=httptools"),
        needs=(KATANA, "httptools"),
        package="katana-asgi",
        note="the parser httptools",
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
        name="uvicorn-zttp-h2",
        command=uvicorn("zttp", "--http2"),
        needs=("uvicorn", "zttp"),
        package="uvicorn",
        note="zttp with HTTP/2",
    ),
    Server(
        name="granian",
        command=granian(),
        needs=("granian",),
        package="granian",
        note="threads of its own besides the event loop's: compare CPU per request; has no "
        "setting for the fields of a proxy and leaves them to the application",
    ),
    Server(
        name="granian-proxied",
        command=granian(proxied=True),
        needs=("granian",),
        package="granian",
        note="the application wrapped in granian.utils.proxies, which reads the fields of a proxy",
    ),
    Server(
        name="peregrine",
        command=peregrine,
        needs=("peregrine",),
        package="peregrine-server",
        note="its own event loop and transport in Swift, in one process with the application",
    ),
    Server(
        name="h2corn",
        command=h2corn,
        needs=("h2corn",),
        package="h2corn",
        note="threads of its own besides the event loop's: compare CPU per request",
    ),
    Server(
        name="hypercorn",
        command=hypercorn,
        needs=("hypercorn",),
        package="hypercorn",
        note="leaves the fields of a proxy to the application",
    ),
    Server(name="gunicorn", command=gunicorn, needs=("gunicorn",), package="gunicorn"),
    Server(
        name="fastpysgi",
        command=launched("fastpysgi"),
        needs=("fastpysgi",),
        package="fastpysgi",
        logs=False,
        polls=True,
        note="a busy core while idle, so stopped between its turns; own libuv; no access log; "
        "knows nothing of the fields of a proxy",
    ),
    Server(
        name="freastal",
        command=launched("freastal"),
        needs=("freastal",),
        package="freastal",
        logs=False,
        note="its own libuv, not uvloop; no access log; knows nothing of the fields of a proxy",
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
    "fastpysgi",
    "peregrine",
    "h2corn",
    "hypercorn",
    "gunicorn",
    "freastal",
)
