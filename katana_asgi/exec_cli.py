"""``katana-asgi exec PROGRAM``: run a program that starts uvicorn, with katana-asgi in its place.

The program's import path begins with a package named uvicorn (``front``), whose modules are
those of ``katana_asgi.uvicorn``. Child processes inherit it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

import click

from katana_asgi.errors import ConfigurationError

__all__ = ["execute"]

FRONT: Final = Path(__file__).with_name("front")
"""What stands first on the import path of the program."""


@click.command(
    "exec",
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": ["-h", "--help"],
    },
)
@click.argument("program")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def execute(program: str, arguments: tuple[str, ...]) -> None:
    """Run PROGRAM, which starts uvicorn, with katana-asgi in the place of uvicorn.

    For example katana-asgi exec fastapi run main.py, or katana-asgi exec python app.py. PROGRAM
    has to use the same Python environment as katana-asgi.
    """
    place = sys.executable if program in ("python", "python3") else shutil.which(program)
    if place is None:
        beside = Path(sys.executable).with_name(program)
        if not os.access(beside, os.X_OK):
            raise ConfigurationError(f"program {program!r} was not found")
        place = str(beside)
    path = [str(FRONT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(place, [place, *arguments], environment)  # noqa: S606 - no shell is wanted
