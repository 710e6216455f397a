"""Programs that start uvicorn themselves run on this server under ``katana-asgi exec`` (G10)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple
from urllib.error import HTTPError, URLError

import pytest

from tests.ports import free_port
from tests.support import ROOT, TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ASGI = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""

FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/')\ndef root(): return 'ok'\n"


class Door(NamedTuple):
    """A package, a program of it, and the command that serves it at ``{port}``."""

    library: str
    text: str
    command: str
    path: str = "/"


DOORS = {
    "uvicorn": Door("uvicorn", ASGI, "uvicorn main:app --port {port} --ws wsproto"),
    "python -m uvicorn": Door("uvicorn", ASGI, "python -m uvicorn main:app --port {port}"),
    "uvicorn.run": Door(
        "uvicorn",
        f"import os, uvicorn\n{ASGI}\nuvicorn.run(app, port=int(os.environ['PORT']))\n",
        "python main.py",
    ),
    "fastapi run": Door(
        "fastapi_cli", FASTAPI, "fastapi run main.py --host 127.0.0.1 --port {port}"
    ),
    "fastapi dev": Door("fastapi_cli", FASTAPI, "fastapi dev main.py --port {port}"),
    "litestar": Door(
        "litestar",
        "from litestar import Litestar, get\n@get('/')\nasync def root() -> str: return 'ok'\n"
        "app = Litestar([root])\n",
        "litestar --app main:app run --port {port}",
    ),
    "mcp": Door(
        "mcp.server.mcpserver",
        "import os\nfrom mcp.server.mcpserver import MCPServer\n"
        "MCPServer('x').run('streamable-http', port=int(os.environ['PORT']))\n",
        "python main.py",
        "/mcp",
    ),
    "fastmcp": Door(
        "fastmcp",
        "import os\nfrom fastmcp import FastMCP\n"
        "FastMCP('x').run(transport='http', port=int(os.environ['PORT']))\n",
        "python main.py",
        "/mcp",
    ),
    "nicegui": Door(
        "nicegui",
        "import os\nfrom nicegui import ui\nui.label('ok')\n"
        "ui.run(port=int(os.environ['PORT']), reload=False, show=False)\n",
        "python main.py",
    ),
    "datasette": Door("datasette", "", "datasette serve --memory --port {port}"),
    "shiny": Door(
        "shiny",
        "from shiny import App, ui\napp = App(ui.page_fluid('ok'), lambda i, o, s: None)\n",
        "shiny run main.py --port {port}",
    ),
    "marimo": Door(
        "marimo",
        "import marimo\napp = marimo.App()\n",
        "marimo run main.py --port {port} --headless --no-token",
    ),
    "fasthtml": Door(
        "fasthtml",
        "from fasthtml.common import *\napp, rt = fast_app()\n@rt('/')\n"
        "def get(): return Div('ok')\nserve()\n",
        "python main.py",
    ),
    "gradio": Door(
        "gradio",
        "import gradio, os\n"
        "gradio.Interface(str, 'text', 'text').launch(server_port=int(os.environ['PORT']))\n",
        "python main.py",
    ),
    "chainlit": Door(
        "chainlit",
        "import chainlit\n@chainlit.on_message\nasync def main(message): pass\n",
        "chainlit run main.py --headless --port {port}",
    ),
}


def is_installed(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except ModuleNotFoundError:
        return False


@contextmanager
def program(place: Path, command: str, port: int) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PORT": str(port), "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    environment["PATH"] = f"{os.path.dirname(sys.executable)}:{environment['PATH']}"
    for name in [name for name in environment if name.startswith("PYTEST")]:
        del environment[name]  # some packages behave differently in a test
    words = command.format(port=port).split()
    with subprocess.Popen(
        [sys.executable, "-m", "katana_asgi", "exec", *words],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def ask(process: subprocess.Popen[str], url: str) -> tuple[str, str]:
    """The server and the body, as soon as there are any."""
    deadline = time.monotonic() + 4 * TIMEOUT
    while True:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
                return response.headers["server"], response.read().decode()
        except HTTPError as error:
            with error:
                return error.headers["server"], error.read().decode()
        except (URLError, ConnectionError):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize("name", DOORS)
def test_a_program_that_starts_uvicorn_is_served_by_katana(name: str, tmp_path: Path) -> None:
    door = DOORS[name]
    if not is_installed(door.library):
        pytest.skip(f"{door.library} is not installed")
    (tmp_path / "main.py").write_text(door.text)
    port = free_port()
    with program(tmp_path, door.command, port) as process:
        server, body = ask(process, f"http://127.0.0.1:{port}{door.path}")
        assert server == "katana-asgi"
        assert body
        os.killpg(process.pid, signal.SIGINT)
        process.wait(3 * TIMEOUT)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "katana_asgi", "exec", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=6 * TIMEOUT,
    )


def test_modules_that_katana_has_not_come_from_uvicorn() -> None:
    pytest.importorskip("uvicorn")
    code = (
        "import uvicorn, uvicorn.config, uvicorn.middleware.proxy_headers as proxy\n"
        "from uvicorn.protocols.http.h11_impl import H11Protocol\n"
        "from uvicorn.supervisors import ChangeReload\n"
        "from uvicorn.supervisors.multiprocess import Multiprocess\n"
        "from uvicorn.main import Server\n"
        "assert Server is uvicorn.Server is uvicorn.server.Server\n"
        "print(uvicorn.__name__, proxy.__name__)"
    )
    ended = run("python", "-c", code)
    assert ended.stdout == "katana_asgi.uvicorn uvicorn.middleware.proxy_headers\n", ended.stderr


def test_the_status_and_the_arguments_of_the_program_are_its_own() -> None:
    ended = run("python", "-c", "import sys; print(sys.argv[1:]); sys.exit(7)", "--help", "-x")
    assert ended.returncode == 7
    assert ended.stdout == "['--help', '-x']\n"


def test_a_program_that_is_not_there_is_named() -> None:
    ended = run("no-such-program")
    assert ended.returncode == 2
    assert ended.stderr == "katana-asgi: error: program 'no-such-program' was not found\n"
