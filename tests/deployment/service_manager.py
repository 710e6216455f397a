"""A service of examples/deployment, run as systemd runs it: by its unit, in other places."""

from __future__ import annotations

import configparser
import re
import shlex
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Self

from balanced import EXAMPLES, MAIN

from tests.support import TIMEOUT, ServerProcess, activated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PROGRAM = f"{sys.executable} -m katana_asgi"


def read_unit(name: str) -> configparser.RawConfigParser:
    """A unit file; each setting is in it once, else this fails."""
    unit = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#", ";"))
    unit.optionxform = str  # type: ignore[method-assign, assignment]
    unit.read_string((EXAMPLES / name).read_text())
    return unit


class Service:
    """``app.service`` with its settings; ``place`` stands for /opt/app/src, /etc/app, /run/app."""

    def __init__(self, place: Path, settings: dict[str, str] | None = None) -> None:
        self.place = place
        (place / "main.py").write_text(MAIN)
        text = (EXAMPLES / "katana.toml").read_text()
        for before, after in {"workers = 6": "workers = 2", **(settings or {})}.items():
            assert before in text
            text = text.replace(before, after)
        (place / "katana.toml").write_text(self._here(text))
        self._unit = read_unit("app.service")["Service"]
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(place / "notify"))
        self._manager.settimeout(TIMEOUT)
        self.process: ServerProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.__exit__()
        self._manager.close()

    def _here(self, text: str) -> str:
        text = text.replace("/opt/app/venv/bin/katana-asgi", PROGRAM)
        return re.sub(r"/(?:opt/app/src|etc/app|run/app)\b", str(self.place), text)

    def _command(self, name: str) -> list[str]:
        text = self._unit[name]
        if self.process is not None:
            text = text.replace("$MAINPID", str(self.process.process.pid))
        return shlex.split(self._here(text))

    def start(self, sockets: Sequence[tuple[str, socket.socket]] = ()) -> ServerProcess:
        """``systemctl start``: returns once the service has said that it is ready."""
        assert self._unit["Type"] == "notify"
        directory = self._here(self._unit["WorkingDirectory"])
        subprocess.run(
            self._command("ExecStartPre"), cwd=directory, check=True, capture_output=True
        )
        environment = {
            "NOTIFY_SOCKET": str(self.place / "notify"),
            "WATCHDOG_USEC": str(int(self._unit["WatchdogSec"]) * 1_000_000),
        }
        command = self._command("ExecStart")
        if sockets:
            self.process = activated(sockets, cwd=directory, env=environment, command=command)
        else:
            self.process = ServerProcess(
                cwd=directory, env=environment, command=command, port=False
            )
        assert self.hear()[:2] == ["READY=1", f"MAINPID={self.process.process.pid}"]
        return self.process

    def reload(self) -> None:
        """``systemctl reload``, of a unit whose service tells the end of it."""
        subprocess.run(self._command("ExecReload"), check=True)
        assert self.hear()[0] == "RELOADING=1"
        assert self.hear()[0] == "READY=1"

    def stop(self) -> int:
        """``systemctl stop``; returns the exit status, fails where systemd would have to kill."""
        assert self.process is not None
        assert self._unit["KillMode"] == "mixed"
        self.process.signal(signal.SIGTERM)
        self.process.process.wait(int(self._unit["TimeoutStopSec"]))
        assert self.hear()[0] == "STOPPING=1"
        return self.process.finish()

    def hear(self) -> list[str]:
        """The next message that is no sign of life."""
        while (told := self._manager.recv(999).decode().splitlines()) == ["WATCHDOG=1"]:
            pass
        return told
