"""What lets others look into a running worker: control socket, dump signal, loop watchdog.

Idle, it is one descriptor that the loop watches and a signal handler. A question is answered
by a thread that lives as long as the answer takes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import select
import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.observe.control import control_directory, open_control_socket
from katana_asgi.observe.sampler import sample
from katana_asgi.observe.stacks import dump_on_signal, task_stacks, thread_stacks
from katana_asgi.observe.watchdog import LoopWatchdog
from katana_asgi.worker.forked import released_in_forks

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from katana_asgi.config.model import Config

__all__ = ["inspected", "watched_loop"]

REQUEST_LIMIT: Final = 4096
"""Bytes of a question: it is short."""

REQUEST_TIMEOUT: Final = 5.0
"""Seconds a client may take to ask, against threads that wait for ever."""

LONGEST: Final = 3600.0
"""Seconds of the longest profile, so that one that was forgotten ends."""

FASTEST: Final = 1000.0
"""Samples a second, above which sampling would be most of what is measured."""

logger = logging.getLogger("katana_asgi.error")


async def inspected(work: Coroutine[Any, Any, None], config: Config, supervisor: int) -> None:
    """Await ``work``, a worker's life; ``supervisor`` is the process id of the whole service.

    All of this merely helps: where the system does not let it, the worker serves without.
    Raises what ``work`` raises.
    """
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        for name, helper in (
            ("dump of stacks on SIGURG", dump_on_signal(loop)),
            ("control socket", _control(config, loop, supervisor)),
        ):
            try:
                stack.enter_context(helper)
            except Exception as error:  # noqa: BLE001 - a service is worth more than a look at it
                wanted = config.control_dir not in ("auto", "off")
                logger.log(logging.ERROR if wanted else logging.DEBUG, "No %s: %s", name, error)
        await work


@contextmanager
def watched_loop(config: Config) -> Iterator[None]:
    """Report a blocked loop from now on, where that is asked for and the system lets it.

    Not before the server serves: imports block the loop, and no request waits for them.
    """
    if not config.slow_request:
        yield
        return
    watchdog = LoopWatchdog(asyncio.get_running_loop(), config.slow_request)
    try:
        watchdog.start()
    except RuntimeError as error:  # the system has no thread to give
        logger.error("No watch for slow requests: %s", error)
        yield
        return
    try:
        yield
    finally:
        watchdog.stop()


@contextmanager
def _control(config: Config, loop: asyncio.AbstractEventLoop, supervisor: int) -> Iterator[None]:
    directory = control_directory(config.control_dir)
    if directory is None:
        yield
        return
    sock, path = open_control_socket(directory, supervisor)
    loop.add_reader(sock.fileno(), _accept, sock, loop, threading.Lock())
    try:
        with released_in_forks([sock]):
            yield
    finally:
        loop.remove_reader(sock.fileno())
        sock.close()
        with suppress(OSError):
            if path.name.endswith(f"-{os.getpid()}.sock"):  # not in a process forked meanwhile
                path.unlink(missing_ok=True)


def _accept(
    sock: socket.socket, loop: asyncio.AbstractEventLoop, profiling: threading.Lock
) -> None:
    try:
        client, _ = sock.accept()
    except OSError:
        return
    thread = threading.Thread(
        target=_answer, args=(client, loop, profiling), name="inspection", daemon=True
    )
    try:
        thread.start()
    except RuntimeError:  # the system has no thread to give
        client.close()


def _answer(
    client: socket.socket, loop: asyncio.AbstractEventLoop, profiling: threading.Lock
) -> None:
    with client, suppress(OSError):
        client.settimeout(REQUEST_TIMEOUT)
        with client.makefile("rb") as stream:
            line = stream.readline(REQUEST_LIMIT)
        if not line:  # a probe whether the process lives
            return
        client.sendall(b'{"accepted": true}\n')
        client.settimeout(30.0)
        client.sendall(json.dumps(_reply(line, client, loop, profiling)).encode())


def _reply(
    line: bytes,
    client: socket.socket,
    loop: asyncio.AbstractEventLoop,
    profiling: threading.Lock,
) -> dict[str, Any]:
    try:
        request = json.loads(line)
        kind = request["type"]
        if kind == "dump":
            return {"text": f"{thread_stacks()}\n{task_stacks(loop)}"}
        if kind != "profile":
            return {"error": f"unknown request {kind!r}"}
        seconds = min(max(float(request["seconds"]), 0.0), LONGEST)
        rate = min(max(float(request["rate"]), 1.0), FASTEST)
    except (ValueError, KeyError, TypeError):
        return {"error": "not understood"}
    if not profiling.acquire(blocking=False):
        return {"error": "a profile is being taken already"}
    try:
        return {"stacks": sample(seconds, rate, lambda pause: _gone(client, pause))}
    finally:
        profiling.release()


def _gone(client: socket.socket, pause: float) -> bool:
    """Wait for ``pause`` seconds, or until the client ends the connection."""
    poll = select.poll()
    poll.register(client, select.POLLIN)
    return bool(poll.poll(max(1.0, pause * 1000)))
