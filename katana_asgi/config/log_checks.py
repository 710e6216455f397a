"""What the settings of the logs must look like: destinations, files, names, patterns."""

from __future__ import annotations

import errno
import os
import re
from typing import Final

from katana_asgi.config.checks import check_readable
from katana_asgi.config.refusal import NotAllowed

__all__ = [
    "LOCAL_SYSLOG",
    "check_exclusion",
    "check_log_config",
    "check_log_file",
    "check_name",
    "syslog_address",
]

LOCAL_SYSLOG: Final = "/dev/log" if os.path.exists("/dev/log") else "/var/run/syslog"
"""The socket of the local syslog: Linux's name, or that of macOS."""

SYSLOG_PORT: Final = 514

LOG_CONFIG_SUFFIXES: Final = (".json", ".toml", ".yaml", ".yml", ".ini", ".conf", ".cfg")

_match_syslog: Final = re.compile(
    r"syslog:(?://(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+)(?::([0-9]{1,5}))?|(/[^/\0][^\0]*)?)"
).fullmatch
_match_name: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch


def syslog_address(value: str) -> tuple[str, int] | str | None:
    """Host and port, or a socket's path, of ``syslog:…``; ``None`` for anything else.

    Raises ``NotAllowed`` for an address that starts right and ends wrong.
    """
    if not value.startswith("syslog:"):
        return None
    match = _match_syslog(value)
    port = int(match[2] or SYSLOG_PORT) if match is not None else 0
    if match is None or not 1 <= port <= 65535:
        raise NotAllowed(value, "syslog:, syslog:/PATH or syslog://HOST:PORT")
    if match[1] is not None:
        return match[1].strip("[]"), port
    return match[3] or LOCAL_SYSLOG


def check_log_file(value: str) -> None:
    """``-``, a syslog, or a file that this process may append to."""
    if value == "-" or syslog_address(value) is not None:
        return
    problem = 0
    directory = os.path.dirname(value) or "."
    if os.path.isdir(value):
        problem = errno.EISDIR
    elif not os.path.isdir(directory):
        problem = errno.ENOENT
    elif not os.access(value if os.path.exists(value) else directory, os.W_OK):
        problem = errno.EACCES
    if problem:
        allowed = "- (standard output), syslog:… or a file that can be written"
        raise NotAllowed(value, allowed, f"cannot be written ({os.strerror(problem)})")


def check_log_config(value: object) -> None:
    """A readable file whose name says what is in it; a program may give the content itself."""
    if not isinstance(value, str):
        return
    if not value.lower().endswith(LOG_CONFIG_SUFFIXES):
        raise NotAllowed(value, f"a file named {', '.join(LOG_CONFIG_SUFFIXES)}")
    check_readable(value)


def check_exclusion(member: str) -> None:
    """A path, or the beginning of one and ``*``."""
    if not member.startswith("/") or "*" in member[:-1]:
        raise NotAllowed(member, "a path such as /healthz, or a beginning such as /static/*")


def check_name(member: str) -> None:
    """The name of a field or of a query parameter."""
    if _match_name(member) is None:
        raise NotAllowed(member, "names, separated by commas")
