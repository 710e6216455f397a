"""From one process to two: what happens around ``fork``, on both sides.

The child leaves everything of the supervisor behind (signals, descriptors, exit functions),
runs the worker, and ends inside this module: it never returns into the supervisor's code.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import sys
import threading
from contextlib import suppress
from signal import SIGINT
from typing import TYPE_CHECKING

from katana_asgi.errors import StartupError
from katana_asgi.supervisor.identity import become, bind_to_cpu, enter, set_title
from katana_asgi.supervisor.signals import FORWARDED, STOPS, held_back, reset_in_child
from katana_asgi.worker.channel import Channel
from katana_asgi.worker.exiting import (
    bound_the_exit,
    flush_standard_streams,
    run_exit_functions,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from signal import Signals
    from typing import NoReturn, TypeAlias

    from katana_asgi.balance.links import Share
    from katana_asgi.config.model import Config
    from katana_asgi.supervisor.slot import Slot

    Entry: TypeAlias = Callable[[Config, list[socket.socket], Channel], int]

__all__ = ["fork_with_channel", "fork_worker", "preload", "run_worker"]

logger = logging.getLogger("katana_asgi.error")


def run_worker(
    config: Config, sockets: list[socket.socket], channel: Channel, share: Share | None = None
) -> int:
    """Run a worker in this process; imported here, so that the supervisor never has it."""
    from katana_asgi.worker import worker

    return worker.run_worker(config, sockets=sockets, channel=channel, share=share)


def preload(config: Config) -> None:
    """Import the application in this process, for the workers forked from it.

    Raises ``StartupError``. What it has loaded is kept out of the collector, whose marks would
    otherwise cost each worker a copy of every page.
    """
    from katana_asgi.worker import worker

    worker.import_application(config)
    gc.collect()
    gc.freeze()
    if threading.active_count() > 1:
        logger.warning(
            "The application has started threads while it was imported; with preload they do "
            "not exist in the workers"
        )


def fork_with_channel(child: Callable[[Channel, set[Signals]], NoReturn]) -> tuple[int, Channel]:
    """Start a process that runs ``child`` with its end of a channel and the signal mask to set.

    It begins with the signals held back that it must not report to the supervisor. Returns the
    process id and the supervisor's end. Raises ``OSError`` where the system has no process or
    descriptor to give.
    """
    here, there = Channel.pair()
    flush_standard_streams()  # or the child would write the same again
    with held_back(STOPS) as mask:
        try:
            pid = os.fork()
        except BaseException:
            here.close()
            there.close()
            raise
        if pid == 0:
            try:
                here.close()
                child(there, mask)
            finally:
                os._exit(1)
    there.close()
    return pid, here


def fork_worker(
    entry: Entry, config: Config, slot: Slot, start: str, release: Callable[[], None]
) -> tuple[int, Channel]:
    """Start a process for ``slot``: it runs ``entry``, its status is what that returns.

    ``start`` is the directory the service was started in; ``release`` closes, in the child,
    what only the supervisor needs. Returns the process id and the supervisor's end of the
    control channel. Raises ``OSError``.
    """

    def run(config: Config, sockets: list[socket.socket], channel: Channel) -> int:
        enter(config, start)
        become(config)
        return entry(config, sockets, channel)

    def child(channel: Channel, mask: set[Signals]) -> NoReturn:
        def prepare() -> None:
            reset_in_child(mask, survive=(SIGINT, *FORWARDED))
            release()
            set_title(slot.name, config)
            if slot.number:
                bind_to_cpu(slot.number, config)

        _live(run, config, slot.sockets, channel, prepare)

    return fork_with_channel(child)


def _live(
    entry: Entry,
    config: Config,
    sockets: Sequence[socket.socket],
    channel: Channel,
    prepare: Callable[[], None],
) -> NoReturn:
    """Be the child, from its first to its last instruction."""
    status = 1
    try:
        _forget_exit_functions()
        prepare()
        status = _run(entry, config, list(sockets), channel)
        bound_the_exit(status)
        run_exit_functions()  # the application's own
    except BaseException:
        logger.exception("A worker failed before or after its work")
    finally:
        with suppress(BaseException):
            logging.shutdown()
            flush_standard_streams()
        os._exit(status & 0xFF)


def _forget_exit_functions() -> None:
    """Drop those of the supervisor, of which one run is enough, but for those of the child."""
    atexit._clear()
    inherited = sys.modules.get("multiprocessing.util")  # by an import before the fork
    if inherited is not None:
        atexit.register(inherited._exit_function)


def _run(entry: Entry, config: Config, sockets: list[socket.socket], channel: Channel) -> int:
    """Run the worker; an exception becomes a status and, for the supervisor, a reason."""
    try:
        return entry(config, sockets, channel)
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
