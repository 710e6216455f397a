"""Wheels with and without the C functions can be built, installed, and serve without the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen
from zipfile import ZipFile

import pytest

from tests.support import ROOT, TIMEOUT, ServerProcess

COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]
HEADER = Path(sysconfig.get_path("include"), "Python.h")
EXTENSION = f"katana_asgi/codec/_native{sysconfig.get_config_var('EXT_SUFFIX')}"

pytestmark = [
    *(
        pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed")
        for module in ("hatchling", "setuptools")
    ),
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason="there is no C compiler"),
    pytest.mark.skipif(not HEADER.exists(), reason="Python was installed without its C headers"),
]

APPLICATION = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": b"called " + scope["raw_path"]})
"""


def build(directory: Path, target: str = "wheel", **environment: str) -> Path:
    """Make a wheel, or the archive of sources, with the tools that are installed here."""
    command = [sys.executable, "-m", "hatchling", "build", f"--target={target}"]
    subprocess.run(
        [*command, f"--directory={directory}"],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=True,
    )
    (built,) = directory.iterdir()
    return built


def serve_one_request(command: tuple[str, ...], directory: Path, codec: str) -> None:
    """Start the server, ask it once, and stop it; ``--version`` says which codec it has."""
    versions = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert f", codec {codec}, " in versions.stdout
    (directory / "main.py").write_text(APPLICATION)
    with ServerProcess("main:app", cwd=directory, command=command) as server:
        with urlopen(server.wait_listening().rstrip("/") + "/a", timeout=TIMEOUT) as response:
            assert response.read() == b"called /a"
        assert server.stop() == 0
    assert "Traceback" not in server.stderr


def test_a_wheel_has_the_c_functions_and_says_for_whom(tmp_path: Path) -> None:
    wheel = build(tmp_path / "dist", KATANA_ASGI_NATIVE="1", CFLAGS="-O0")  # in less time
    assert wheel.name.split("-")[2].startswith("cp")
    assert not wheel.name.endswith("-any.whl")
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        assert EXTENSION in names
        assert not [name for name in names if name.endswith((".c", ".h"))]
        archive.extractall(tmp_path / "site")
    # Neither this tree nor PYTHONPATH counts.
    start = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); "
    start += "from katana_asgi.cli import main; main()"
    serve_one_request((sys.executable, "-I", "-c", start), tmp_path, "native")


def test_a_wheel_without_them_is_for_every_machine(tmp_path: Path) -> None:
    wheel = build(tmp_path, KATANA_ASGI_NATIVE="0")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not [name for name in ZipFile(wheel).namelist() if name.endswith((".so", ".c"))]


def test_the_sources_that_are_released_can_be_compiled(tmp_path: Path) -> None:
    with tarfile.open(build(tmp_path, "sdist")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    sources = {
        path.relative_to(ROOT).as_posix()
        for pattern in ("*.c", "*.h")
        for path in (ROOT / "katana_asgi" / "codec").glob(pattern)
    }
    assert sources | {"hatch_build.py"} <= names
    assert not [name for name in names if name.endswith(".so")]


def test_what_was_asked_for_and_cannot_be_built_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        build(tmp_path, CC="false", KATANA_ASGI_NATIVE="1")


def test_without_a_compiler_the_install_works_in_python(tmp_path: Path) -> None:
    """As ``CC=false pip install .`` would, but with the libraries that are installed here."""
    venv.create(tmp_path / "venv")
    python = str(tmp_path / "venv" / "bin" / "python")
    (site,) = (tmp_path / "venv" / "lib").glob("*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps"]
    command += ["--no-build-isolation", "--no-index"]
    installed = subprocess.run(
        [*command, "--verbose", str(ROOT)],
        env={**os.environ, "CC": "false"},
        capture_output=True,
        text=True,
    )
    assert installed.returncode == 0, installed.stderr
    assert "is built without its C functions" in installed.stdout + installed.stderr
    assert (site / "katana_asgi").is_dir()
    serve_one_request((python, "-I", "-m", "katana_asgi"), tmp_path, "python")
