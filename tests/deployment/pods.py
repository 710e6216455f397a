"""Pods of examples/deployment/kubernetes.yaml, treated as a kubelet and a service treat them."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, Self

import yaml
from balanced import EXAMPLES, MAIN, Load

from tests.ports import free_port
from tests.support import TIMEOUT, ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

MANIFESTS = {
    each["kind"]: each for each in yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text())
}
SETTINGS: str = MANIFESTS["ConfigMap"]["data"]["katana.toml"]
POD: dict[str, Any] = MANIFESTS["Deployment"]["spec"]["template"]
CONTAINER: dict[str, Any] = POD["spec"]["containers"][0]


class Pod:
    """The container's command with the settings that are mounted, on a free port."""

    def __init__(self, place: Path) -> None:
        self.port = free_port()
        place.mkdir()
        (place / "main.py").write_text(MAIN)
        (mount,) = CONTAINER["volumeMounts"]
        (place / "katana.toml").write_text(SETTINGS.replace("port = 8000", f"port = {self.port}"))
        program, *arguments = CONTAINER["command"]
        assert program == "katana-asgi"
        self.process = ServerProcess(
            *(word.replace(mount["mountPath"], str(place)) for word in arguments),
            command=(sys.executable, "-m", "katana_asgi"),
            cwd=place,
            port=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.__exit__()

    def probe(self, name: str) -> bool:
        """What the kubelet finds with one of the container's probes."""
        wanted = CONTAINER[name]["httpGet"]
        timeout = CONTAINER[name].get("timeoutSeconds", 1)
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=timeout)) as http:
            try:
                http.request("GET", wanted["path"])
                return 200 <= http.getresponse().status < 400
            except OSError:
                return False

    def wait_for(self, name: str, found: bool) -> None:
        """Wait until a probe finds this."""
        deadline = time.monotonic() + TIMEOUT
        while self.probe(name) is not found:
            assert time.monotonic() < deadline, name
            time.sleep(0.02)

    def begin_to_terminate(self, pause: str) -> None:
        """``preStop`` with a pause of its own, then SIGTERM."""
        hook = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
        assert hook[0] == "sleep"
        subprocess.run([hook[0], pause], check=True)
        self.process.signal(signal.SIGTERM)

    def wait_until_gone(self) -> int:
        """The exit status; fails where the kubelet would have to kill."""
        self.process.process.wait(POD["spec"]["terminationGracePeriodSeconds"])
        return self.process.finish()


class RoutedConnection(HTTPConnection):
    """Goes to the next of the endpoints each time it connects, and stays there meanwhile."""

    def __init__(self, service: Service) -> None:
        super().__init__("127.0.0.1", timeout=TIMEOUT)
        self._service = service

    def connect(self) -> None:
        self.port = next(self._service.turns)
        super().connect()


class Service(Load):
    """Clients of a service: connections are balanced over its endpoints, not requests."""

    def __init__(self, *endpoints: int) -> None:
        self.route_to(*endpoints)
        super().__init__(0)

    def route_to(self, *endpoints: int) -> None:
        """What the endpoint controller has found; connections that are open stay."""
        self.turns = itertools.cycle(endpoints)

    def connection(self) -> HTTPConnection:
        return RoutedConnection(self)
