"""From one process to two: what happens around ``fork``, on both sides.

The child leaves everything of the supervisor behind (signals, descriptors, exit functions),
runs the worker, and ends inside this module: it never returns into the supervisor's code.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from katana_asgi.errors import StartupError
from katana_asgi.supervisor.signals import WATCHED, held_back, reset_in_child
from katana_asgi.worker.channel import Channel

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import NoReturn, TypeAlias

    from katana_asgi.config.model import Config

    Entry: TypeAlias = Callable[[Config, list[socket.socket], Channel], int]

__all__ = ["fork_worker", "run_worker"]

logger = logging.getLogger("katana_asgi.error")


def run_worker(config: Config, sockets: list[socket.socket], channel: Channel) -> int:
    """Run a worker in this process; imported here, so that the supervisor never has it."""
    from katana_asgi.worker import worker

    return worker.run_worker(config, sockets=sockets, channel=channel)


def fork_worker(
    entry: Entry, config: Config, sock: socket.socket, release: Callable[[], None]
) -> tuple[int, Channel]:
    """Start a process that runs ``entry`` on ``sock`` and ends with the status it returns.

    ``release`` closes, in the child, what only the supervisor needs. Returns the process id
    and the supervisor's end of the control channel. Raises ``OSError`` where the system has
    no process or descriptor to give.
    """
    here, there = Channel.pair()
    _flush()  # or the child would write the same again
    with held_back(WATCHED) as mask:
        try:
            pid = os.fork()
        except BaseException:
            here.close()
            there.close()
            raise
        if pid == 0:

            def settle() -> None:
                reset_in_child(mask)
                here.close()
                release()

            _live(entry, config, sock, there, settle)
    there.close()
    return pid, here


def _live(
    entry: Entry,
    config: Config,
    sock: socket.socket,
    channel: Channel,
    settle: Callable[[], None],
) -> NoReturn:
    """Be the child, from its first to its last instruction."""
    status = 1
    try:
        atexit._clear()  # the supervisor's own, of which one run is enough
        settle()
        status = _run(entry, config, sock, channel)
        atexit._run_exitfuncs()  # the application's own, which os._exit would leave out
    except BaseException:
        logger.exception("A worker failed before or after its work")
    finally:
        with suppress(BaseException):
            logging.shutdown()
            _flush()
        os._exit(status & 0xFF)


def _run(entry: Entry, config: Config, sock: socket.socket, channel: Channel) -> int:
    """Run the worker; an exception becomes a status and, for the supervisor, a reason."""
    try:
        return entry(config, [sock], channel)
    except SystemExit as error:
        if isinstance(error.code, int):
            return error.code
        return 0 if error.code is None else _report(channel, 1, str(error.code))
    except StartupError as error:
        return _report(channel, error.status, str(error))
    except BaseException as error:
        logger.exception("A worker failed")
        return _report(channel, 1, f"{type(error).__name__}: {error}")


def _report(channel: Channel, status: int, reason: str) -> int:
    channel.send({"type": "failed", "status": status, "reason": reason})
    return status


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # a program without a console has none
            with suppress(OSError, ValueError):
                stream.flush()
