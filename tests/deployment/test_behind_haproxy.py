"""Two instances behind a real HAProxy, with the configuration of examples/deployment."""

from __future__ import annotations

import json
import socket
import ssl
import time
from contextlib import contextmanager

import pytest
import trustme
from balanced import EXAMPLES, Load, ask, balancer, instances, program

from tests.ports import free_port
from tests.support import TIMEOUT

SERVE = ("--proxy-protocol", "--static-route", "/healthz=ok", "--timeout-graceful-shutdown", "5s")


@contextmanager
def haproxy(place, ports, **changes):
    """HAProxy with the example's configuration, on free ports."""
    path = program("haproxy")
    port = free_port()
    text = (EXAMPLES / "haproxy.cfg").read_text()
    for before, after in {"8000": port, "8001": ports[0], "8002": ports[1]}.items():
        text = text.replace(f"127.0.0.1:{before}", f"127.0.0.1:{after}")
    for before, after in changes.get("replace", {}).items():
        assert before in text
        text = text.replace(before, after)
    (place / "haproxy.cfg").write_text(text)
    with balancer([path, "-f", str(place / "haproxy.cfg")], port):
        yield port


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_the_client_is_haproxys_client(tmp_path, version):
    with (
        instances(tmp_path, *SERVE) as (one, two),
        haproxy(tmp_path, (one.port, two.port), replace={"send-proxy-v2 ": f"{version} "}) as port,
        socket.create_connection(("127.0.0.1", port), TIMEOUT) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := client.recv(65536):
            answer += data
        told = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert told["client"] == list(client.getsockname())
        assert told["server"] == ["127.0.0.1", port]
        assert told["proxy"][-1] == "version"
        found = 0
        for instance in (one, two):
            instance.process.stop()
            found += f"127.0.0.1:{told['client'][1]} - " in instance.process.stdout
        assert found == 1  # the access log of one of them


def test_details_are_passed_on(tmp_path):
    replace = {"send-proxy-v2 ": "send-proxy-v2 proxy-v2-options crc32c,unique-id "}
    replace["frontend web\n"] = "frontend web\n    unique-id-format id-%pid\n"
    with (
        instances(tmp_path, *SERVE) as (one, two),
        haproxy(tmp_path, (one.port, two.port), replace=replace) as port,
    ):
        assert json.loads(ask(port))["proxy"] == ["tlvs", "unique_id", "version"]


def test_health_checks_pass_and_a_dead_instance_is_left_out(tmp_path):
    with (
        instances(tmp_path, *SERVE) as (one, two),
        haproxy(tmp_path, (one.port, two.port)) as port,
    ):
        one.process.stop()
        deadline = time.monotonic() + TIMEOUT
        for _ in range(20):
            assert json.loads(ask(port))["pid"] == two.process.process.pid
        assert time.monotonic() < deadline
        one.start()
        while json.loads(ask(port))["pid"] != one.process.process.pid:
            assert time.monotonic() < deadline
        assert "PROXY header" not in two.process.stderr


def test_a_restart_of_one_instance_after_the_other_fails_no_request(tmp_path):
    with (
        instances(tmp_path, *SERVE) as pair,
        haproxy(tmp_path, [each.port for each in pair]) as port,
        Load(port) as load,
    ):
        for each in (*pair, *pair):
            load.wait_for(100)
            each.restart()
            wait_until_served_by(port, each.process.process.pid)
        load.wait_for(100)
    assert load.failures == []


ANNOUNCES = """
proxy-protocol = true
shutdown-delay = "3s"
[static-routes]
"/readyz" = { body = "ready", ready = true }
"""


def test_an_instance_that_announces_its_end_is_left_out_before_it_refuses_anybody(tmp_path):
    (tmp_path / "katana.toml").write_text(ANNOUNCES)
    changes = {
        "GET /healthz": "GET /readyz",
        "    retries 3\n    option redispatch\n": "    retries 0\n",
        "    retry-on conn-failure empty-response\n": "",
    }
    with (
        instances(tmp_path, "--config", str(tmp_path / "katana.toml")) as pair,
        haproxy(tmp_path, [each.port for each in pair], replace=changes) as port,
        Load(port) as load,
    ):
        for each in pair:
            load.wait_for(100)
            each.restart()
            wait_until_served_by(port, each.process.process.pid)
        load.wait_for(100)
    assert load.failures == []


PASSES_TLS_THROUGH = """
defaults
    mode tcp
    timeout connect 2s
    timeout client 20s
    timeout server 20s
frontend web
    bind 127.0.0.1:{port}
    default_backend app
backend app
    default-server check inter 500ms fall 1 rise 1 {header} check-send-proxy check-ssl verify none
    server one 127.0.0.1:{behind}
"""


@pytest.mark.parametrize("header", ["send-proxy", "send-proxy-v2"])
def test_tls_that_haproxy_passes_through_keeps_the_client(tmp_path, header):
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "site.pem"))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    port = free_port()
    flags = ("--proxy-protocol", "--ssl-certfile", str(tmp_path / "site.pem"))
    with instances(tmp_path, *flags, count=1) as (one,):
        text = PASSES_TLS_THROUGH.format(port=port, behind=one.port, header=header)
        (tmp_path / "haproxy.cfg").write_text(text)
        with (
            balancer([program("haproxy"), "-f", str(tmp_path / "haproxy.cfg")], port),
            socket.create_connection(("127.0.0.1", port), TIMEOUT) as client,
            trust.wrap_socket(client, server_hostname="localhost") as tls,
        ):
            tls.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = b""
            while data := tls.recv(65536):
                answer += data
            told = json.loads(answer.partition(b"\r\n\r\n")[2])
            assert told["client"] == list(tls.getsockname())
            assert (told["server"], told["scheme"]) == (["127.0.0.1", port], "https")
        assert "PROXY header" not in one.process.stderr


def wait_until_served_by(port, pid):
    deadline = time.monotonic() + TIMEOUT
    while json.loads(ask(port))["pid"] != pid:
        assert time.monotonic() < deadline
