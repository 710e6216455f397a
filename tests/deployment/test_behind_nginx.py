"""Two instances behind a real nginx, with the configuration of examples/deployment."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager

from balanced import EXAMPLES, Load, ask, instances, run_nginx

from tests.ports import free_port
from tests.support import TIMEOUT

SERVE = ("--timeout-graceful-shutdown", "5s")


@contextmanager
def nginx(place, *servers):
    """nginx with the example's configuration and these upstream servers, on a free port."""
    port = free_port()
    text = (EXAMPLES / "nginx.conf").read_text().replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    for before, after in zip(("127.0.0.1:8001", "127.0.0.1:8002"), servers, strict=True):
        assert text.count(f"server {before} ") == 1
        text = text.replace(f"server {before} ", f"server {after} ")
    with run_nginx(place, text, port):
        yield port


def test_the_client_is_nginxs_client_and_what_clients_claim_is_not_believed(tmp_path):
    with (
        instances(tmp_path, *SERVE) as pair,
        nginx(tmp_path, *(f"127.0.0.1:{each.port}" for each in pair)) as port,
    ):
        told = json.loads(ask(port))
        assert told["client"] == ["127.0.0.1", 0]
        assert told["scheme"] == "http"
        assert json.loads(ask(port, "POST", b"x" * 100_000))["size"] == 100_000


def test_connections_to_the_instances_are_kept(tmp_path):
    with (
        instances(tmp_path, *SERVE, "--no-proxy-headers") as pair,
        nginx(tmp_path, *(f"127.0.0.1:{each.port}" for each in pair)) as port,
    ):
        peers = {json.loads(ask(port))["peer"] for _ in range(60)}
    # Each of nginx's own processes keeps connections; without that there would be 60.
    assert len(peers) <= 20


def test_over_unix_sockets_forwarding_fields_are_believed_where_unix_is_trusted(tmp_path):
    paths = [str(tmp_path / name) for name in ("one.sock", "two.sock")]
    with (
        instances(tmp_path, "--uds", paths[0], "--forwarded-allow-ips", "unix", count=1),
        nginx(tmp_path, f"unix:{paths[0]}", f"unix:{paths[0]}") as port,
    ):
        told = json.loads(ask(port))
        assert told["client"] == ["127.0.0.1", 0]
        assert told["server"] == [paths[0], None]


def test_a_restart_of_one_instance_after_the_other_fails_no_request(tmp_path):
    with (
        instances(tmp_path, *SERVE) as pair,
        nginx(tmp_path, *(f"127.0.0.1:{each.port}" for each in pair)) as port,
        Load(port) as load,
    ):
        for each in (*pair, *pair):
            load.wait_for(100)
            each.restart()
            deadline = time.monotonic() + TIMEOUT
            while json.loads(ask(port))["pid"] != each.process.process.pid:
                assert time.monotonic() < deadline
        load.wait_for(100)
    assert load.failures == []
