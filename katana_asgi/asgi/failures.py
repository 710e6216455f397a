"""What is logged of an application that fails, and what is no failure at all."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from katana_asgi.http.message import RequestHead

__all__ = ["leave_fork", "log_failure", "log_unfinished", "passes_on_disconnect"]

logger = logging.getLogger("katana_asgi.error")


def log_failure(error: BaseException, head: RequestHead) -> None:
    """The application raised; the line names the request, as printable ASCII."""
    logger.error("Exception in ASGI application (%s)", _request(head), exc_info=error)


def log_unfinished(head: RequestHead, *, started: bool) -> None:
    """The application returned too early."""
    what = "completing its" if started else "starting a"
    logger.error("ASGI application returned without %s response (%s)", what, _request(head))


def _request(head: RequestHead) -> str:
    path = ascii(head.raw_path.decode("latin-1"))[1:-1]
    return f"{head.method} {path}"


def passes_on_disconnect(error: BaseException) -> bool:
    """Whether an exception only passes on that the client has gone.

    Starlette and FastAPI raise exceptions of their own for it, which are no ``OSError``; task
    groups wrap what they pass on; Litestar raises another one from it.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(passes_on_disconnect(each) for each in error.exceptions)
    if isinstance(error, OSError | asyncio.CancelledError):
        return True
    if type(error).__name__ in ("ClientDisconnect", "WebSocketDisconnect"):
        return True
    cause = error.__cause__
    return cause is not None and passes_on_disconnect(cause)


def leave_fork(error: BaseException, pid: int) -> None:
    """End this process as Python would, where it is a fork of the server's process ``pid``.

    The application forked it and ``error`` is its ``sys.exit`` or Ctrl+C. The exit functions and
    open files of the parent are not its own, so neither are they run nor flushed.
    """
    if not isinstance(error, SystemExit | KeyboardInterrupt) or os.getpid() == pid:
        return
    code = error.code if isinstance(error, SystemExit) else 130
    if not (code is None or isinstance(code, int)):
        with suppress(Exception):
            sys.stderr.write(f"{code}\n")
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit((code or 0) & 0xFF)
