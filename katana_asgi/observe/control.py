"""How another process of the same user reaches a running worker: a Unix socket in a private
directory, named SUPERVISOR-WORKER.sock by process ids.

A client sends one JSON object on a line. The worker says ``{"accepted": true}`` on a line at
once, where its loop runs, and then its answer, one JSON object until end of file.
"""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

__all__ = [
    "ControlError",
    "ask",
    "command_of",
    "control_directory",
    "find_workers",
    "open_control_socket",
]

ANSWER_LIMIT: Final = 256 * 1024 * 1024
"""Bytes of an answer, against a peer that sends without end."""

LONGEST_COMMAND: Final = 80
"""Characters of a command line that a message repeats."""

_match_name: Final = re.compile(r"(\d+)-(\d+)\.sock").fullmatch


class ControlError(Exception):
    """A worker cannot be reached, or refuses; the text says why.

    ``blocked`` is true where a worker exists but its event loop does not answer.
    """

    def __init__(self, message: str, *, blocked: bool = False) -> None:
        super().__init__(message)
        self.blocked = blocked


def control_directory(setting: str) -> Path | None:
    """The directory that setting ``control_dir`` means; ``None`` for off.

    Automatic is below ``XDG_RUNTIME_DIR``, or in the directory for temporary files one that has
    the user's number in its name. Raises ``OSError`` where there is no such directory.
    """
    if setting == "off" or not hasattr(socket, "AF_UNIX"):
        return None
    if setting not in ("auto", ""):
        return Path(setting)
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and os.path.isdir(runtime):
        return Path(runtime, "katana-asgi")
    return Path(tempfile.gettempdir(), f"katana-asgi-{os.geteuid()}")


def open_control_socket(directory: Path, supervisor: int) -> tuple[socket.socket, Path]:
    """Listen for clients of this process, whose supervisor may be itself; the socket and its path.

    Raises ``OSError``, also where others could enter the directory: in a shared place somebody
    else may have made it first.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_private(directory, os.geteuid()):
        raise PermissionError(f"{directory} is not a directory of this user alone (mode 0700)")
    path = directory / f"{supervisor}-{os.getpid()}.sock"
    path.unlink(missing_ok=True)  # of an earlier process with this number
    _remove_left_behind(directory)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        sock.listen(8)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock, path


def _remove_left_behind(directory: Path) -> None:
    """Remove the sockets of processes that were killed, which could not do it themselves."""
    for path in directory.glob("*.sock"):
        match = _match_name(path.name)
        if match is None:
            continue
        try:
            os.kill(int(match[2]), 0)
        except ProcessLookupError:  # or a process of another container that has this directory
            _is_served(path)
        except (OSError, OverflowError):
            continue


def _is_private(directory: Path, *owners: int) -> bool:
    found = directory.lstat()
    private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    return private and found.st_uid in owners


def find_workers(directory: Path, pid: int | None) -> dict[int, Path]:
    """The sockets of living workers by process id: of one worker, of a supervisor, or all.

    Raises ``ControlError`` where there is none, or without ``pid`` more than one service, and for
    a directory that others could have put sockets of their own into.
    """
    workers = {}
    services = set()
    if directory.exists() and not _is_private(directory, *_trusted_owners(directory)):
        raise ControlError(f"{directory} is not a directory of one user alone (mode 0700)")
    for path in sorted(directory.glob("*.sock")):
        match = _match_name(path.name)
        if match is None:
            continue
        supervisor, worker = int(match[1]), int(match[2])
        if pid in (None, supervisor, worker) and _is_served(path):
            workers[worker] = path
            services.add(supervisor)
    if not workers:
        whom = f"process {pid}" if pid is not None else "a running service"
        raise ControlError(f"no control socket of {whom} in {directory}")
    if len(services) > 1 and pid is None:
        named = ", ".join(f"{number} ({command_of(number)})" for number in sorted(services))
        raise ControlError(f"more than one service runs; choose one with --pid: {named}")
    return workers


def command_of(pid: int) -> str:
    """The command line of a process, which tells a person what it serves."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return "its command is not known"
    command = b" ".join(words).decode("utf-8", "replace").strip()
    shown = "".join(char if char.isprintable() else "?" for char in command)
    return shown if len(shown) <= LONGEST_COMMAND else f"{shown[: LONGEST_COMMAND - 1]}…"


def _trusted_owners(directory: Path) -> tuple[int, ...]:
    """Whose directory a client believes: its own, and root, who may look anywhere, anybody's."""
    user = os.geteuid()
    return (user, directory.lstat().st_uid) if user == 0 else (user,)


def _is_served(path: Path) -> bool:
    """Whether a process listens; what a killed worker left behind is removed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            with suppress(OSError):
                path.unlink()
            return False
        except TimeoutError:  # its queue is full: a worker that is blocked
            return True
        except OSError:
            return False
    return True


def ask(
    path: Path, request: dict[str, Any], *, patience: float, duration: float = 0.0
) -> dict[str, Any]:
    """Send ``request`` and return the answer, which takes ``duration`` seconds to make.

    Raises ``ControlError`` where the worker does not begin within ``patience`` seconds, goes
    away, or refuses.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(patience)
        accepted = False
        try:
            sock.connect(str(path))
            sock.sendall(json.dumps(request).encode() + b"\n")
            with sock.makefile("rb") as stream:
                accepted = bool(stream.readline(1024))
                sock.settimeout(duration + 30.0)
                answer = json.loads(stream.read(ANSWER_LIMIT) or b"{}")
        except TimeoutError:
            raise ControlError(
                f"{path.name}: no answer within {patience:g} s", blocked=not accepted
            ) from None
        except (OSError, ValueError) as error:
            raise ControlError(f"{path.name}: {error}") from None
    if not isinstance(answer, dict) or "error" in answer or not answer:
        reason = answer.get("error") if isinstance(answer, dict) else None
        raise ControlError(f"{path.name}: {reason or 'the worker ended meanwhile'}")
    return answer
