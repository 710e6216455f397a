"""The settings of a process: how it ends, when a worker is replaced, who it runs as.

A table, not a program; ``model.py`` says how fields become settings.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

from katana_asgi.config.checks import check_directory
from katana_asgi.config.refusal import NotAllowed
from katana_asgi.config.setting import setting

__all__ = ["IdentitySettings", "RecyclingSettings", "ShutdownSettings"]

_match_umask: Final = re.compile(r"(?:0o?)?[0-7]{1,4}").fullmatch


def check_user(value: object) -> None:
    """A user must exist, by name or number."""
    _check_known(value, "passwd", "a user of this system")


def check_group(value: object) -> None:
    """A group must exist, by name or number."""
    _check_known(value, "group", "a group of this system")


def _check_known(value: object, database: str, allowed: str) -> None:
    text = str(value)
    if not text or text.isdecimal():
        return
    try:
        if database == "passwd":
            from pwd import getpwnam

            getpwnam(text)
        else:
            from grp import getgrnam

            getgrnam(text)
    except (ImportError, KeyError):
        raise NotAllowed(value, allowed) from None


def check_umask(value: object) -> None:
    """A umask is written in octal, as everywhere."""
    if value and _match_umask(str(value)) is None:
        raise NotAllowed(value, "an octal number, such as 027")


def check_pid_file(value: object) -> None:
    """The directory of a PID file must exist."""
    directory = os.path.dirname(str(value)) or "."
    if value and not os.path.isdir(directory):
        raise NotAllowed(value, "a file in a directory that exists")


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class ShutdownSettings:
    """Shutdown."""

    theme = "Shutdown"

    shutdown_delay: float = setting(
        0.0,
        "duration",
        "After SIGTERM, keep accepting this long while readiness probes fail and responses say "
        "Connection: close, so that a balancer notices before connections are refused.",
        minimum=0,
    )
    timeout_drain_idle: float = setting(
        2.0,
        "duration",
        "Time an idle connection stays open for a request on its way, while another worker takes "
        "over or a shutdown delay runs; its response says Connection: close. At other stops 0.2 s "
        "at most.",
        minimum=0,
    )
    timeout_stream_shutdown: float = setting(
        0.0,
        "duration",
        "Time streaming responses may take on shutdown; 0 uses timeout-graceful-shutdown.",
        minimum=0,
    )
    timeout_lifespan_shutdown: float = setting(
        10.0,
        "duration",
        "Time for the application's lifespan shutdown, after all requests have ended.",
        minimum=0,
    )


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class RecyclingSettings:
    """Recycling."""

    theme = "Recycling"

    supervise: bool = setting(
        False,
        "boolean",
        "Run a supervisor even with one worker, for seamless restarts and recycling.",
    )
    max_worker_age: float = setting(
        0.0,
        "duration",
        "Replace a worker after this time; a single worker exits. 0 is no limit.",
        minimum=0,
        unlimited=True,
    )
    max_worker_memory: int = setting(
        0,
        "size",
        "Replace a worker whose resident memory exceeds this; a single worker exits. 0 is no "
        "limit.",
        minimum=0,
        unlimited=True,
    )
    recycle_jitter: int = setting(
        10,
        "integer",
        "Raise each worker's limits of requests, age and memory by a random part, up to this "
        "percentage, so that workers are not replaced at the same time.",
        minimum=0,
        maximum=100,
    )
    timeout_worker: float = setting(
        0.0,
        "duration",
        "Replace a worker whose event loop has been blocked for this long, and log its stacks; 0 "
        "is no limit.",
        minimum=0,
        unlimited=True,
    )
    preload: bool = setting(
        False,
        "boolean",
        "Import the application once, before workers are forked: memory is shared, but SIGHUP "
        "does not load new code.",
    )
    cpu_affinity: str = setting(
        "off",
        "switch",
        "Bind each worker to one CPU of the cpuset (Linux), not where a cgroup quota allows the "
        "time of fewer. on takes them in turn; auto binds only where each worker has its own.",
        choices=("off", "on", "auto"),
    )


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class IdentitySettings:
    """Identity."""

    theme = "Identity"

    chdir: str = setting(
        "",
        "path",
        "Directory to change to before anything else: all other paths begin there, except "
        "those of --config and --env-file. A reload finds it by its name again.",
        metavar="DIR",
        check=check_directory,
    )
    pid_file: str = setting(
        "",
        "path",
        "File for the process id; removed on exit.",
        metavar="FILE",
        check=check_pid_file,
    )
    user: str = setting(
        "", "text", "User that workers run as, once the sockets are bound.", check=check_user
    )
    group: str = setting(
        "", "text", "Group that workers run as; the user's group by default.", check=check_group
    )
    umask: str = setting(
        "",
        "text",
        "File mode creation mask in octal; inherited by default.",
        check=check_umask,
    )
