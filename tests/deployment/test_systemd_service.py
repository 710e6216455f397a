"""The unit of examples/deployment, with its commands run as systemd runs them."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from http.client import HTTPConnection

import pytest
from balanced import ask
from service_manager import Service, read_unit

from katana_asgi.config.sources import load
from katana_asgi.supervisor.supervisor import SHUTDOWN_GRACE
from tests.support import ROOT, TIMEOUT

SETTINGS = ROOT / "examples" / "deployment" / "katana.toml"


@pytest.fixture
def place(tmp_path_factory):
    """A directory with a short name, for the names of sockets have to be short."""
    return tmp_path_factory.mktemp("s")


def ask_unix(path):
    """The content of one answer, with what a proxy would say of its client."""
    with closing(HTTPConnection("app.example", timeout=TIMEOUT)) as http:
        http.sock = socket.socket(socket.AF_UNIX)
        http.sock.settimeout(TIMEOUT)
        http.sock.connect(str(path))
        http.request("GET", "/", headers={"X-Forwarded-For": "203.0.113.9"})
        response = http.getresponse()
        assert response.status == 200
        return json.loads(response.read())


def test_the_manager_grants_what_the_service_may_need():
    config = load({}, str(SETTINGS)).config
    unit = read_unit("app.service")["Service"]
    needed = config.shutdown_delay + config.timeout_graceful_shutdown
    needed += config.timeout_lifespan_shutdown + SHUTDOWN_GRACE
    assert int(unit["TimeoutStopSec"]) > needed
    assert config.timeout_startup < 90  # DefaultTimeoutStartSec
    assert config.uds is not None
    assert config.uds.startswith(f"/run/{unit['RuntimeDirectory']}/")


def test_the_service_starts_reloads_and_stops_as_the_unit_says(place):
    with Service(place) as service:
        service.start()
        first = ask_unix(place / "app.sock")
        assert first["client"] == ["203.0.113.9", 0]  # a peer of the socket is trusted
        service.reload()
        assert ask_unix(place / "app.sock")["pid"] != first["pid"]
        assert service.stop() == 0
    assert not (place / "app.sock").exists()


def test_with_the_socket_unit_who_comes_while_the_service_is_down_is_served_after_it(place):
    unit = read_unit("app.socket")["Socket"]
    host, _, port = unit["ListenStream"].rpartition(":")
    assert int(port) > 0
    changes = {'uds = "/run/app/app.sock"': 'bind = "systemd"'}
    with (
        socket.create_server((host, 0), backlog=int(unit["Backlog"])) as opened,
        Service(place, changes) as service,
    ):
        sockets = [("app.socket", opened)]
        port = opened.getsockname()[1]
        service.start(sockets)
        first = json.loads(ask(port))
        assert service.stop() == 0
        with closing(HTTPConnection(host, port, timeout=TIMEOUT)) as waiting:
            waiting.request("GET", "/")
            service.start(sockets)
            told = json.loads(waiting.getresponse().read())
            assert told["pid"] != first["pid"]
        service.reload()
        ask(port)
        assert service.stop() == 0
