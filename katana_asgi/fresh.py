"""``run(..., reload=True)`` in a program: the service begins in a new interpreter.

Workers are forked, and a fork would start with every module that the program has imported, as it
was then. What the program has set up but for its environment is lost, as it is in uvicorn, whose
reloaded process is a new one, too.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from katana_asgi.config.model import Config

__all__ = ["begin_again"]

MOST: Final = 60_000
"""Bytes that a pipe keeps for the interpreter that is to read them."""

PROGRAM: Final = """
import pickle, sys
with open(int(sys.argv[1]), "rb") as file:
    sys.path, sys.argv, config = pickle.load(file)
from katana_asgi.launch import launch
sys.exit(launch(pickle.loads(config)))
"""
"""The import path comes first: it may be what makes this package importable."""


def begin_again(config: Config) -> None:
    """Replace this process by one that serves ``config``; returns where that cannot be.

    Settings that cannot be written down, such as a handler of a log configuration, keep it from it.
    """
    try:
        text = pickle.dumps((sys.path, sys.argv, pickle.dumps(config)))
    except (pickle.PicklingError, TypeError, AttributeError):
        return
    if len(text) > MOST:
        return
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    os.write(writing, text)
    os.close(writing)
    sys.stdout.flush()
    sys.stderr.flush()
    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined] # as multiprocessing does
    command = [sys.executable, *options, "-c", PROGRAM, str(reading)]
    os.execv(sys.executable, command)  # noqa: S606 - no shell is wanted
