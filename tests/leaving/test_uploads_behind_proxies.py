"""An upload that is refused before it is read, behind nginx and HAProxy: never a 502 instead."""

from __future__ import annotations

from contextlib import ExitStack, closing
from http.client import HTTPConnection

import pytest
from uploads import CLIENTS, PATHS, REFUSING

from tests.deployment.balanced import EXAMPLES, Load, balancer, program, run_nginx
from tests.ports import free_port
from tests.support import TIMEOUT, ServerProcess

NGINX = """
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_max_body_size 100m;
    proxy_next_upstream off;
    upstream plain {{ server 127.0.0.1:{plain} max_fails=0; keepalive 8; }}
    upstream tls {{ server 127.0.0.1:{tls} max_fails=0; keepalive 8; }}
    {servers}
}}
"""

NGINX_SERVER = """
    server {{
        listen 127.0.0.1:{port};
        {lines}
        location / {{ proxy_pass {upstream}; }}
    }}
"""

KEPT = 'proxy_http_version 1.1; proxy_set_header Connection "";'
UNBUFFERED = "proxy_request_buffering off;"
INSIDE_NGINX = {
    "buffered": ("http://plain", KEPT),
    "unbuffered": ("http://plain", KEPT + UNBUFFERED),
    "as it comes": ("http://plain", ""),
    "HTTP/1.0, unbuffered": ("http://plain", UNBUFFERED),
    "to TLS": ("https://tls", KEPT),
    "to TLS, unbuffered": ("https://tls", KEPT + UNBUFFERED),
    "to TLS, HTTP/1.0, unbuffered": ("https://tls", UNBUFFERED),
}

HAPROXY = """
defaults
    mode http
    timeout connect 2s
    timeout client 20s
    timeout server 20s
frontend to_plain
    bind 127.0.0.1:{first}
    default_backend plain
frontend to_tls
    bind 127.0.0.1:{second}
    default_backend tls
backend plain
    server one 127.0.0.1:{plain}
backend tls
    server one 127.0.0.1:{tls} ssl verify none
"""


@pytest.fixture(scope="module")
def behind(tmp_path_factory, site):
    """The ports of a plain server and one of TLS."""
    place = tmp_path_factory.mktemp("refusing")
    (place / "refusing.py").write_text(REFUSING)
    with ExitStack() as stack:
        ports = {}
        for name, flags in (("plain", ()), ("tls", site.flags)):
            arguments = ("refusing:app", "--no-access-log", *flags)
            server = stack.enter_context(ServerProcess(*arguments, cwd=place))
            ports[name] = int(server.wait_listening().rpartition(":")[2])
        yield ports


@pytest.fixture(scope="module")
def nginx(behind, tmp_path_factory):
    """The ports of a real nginx, one for each way to pass requests on."""
    ports = {name: free_port() for name in INSIDE_NGINX}
    servers = "".join(
        NGINX_SERVER.format(port=ports[name], upstream=upstream, lines=lines)
        for name, (upstream, lines) in INSIDE_NGINX.items()
    )
    text = NGINX.format(servers=servers, **behind)
    with run_nginx(tmp_path_factory.mktemp("nginx"), text, ports["buffered"]):
        yield ports


@pytest.fixture(scope="module")
def haproxy(behind, tmp_path_factory):
    """The ports of a real HAProxy before the plain server and that of TLS."""
    path = tmp_path_factory.mktemp("haproxy") / "haproxy.cfg"
    first, second = free_port(), free_port()
    path.write_text(HAPROXY.format(first=first, second=second, **behind))
    with balancer([program("haproxy"), "-f", str(path)], first):
        yield first, second


def wrong(port, sizes, paths=PATHS):
    """What clients got from this port instead of the right status."""
    found = []
    for client in CLIENTS:
        for path, status in paths.items():
            for size in sizes:
                try:
                    got = CLIENTS[client](f"http://localhost:{port}{path}", size, None)
                except Exception as error:  # noqa: BLE001 - the test names it
                    got = repr(error)
                if got != status:
                    found.append((client, path, size, got))
    return found


@pytest.mark.parametrize("way", INSIDE_NGINX)
def test_the_status_arrives_through_nginx(nginx, way):
    sizes = (3_000_000,) if "as it comes" in way or "1.0" in way else (9_000_000,)
    assert wrong(nginx[way], sizes) == []


@pytest.mark.parametrize("number", [0, 1], ids=["plain", "tls"])
def test_the_status_arrives_through_haproxy(haproxy, number):
    assert wrong(haproxy[number], (3_000_000,)) == []
    assert wrong(haproxy[number], (60_000_000,), {"/refused": 413}) == []


def test_other_clients_get_their_answers_behind_chunked_uploads(nginx, haproxy):
    """The proxy keeps the connection of the upload, and sends another client's request on it."""
    found = []
    for port in (nginx["unbuffered"], nginx["to TLS, unbuffered"], *haproxy):
        for _ in range(8):
            found.append((port, "POST", upload_in_chunks(port, "/refused", 3_000_000)))
            found.append((port, "GET", ask(port, "/refused")))
    assert [each for each in found if each[1:] not in (("POST", 413), ("GET", 200))] == []


def upload_in_chunks(port, path, size):
    """The status, read after the whole upload."""
    with closing(HTTPConnection("localhost", port, timeout=TIMEOUT)) as connection:
        connection.request("POST", path, iter([bytes(65536)] * (size // 65536)))
        return connection.getresponse().status


def ask(port, path):
    with closing(HTTPConnection("localhost", port, timeout=TIMEOUT)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status


def test_the_status_of_a_large_upload_arrives_through_nginx(nginx):
    for way in ("buffered", "unbuffered"):
        assert wrong(nginx[way], (60_000_000,), {"/refused": 413}) == []


@pytest.mark.parametrize("flags", [(), ("--limit-body-size", "1MiB")], ids=["application", "limit"])
def test_a_client_that_is_refused_takes_nothing_from_the_others(tmp_path, flags):
    """The example's configuration, two instances, and uploads of 3 MB among other requests."""
    (tmp_path / "refusing.py").write_text(REFUSING)
    with ExitStack() as stack:
        text = (EXAMPLES / "nginx.conf").read_text()
        for port in (8001, 8002):
            arguments = ("refusing:app", "--no-access-log", *flags)
            server = stack.enter_context(ServerProcess(*arguments, cwd=tmp_path))
            own = server.wait_listening().rpartition(":")[2]
            text = text.replace(f"server 127.0.0.1:{port} ", f"server 127.0.0.1:{own} ")
        outer = free_port()
        text = text.replace("127.0.0.1:8000", f"127.0.0.1:{outer}")
        # Neither is there a failure to count, where failures are counted.
        assert text.count("max_fails=0") == 2
        text = text.replace("max_fails=0", "max_fails=1 fail_timeout=10s")
        stack.enter_context(run_nginx(tmp_path, text, outer))
        load = stack.enter_context(Load(outer, clients=2))
        for _ in range(6):
            for client in ("http.client", "urllib"):
                assert CLIENTS[client](f"http://localhost:{outer}/refused", 3_000_000, None) == 413
            load.wait_for(10)
    assert load.failures == []
