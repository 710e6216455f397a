"""What a process that the application forks must not keep of the server that runs in this one.

``multiprocessing`` with its start method fork, ``os.fork`` and ``subprocess`` with a
``preexec_fn`` copy every descriptor. A copy of a listener keeps the port in use after a stop,
one of a connection keeps its end from the client, one of the control channel hides the death of
a worker. So the new process gets /dev/null in their place, and signals as in any program.
Closing them would be wrong twice: objects that the process has inherited would close those
numbers again, when they belong to something else.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from katana_asgi.worker.signals import reset_in_fork

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from katana_asgi.worker.channel import Channel

__all__ = ["loop_kept_from_forks", "released_in_forks"]

Kept: TypeAlias = "socket.socket | Channel"

CAME_BACK: Final = 70
"""Exit status of a forked process that comes back into the event loop of the server: the two
would share what the loop waits for, and take it from each other (EX_SOFTWARE)."""

TURNS: Final = 3
"""Turns of the loop until then."""

_kept: Final[list[Kept]] = []
_loops: Final[list[asyncio.AbstractEventLoop]] = []
_registered: Final[list[bool]] = []

HELD_BACK: Final = {
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
}
"""Signals that a new process gets once it has handlers of its own: before, they would be lost."""


class _Fork(NamedTuple):
    """A fork under way in one thread: its signal mask, and the loop that runs in it, if any."""

    mask: set[signal.Signals] | set[int]
    loop: asyncio.AbstractEventLoop | None


_forks: Final[dict[int, _Fork]] = {}


@contextmanager
def released_in_forks(kept: Sequence[Kept]) -> Iterator[None]:
    """Within the block, processes that are forked from this one do not get ``kept``.

    For a listening socket this goes for every connection to its address too.
    """
    if not _registered and hasattr(os, "register_at_fork"):
        _registered.append(True)  # there is no way to take it back
        os.register_at_fork(
            before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
        )
    _kept.extend(kept)
    try:
        yield
    finally:
        for each in kept:
            with suppress(ValueError):  # this process may be one that was forked
                _kept.remove(each)


@contextmanager
def loop_kept_from_forks(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Within the block, a forked process that returns to ``loop`` ends there."""
    _loops.append(loop)
    try:
        yield
    finally:
        with suppress(ValueError):
            _loops.remove(loop)


def _before() -> None:
    if _kept:
        loop = asyncio._get_running_loop()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
        _forks[threading.get_ident()] = _Fork(mask, loop if loop in _loops else None)


def _after_in_parent() -> None:
    fork = _forks.pop(threading.get_ident(), None)
    if fork is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, fork.mask)


def _after_in_child() -> None:
    """In the new process, before anything else runs in it. No lock may be taken here."""
    fork = _forks.get(threading.get_ident())
    _forks.clear()
    if fork is None:
        return
    reset_in_fork()
    signal.pthread_sigmask(signal.SIG_SETMASK, fork.mask)
    numbers = {each.fileno() for each in _kept}
    places = {_place(each) for each in _kept if isinstance(each, socket.socket)} - {None}
    numbers.update(_connections_to(places))
    _kept.clear()
    _put_null_in_place(numbers - {-1})
    if fork.loop is not None:
        fork.loop.call_soon(_end_here, fork.loop, os.getpid(), TURNS)


def _end_here(loop: asyncio.AbstractEventLoop, pid: int, turns: int) -> None:
    if os.getpid() != pid:  # a child that shares our memory has put it into our own queue
        return
    if turns:  # of the loop, in which an exit that is under way comes first
        loop.call_soon(_end_here, loop, pid, turns - 1)
        return
    with suppress(Exception):
        sys.stderr.write(
            "A process that the application has forked came back into the event loop of the "
            "server; it ends\n"
        )
        sys.stderr.flush()
    os._exit(CAME_BACK)


def _place(sock: socket.socket) -> Any:
    """What tells the connections to a listening socket from others: its port, or its path."""
    try:
        name: Any = sock.getsockname()
    except OSError:
        return None
    place = name[1] if isinstance(name, tuple) else name
    return (int(sock.type), place) if place else None


def _connections_to(places: set[Any]) -> Iterator[int]:
    """The descriptors of sockets whose own address is one of ``places``."""
    try:
        numbers = [int(name) for name in os.listdir("/dev/fd")]
    except (OSError, ValueError):
        return
    for number in numbers:
        sock = None
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                sock = socket.socket(fileno=number)
                if _place(sock) in places:
                    yield number
        except OSError:
            pass
        finally:
            if sock is not None:
                sock.detach()


def _put_null_in_place(numbers: Iterable[int]) -> None:
    null = -1
    with suppress(OSError):
        null = os.open(os.devnull, os.O_RDWR)
    for number in numbers:
        with suppress(OSError):
            if null >= 0:
                os.dup2(null, number, inheritable=False)
            else:
                os.close(number)
    if null >= 0:
        os.close(null)
