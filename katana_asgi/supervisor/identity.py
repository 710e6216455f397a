"""Who a process is: its directory, mask, user and group, CPU, title and PID file."""

from __future__ import annotations

import errno
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from katana_asgi.config.processors import allowed_processors, processor_quota
from katana_asgi.errors import StartupError

if TYPE_CHECKING:
    from katana_asgi.config.model import Config

__all__ = [
    "SUCCESSOR_VARIABLE",
    "become",
    "bind_to_cpu",
    "check_descriptors",
    "enter",
    "is_successor",
    "prepare_process",
    "remove_pid_file",
    "set_title",
    "write_pid_file",
]

SUCCESSOR_VARIABLE: Final = "_KATANA_UPGRADE"
"""Descriptors for the new supervisor: the channel's, and behind a colon those of the sockets.
The first character keeps it apart from the variables of settings."""

DESCRIPTORS: Final = 32
"""The least number of descriptors with which a worker starts, and can answer a few clients."""

logger = logging.getLogger("katana_asgi.error")


def is_successor() -> bool:
    """Whether another supervisor has started this process, to take its place."""
    return SUCCESSOR_VARIABLE in os.environ


def enter(config: Config, start: str = "") -> None:
    """Be in the directory of the service: ``chdir``, or the one it was started in, by its name.

    Where a deployment has turned a link since, this is what it points to now. Raises
    ``StartupError`` where ``chdir`` cannot be entered; of the other the process may have no need.
    """
    try:
        os.chdir(config.chdir or start or ".")
    except OSError as error:
        if config.chdir:
            raise StartupError(f"cannot change to {config.chdir}: {error.strerror}") from error


def prepare_process(config: Config) -> None:
    """Take the directory and the file mode mask of the service. Raises ``StartupError``."""
    if config.umask:
        os.umask(int(config.umask.lower().removeprefix("0o"), 8))
    enter(config)


def check_descriptors() -> None:
    """Have room for the least that a service needs. Raises ``StartupError``."""
    try:
        from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, setrlimit
    except ImportError:
        return
    soft, hard = getrlimit(RLIMIT_NOFILE)
    if soft >= DESCRIPTORS or soft == RLIM_INFINITY:
        return
    if hard == RLIM_INFINITY or hard >= DESCRIPTORS:
        with suppress(OSError, ValueError):
            setrlimit(RLIMIT_NOFILE, (DESCRIPTORS, hard))
            return
    raise StartupError(
        f"the limit of open files is {soft}, and a service needs {DESCRIPTORS} at least (ulimit -n)"
    )


def become(config: Config) -> None:
    """Give up privileges for good: first the groups, then the user. Raises ``StartupError``."""
    if not config.user and not config.group:
        return
    try:
        _change(config.user, config.group)
    except (OSError, KeyError) as error:
        who = ":".join(filter(None, (config.user, config.group)))
        reason = error.strerror if isinstance(error, OSError) else "unknown"
        raise StartupError(f"cannot become {who}: {reason}") from error


def _change(user: str, group: str) -> None:
    import grp  # not on Windows
    import pwd

    entry, gid = None, os.getegid()
    if user:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
        gid = entry.pw_gid
    if group:
        gid = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    if os.geteuid() != 0:
        same = entry is None or entry.pw_uid == os.geteuid()
        if not same or gid not in (os.getegid(), *os.getgroups()):
            raise PermissionError(errno.EPERM, "only root may change user and group")
        return
    os.setgroups([])
    os.setgid(gid)
    if entry is not None:
        os.initgroups(entry.pw_name, gid)
        os.setuid(entry.pw_uid)
        os.environ["HOME"] = entry.pw_dir


def bind_to_cpu(number: int, config: Config) -> None:
    """Keep this process, worker ``number`` from 1, on one of the CPUs it may use (Linux).

    A sandbox may forbid it: then the worker runs where the system puts it. So it does under a
    quota for less than these CPUs: others run on them too, and time is short wherever it waits.
    With ``auto`` so it does where workers outnumber CPUs: those that share one would have less.
    """
    if config.cpu_affinity == "off":
        return
    quota, processors = processor_quota(), allowed_processors()
    if quota is not None and quota < processors:
        logger.info("Not bound to a CPU: the quota is %g of %d", quota, processors)
        return
    if config.cpu_affinity == "auto" and max(number, config.workers) > processors:
        logger.info("Not bound to a CPU: there are %d for %d workers", processors, config.workers)
        return
    if hasattr(os, "sched_setaffinity"):
        try:
            allowed = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {allowed[(number - 1) % len(allowed)]})
        except OSError as error:
            logger.warning("Not bound to a CPU: %s", error.strerror)


def set_title(what: str, config: Config) -> None:
    """Show the application and ``what`` the process is, where the ``titles`` extra is installed."""
    with suppress(Exception):  # the library is missing, or the system does not let it
        from setproctitle import setproctitle

        setproctitle(f"katana-asgi: {config.application_name}: {what}")


def write_pid_file(path: str) -> None:
    """Write the process id, whole or not at all. Raises ``StartupError``."""
    if not path:
        return
    if os.path.exists(path) and not os.path.isfile(path):  # root would replace even /dev/null
        raise StartupError(f"cannot write the PID file {path}: it is not a regular file")
    fresh = f"{path}.{os.getpid()}"
    try:
        with open(fresh, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
        os.replace(fresh, path)
    except OSError as error:
        raise StartupError(f"cannot write the PID file {path}: {error.strerror}") from error


def remove_pid_file(path: str) -> None:
    """Remove the file, unless another process, such as a successor, has written its own."""
    with suppress(OSError, ValueError):
        if path and os.path.isfile(path):  # a FIFO would keep us waiting
            with open(path, encoding="ascii") as file:
                ours = int(file.read()) == os.getpid()
            if ours:
                os.unlink(path)
