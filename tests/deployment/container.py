"""What an image's file says, and its command as process 1 of a container of its own.

There is no engine: the namespaces are real (processes, network, mounts), the files are those of
this machine.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support import TIMEOUT, ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

START = """
import fcntl, os, socket, struct, sys
with socket.socket() as sock:  # the loopback device of a new network is down: SIOCSIFFLAGS, IFF_UP
    fcntl.ioctl(sock, 0x8914, struct.pack("16sh14x", b"lo", 1))
os.execvp(sys.argv[1], sys.argv[1:])
"""

PROGRAM = f"""#!{sys.executable}
from katana_asgi.cli import main
main()
"""


def instructions(path: Path) -> dict[str, str]:
    """The last instruction of each kind, its lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return dict(line.split(" ", 1) for line in joined.splitlines() if line)


def words(text: str) -> list[str]:
    """The command of CMD or HEALTHCHECK, which is a list and not a shell's line."""
    found = json.loads(text[text.index("[") :])
    assert all(isinstance(word, str) for word in found)
    return found


def namespaces() -> list[str]:
    """The command that makes them; skips the test where the machine does not let it."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    made = ["unshare", *user, "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    try:
        subprocess.run([*made, "true"], check=True, capture_output=True, timeout=TIMEOUT)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no namespaces here: {error}")
    return made


class Container(ServerProcess):
    """A command as process 1; ``place`` is its working directory."""

    def __init__(self, place: Path, command: list[str], **variables: str) -> None:
        program = place / "bin" / "katana-asgi"
        program.parent.mkdir(exist_ok=True)
        program.write_text(PROGRAM)
        program.chmod(0o755)
        found = [str(program.parent), os.path.dirname(sys.executable), os.environ["PATH"]]
        self._environment = {"PATH": os.pathsep.join(found), **variables}
        made = [*namespaces(), sys.executable, "-c", START]
        super().__init__(*command, command=made, cwd=place, env=self._environment, port=False)

    @property
    def first(self) -> psutil.Process:
        """Process 1, as this machine sees it."""
        (child,) = psutil.Process(self.process.pid).children()
        return child

    def run(self, command: list[str]) -> subprocess.Popen[str]:
        """A command beside it, as ``docker exec`` runs one; the end of process 1 ends it."""
        return self._enter(command, "--net", "--pid", "--mount")

    def _enter(self, command: list[str], *spaces: str) -> subprocess.Popen[str]:
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return subprocess.Popen(
            ["nsenter", f"--target={self.first.pid}", *user, *spaces, *command],
            env={**os.environ, **self._environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def get(self, url: str) -> subprocess.Popen[str]:
        """A client in its network, which prints the content of one response.

        It is no process of the container: it has to read what process 1 wrote before it ended.
        """
        code = f"from urllib.request import urlopen; print(urlopen({url!r}).read().decode())"
        return self._enter([sys.executable, "-c", code], "--net")


def said(process: subprocess.Popen[str]) -> str:
    """What a command printed, once it has ended with success."""
    output, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, output
    return output.strip()
