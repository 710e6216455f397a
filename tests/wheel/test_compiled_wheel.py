"""The wheel with a compiled request path: it can be built, and serves without its source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen
from zipfile import ZipFile

import pytest

from tests.support import ROOT, TIMEOUT, ServerProcess

COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]
HEADER = Path(sysconfig.get_path("include"), "Python.h")
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")

pytestmark = [
    *(
        pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed")
        for module in ("hatchling", "mypyc", "setuptools")
    ),
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason="there is no C compiler"),
    pytest.mark.skipif(not HEADER.exists(), reason="Python was installed without its C headers"),
]

APPLICATION = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"called " + scope["raw_path"]})
"""


def build(directory: Path, compiled: str) -> Path:
    """Make the wheel with the tools that are installed here."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target=wheel", f"--directory={directory}"],
        cwd=ROOT,
        env={**os.environ, "KATANA_ASGI_COMPILE": compiled},
        check=True,
    )
    (wheel,) = directory.glob("*.whl")
    return wheel


def test_a_wheel_is_pure_python_unless_asked_for_more(tmp_path) -> None:
    wheel = build(tmp_path, "")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not [name for name in ZipFile(wheel).namelist() if name.endswith(SUFFIX)]


@pytest.mark.timeout(900)
def test_a_compiled_wheel_serves_the_application_and_a_static_route(tmp_path) -> None:
    wheel = build(tmp_path, "1")
    assert not wheel.name.endswith("-any.whl")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    modules = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]
    extensions = {name.removesuffix(".py") + SUFFIX for name in modules}
    with ZipFile(wheel) as archive:
        assert {*modules, *extensions} <= set(archive.namelist())
        archive.extractall(tmp_path / "site")

    (tmp_path / "main.py").write_text(APPLICATION)
    start = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); "
    start += "from katana_asgi.cli import main; main()"
    command = (sys.executable, "-I", "-c", start)  # neither this tree nor PYTHONPATH counts
    versions = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert " (compiled, " in versions.stdout
    arguments = ("main:app", "--static-route=/static=Hello")
    with ServerProcess(*arguments, cwd=tmp_path, command=command) as server:
        url = server.wait_listening()
        for path, content in (("/a", b"called /a"), ("/static", b"Hello")):
            with urlopen(url.rstrip("/") + path, timeout=TIMEOUT) as response:
                assert response.read() == content
        assert server.stop() == 0
    assert "Traceback" not in server.stderr
