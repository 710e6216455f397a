"""Who a process is: its directory, mask, user and group, CPU, title and PID file."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from katana_asgi.errors import StartupError

if TYPE_CHECKING:
    from katana_asgi.config.model import Config

__all__ = ["become", "bind_to_cpu", "remove_pid_file", "set_title", "settle_in", "write_pid_file"]


def settle_in(config: Config) -> None:
    """Take the directory and the file mode mask of the service. Raises ``StartupError``."""
    if config.umask:
        os.umask(int(config.umask.lower().removeprefix("0o"), 8))
    if config.chdir:
        try:
            os.chdir(config.chdir)
        except OSError as error:
            raise StartupError(f"cannot change to {config.chdir}: {error.strerror}") from error


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


def bind_to_cpu(number: int) -> None:
    """Keep this process, worker ``number`` from 1, on one of the CPUs it may use (Linux)."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[(number - 1) % len(allowed)]})


def set_title(what: str, config: Config) -> None:
    """Show the application and ``what`` the process is, where the ``titles`` extra is installed."""
    try:
        from setproctitle import setproctitle
    except ImportError:
        return
    setproctitle(f"katana-asgi: {config.application_name}: {what}")


def write_pid_file(path: str) -> None:
    """Write the process id, whole or not at all. Raises ``StartupError``."""
    if not path:
        return
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
        if path:
            with open(path, encoding="ascii") as file:
                ours = int(file.read()) == os.getpid()
            if ours:
                os.unlink(path)
