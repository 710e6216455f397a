"""``python -m tests.wheel.check_dist dist``: what is to be released installs and serves.

Each wheel and the sources go into an empty environment of their own, with the dependencies that
their metadata name, and answer one request there. It needs an index of packages, so it is part
of ``make dist`` and not of the tests.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tests.wheel.test_native_wheel import serve_one_request

__all__ = ["main"]


def check(path: Path) -> str:
    """Install a file into an empty environment and serve from it; returns the codec it has."""
    codec = "python" if path.name.endswith("-py3-none-any.whl") else "native"
    with tempfile.TemporaryDirectory(prefix="katana-asgi-dist-") as scratch:
        place = Path(scratch)
        venv.create(place / "venv", with_pip=True)
        python = str(place / "venv" / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", str(path)], check=True)
        subprocess.run([python, "-m", "pip", "check"], check=True, stdout=subprocess.DEVNULL)
        serve_one_request((python, "-I", "-m", "katana_asgi"), place, codec)
    return codec


def main(directory: str) -> None:
    """Check everything in ``directory``; raises where a file does not do its duty."""
    files = sorted(path.resolve() for path in Path(directory).iterdir())
    kinds = {check(path) if path.suffix == ".whl" else f"sources, {check(path)}" for path in files}
    if kinds != {"native", "python", "sources, native"}:
        raise SystemExit(f"{directory} should have two wheels and the sources, it has {files}")
    print(f"{len(files)} files install, import and serve")


if __name__ == "__main__":
    main(sys.argv[1])
