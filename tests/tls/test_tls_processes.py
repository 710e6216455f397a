"""TLS of the command line: workers, signals, mistakes, and the tools that everybody has."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tls_client import Files, first_message

from katana_asgi.cli import main
from tests.amounts import FULL, planned
from tests.ports import free_port
from tests.support import ROOT, TIMEOUT, ServerProcess

CURL, OPENSSL = shutil.which("curl"), shutil.which("openssl")

MAIN = """
import os

async def app(scope, receive, send):
    body = b"%d" % os.getpid()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


def pytest_asyncio_loop_factories(config, item):
    """No test here runs a loop of its own."""
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture
def serve(site):
    """Starts a server of ``site`` with further flags; gives it and its port."""
    (site.folder / "main.py").write_text(MAIN)
    servers = []

    def start(*flags: str, **more):
        server = ServerProcess(
            "main:app", "--lifespan", "off", *site.flags, *flags, cwd=site.folder, **more
        )
        servers.append(server)
        url = urlsplit(server.wait_listening())
        assert url.scheme == "https"
        return server, url.port

    yield start
    for server in servers:
        server.__exit__()


def ask(port, trust, session=None):
    """One request; its content, and what is known of the session."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
        with trust.wrap_socket(sock, server_hostname="localhost", session=session) as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            data = b""
            while part := tls.recv(65536):
                data += part
            return data.rpartition(b"\r\n\r\n")[2], tls.session, tls.session_reused


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_at_any_worker(serve, site, version):
    server, port = serve("--workers", "2")
    deadline = time.monotonic() + TIMEOUT
    while server.stderr.count(" is ready after") < 2:
        assert time.monotonic() < deadline, server.stderr
        time.sleep(0.02)
    site.trust.minimum_version = site.trust.maximum_version = version
    first, session, reused = ask(port, site.trust)
    assert not reused
    seen = {first}
    for _ in range(100):
        worker, _, reused = ask(port, site.trust, session)
        assert reused
        seen.add(worker)
        if len(seen) == 2:
            break
    assert len(seen) == 2
    assert server.stop() == 0


def test_sighup_reads_the_certificates_again(serve, site):
    server, port = serve("--no-ssl-reload")
    before = ssl.get_server_certificate(("127.0.0.1", port))
    site.add("site", "localhost")
    server.signal(signal.SIGHUP)
    server.wait_for("Certificates read again")
    assert ssl.get_server_certificate(("127.0.0.1", port)) != before
    site.files.key.write_text("nonsense")
    server.signal(signal.SIGHUP)
    server.wait_for("Certificates not changed: setting ssl_keyfile")
    assert ask(port, site.trust)[0].isdigit()
    assert server.stop() == 0


def gone(file: Path) -> None:
    file.unlink()


def half_written(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def endless(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("fault", "workers", "asked"),
    planned(
        (gone, half_written, empty, fifo, directory, endless), ("1", "2"), ("SIGHUP", "by itself")
    ),
    ids=lambda each: getattr(each, "__name__", each),
)
def test_certificates_that_cannot_be_used_leave_those_in_use(serve, site, fault, workers, asked):
    server, port = serve("--workers", workers, *(("--no-ssl-reload",) if asked == "SIGHUP" else ()))
    before = ssl.get_server_certificate(("127.0.0.1", port))
    fault(site.files.certificate)
    if asked == "SIGHUP":
        server.signal(signal.SIGHUP)
    server.wait_for("Certificates not changed|Not reloaded|Reload given up")
    assert ssl.get_server_certificate(("127.0.0.1", port)) == before
    assert server.stop() == 0
    assert "Traceback" not in server.stderr


def test_a_worker_that_starts_while_certificates_are_broken_has_the_last_good_ones(serve, site):
    """Not those of the first start, which may have expired since."""
    server, port = serve("--workers", "2")
    first = ssl.get_server_certificate(("127.0.0.1", port))
    site.add("site", "localhost")
    renewed = site.files.certificate.read_text()
    for spoil in (False, True):
        if spoil:
            half_written(site.files.certificate)
        server.signal(signal.SIGHUP)
        for _ in range(2):
            server.wait_for(r"Worker \d \[\d+\] ended")
    for _ in range(8):
        served = ssl.get_server_certificate(("127.0.0.1", port))
        assert served != first
        assert served in renewed
    assert server.stop() == 0


def test_a_service_manager_is_told_of_sighup_also_where_certificates_are_refused(
    serve, site, tmp_path_factory
):
    name = str(tmp_path_factory.mktemp("n") / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(TIMEOUT)
        server, _ = serve(env={"NOTIFY_SOCKET": name})
        ready = manager.recv(999)
        assert ready.startswith(b"READY=1\n")
        for spoil in (False, True):
            if spoil:
                site.files.key.write_text("nonsense")
            before = time.monotonic_ns() // 1000
            server.signal(signal.SIGHUP)
            first, second = manager.recv(999).split(b"\n")
            assert first == b"RELOADING=1"
            assert int(second.removeprefix(b"MONOTONIC_USEC=")) >= before
            assert manager.recv(999) == ready
        server.wait_for("Certificates read again")
        server.wait_for("Certificates not changed")
        assert server.stop() == 0
        assert manager.recv(999).startswith(b"STOPPING=1\n")


def test_every_worker_looks_at_the_files(serve, site):
    server, port = serve("--workers", "2")
    site.add("site", "localhost")
    server.wait_for("Certificates read again")
    server.wait_for("Certificates read again")
    assert ask(port, site.trust)[0].isdigit()
    assert server.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_redirects_come_from_every_kind_of_service(serve, site, workers):
    place = ("127.0.0.1", free_port())
    server, port = serve("--workers", workers, "--redirect-bind", "{}:{}".format(*place))
    with socket.create_connection(place, TIMEOUT) as client:
        client.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert f"location: https://localhost:{port}/x\r\n".encode() in client.recv(65536)
    assert server.stop() == 0


def test_redirects_go_on_under_a_new_supervisor(serve, site):
    server, port = serve("--supervise", "--redirect-bind", "127.0.0.1:0")
    redirects = int(re.search(r"Redirecting from \S+:(\d+)", server.stderr)[1])
    new = server.process.pid
    for _ in range(2):
        new = upgrade(server, new)
        with socket.create_connection(("127.0.0.1", redirects), TIMEOUT) as sock:
            sock.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = sock.recv(65536)
            assert f"location: https://a:{port}/x".encode() in answer
        assert ask(port, site.trust)[0].isdigit()
    os.kill(new, signal.SIGTERM)
    server.wait_for(rf"Stopped supervisor \[{new}\]")
    server.finish()


def test_nobody_waits_for_redirects_that_the_settings_want_no_more(serve, site):
    config = site.folder / "katana.toml"
    config.write_text('redirect-bind = "127.0.0.1:0"\n')
    server, port = serve("--supervise", "--config", str(config))
    redirects = int(re.search(r"Redirecting from \S+:(\d+)", server.stderr)[1])
    config.write_text("")
    new = upgrade(server, server.process.pid)
    server.process.wait(TIMEOUT)  # it closes the socket behind its last words
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", redirects), TIMEOUT)
    assert ask(port, site.trust)[0].isdigit()
    os.kill(new, signal.SIGTERM)
    server.wait_for(rf"Stopped supervisor \[{new}\]")
    server.finish()


def upgrade(server, old):
    """SIGUSR2 to supervisor ``old``; the process id of the next."""
    os.kill(old, signal.SIGUSR2)
    new = server.wait_for(r"The new supervisor \[(\d+)\] is ready, stopping")[1]
    server.wait_for(rf"Stopped supervisor \[{old}\]")
    return int(new)


def test_the_address_for_redirects_may_be_taken(site):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        (site.folder / "main.py").write_text(MAIN)
        for workers in ("1", "2"):
            flags = ("--redirect-bind", place, "--workers", workers)
            with ServerProcess("main:app", *site.flags, *flags, cwd=site.folder) as server:
                assert server.finish() == 1
            assert f"cannot listen on {place}: the address is in use" in server.stderr


def checked(site, *flags: str, **environment: str) -> str:
    """The same in this process, where nothing is served."""
    with redirect_stderr(StringIO()) as errors, pytest.MonkeyPatch.context() as patch:
        patch.chdir(site.folder)
        for name, value in environment.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(["main:app", *flags, "--check-config"])
    assert ended.value.code == 2
    return errors.getvalue()


def refused(site, *flags: str, **environment: str) -> str:
    """What a server says that does not start for its settings; with --check-config the same."""
    said = {checked(site, *flags, **environment)}
    for more in ([], ["--workers", "2"]) if FULL else ([],):
        with ServerProcess("main:app", *flags, *more, cwd=site.folder, env=environment) as server:
            assert server.finish() == 2, server.stderr
        said.add(server.stderr)
    (line,) = said
    assert line.count("\n") == 1
    return line


def test_files_that_cannot_be_used_are_refused_before_anything_is_bound(site):
    certificate, key = map(str, site.files)
    other = site.add("other", "other.example")
    flag = ("--ssl-certfile", certificate)
    assert "it holds no private key in PEM form" in refused(site, *flag)
    assert "does not belong to the certificate" in refused(
        site, *flag, "--ssl-keyfile", str(other.key)
    )
    assert "it holds no certificate in PEM form" in refused(site, "--ssl-certfile", key)
    assert "cannot be read (No such file" in refused(site, "--ssl-certfile", "missing.pem")
    assert "use it together with ssl_certfile" in refused(site, "--ssl-keyfile", key)
    assert "use it together with ssl_certfile" in refused(site, "--hsts", "max-age=1")
    flag = (*flag, "--ssl-keyfile", key)
    assert "use it together with ssl_ca_certs" in refused(site, *flag, "--ssl-cert-reqs", "2")
    assert "selects nothing" in refused(site, *flag, "--ssl-ciphers", "NONSENSE")
    assert "use max-age=SECONDS" in refused(site, *flag, "--hsts", "600")
    assert "use HOST:PORT" in refused(site, *flag, "--redirect-bind", "80")
    assert "use HOST=CERT:KEY" in refused(site, *flag, "--ssl-sni", "example.org")
    assert "xn--" in refused(site, *flag, "--ssl-sni", f"bücher.example={certificate}:{key}")
    broken = site.folder / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert "cannot be used" in refused(site, "--ssl-certfile", str(broken), "--ssl-keyfile", key)
    assert "cannot be used" in refused(site, *flag, "--ssl-ca-certs", str(broken))


def encrypted(site) -> Files:
    """The key of the site with the password "secret"."""
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(site.files.key.read_bytes(), None)
    path = site.folder / "encrypted.key"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    return Files(site.files.certificate, path)


def test_a_key_may_have_a_password_which_is_never_asked_for_and_never_shown(site):
    certificate, key = map(str, encrypted(site))
    flags = ("--ssl-certfile", certificate, "--ssl-keyfile", key)
    assert "it needs ssl_keyfile_password" in refused(site, *flags)
    assert "its password is wrong" in refused(site, *flags, KATANA_SSL_KEYFILE_PASSWORD="guess")
    flags = (*flags, "--ssl-keyfile-password", "secret", "--print-config", "--check-config")
    with ServerProcess("main:app", *flags, cwd=site.folder) as server:
        assert server.finish() == 0
    assert "# ssl-keyfile-password is set\n" in server.stdout
    assert "secret" not in server.stdout


def test_certificates_by_name_come_from_flags_variables_and_the_file(serve, site):
    one = site.add("one", "one.example")
    (site.folder / "katana.toml").write_text(
        f'[ssl-sni]\n"one.example" = "{one.certificate}:{one.key}"\n'
        f'"two.example" = ["{one.certificate}", "{one.key}"]\n'
    )
    _, port = serve("--config", "katana.toml")
    trust = site.client()
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
        with trust.wrap_socket(sock, server_hostname="one.example"):
            pass
    both = site.folder / "both.pem"
    both.write_bytes(one.key.read_bytes() + one.certificate.read_bytes())
    for flags, environment in (
        (("--ssl-sni", f"one.example={both}"), {}),
        ((), {"KATANA_SSL_SNI": f"one.example={one.certificate}:{one.key}"}),
    ):
        _, port = serve(*flags, env=environment)
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
            with trust.wrap_socket(sock, server_hostname="one.example"):
                pass


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_curl_gets_an_answer_over_tls(serve, site):
    _, port = serve()
    assert CURL is not None
    authority = str(site.folder / "authority.pem")
    common = [CURL, "-sS", "--noproxy", "*", "--max-time", "10", "--cacert", authority]
    where = f"https://localhost:{port}/"
    pid = subprocess.run([*common, where, where], capture_output=True, check=True).stdout
    assert pid.isdigit()
    large = [*common, "--http1.1", "--data-binary", "@-", "-w", " %{http_code}", where]
    told = subprocess.run(large, input=bytes(2**22), capture_output=True, check=True).stdout
    assert told.endswith(b" 200")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_host_name_of_any_bytes_is_no_text_in_the_error_output(serve, site, workers):
    server, port = serve("--workers", workers)
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock:
            sock.sendall(first_message(site, b"\xff\xfe.example"))
            while sock.recv(4096):  # until it is closed
                pass
        assert ask(port, site.trust)[0].isdigit()
    assert server.stop() == 0
    assert "example" not in server.stderr
    assert "Error" not in server.stderr


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
def test_openssl_finds_no_renegotiation_and_no_early_data(serve, site):
    _, port = serve()
    assert OPENSSL is not None
    client = [OPENSSL, "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost"]
    client += ["-CAfile", str(site.folder / "authority.pem"), "-alpn", "h2,http/1.1"]

    def told(*flags: str, given: bytes) -> str:
        result = subprocess.run(
            [*client, *flags], input=given, capture_output=True, timeout=TIMEOUT, check=False
        )
        return (result.stdout + result.stderr).decode("latin-1")

    said = told("-tls1_3", given=b"Q\n")
    assert "Verify return code: 0 (ok)" in said
    assert "ALPN protocol: h2" in said
    assert "Max Early Data: 0" in said or "Early data was not sent" in said
    said = told("-tls1_2", given=b"R\n")
    assert "no renegotiation" in said
    assert "Compression: NONE" in told("-tls1_2", given=b"Q\n")


def scan(port, *commands):
    """What sslyze finds with some of its commands, named as in ``ScanCommand``."""
    sslyze = pytest.importorskip("sslyze")
    location = sslyze.ServerNetworkLocation("localhost", port, ip_address="127.0.0.1")
    wanted = {getattr(sslyze.ScanCommand, command) for command in commands}
    scanner = sslyze.Scanner()
    scanner.queue_scans([sslyze.ServerScanRequest(location, scan_commands=wanted)])
    (found,) = scanner.get_results()
    assert found.scan_result is not None, found
    return found.scan_result


def test_a_scan_finds_nothing_weak(serve, site):
    _, port = serve()
    result = scan(
        port,
        "TLS_1_1_CIPHER_SUITES",
        "TLS_1_2_CIPHER_SUITES",
        "TLS_1_3_CIPHER_SUITES",
        "TLS_COMPRESSION",
        "SESSION_RENEGOTIATION",
        "TLS_FALLBACK_SCSV",
    )
    assert not result.tls_1_1_cipher_suites.result.accepted_cipher_suites
    suites = result.tls_1_2_cipher_suites.result.accepted_cipher_suites
    names = {each.cipher_suite.name for each in suites}
    assert names
    assert all("ECDHE" in name and ("GCM" in name or "CHACHA" in name) for name in names)
    assert result.tls_1_3_cipher_suites.result.accepted_cipher_suites
    assert not result.tls_compression.result.supports_compression
    assert not result.session_renegotiation.result.is_vulnerable_to_client_renegotiation_dos
    assert result.tls_fallback_scsv.result.supports_fallback_scsv


def test_openssls_own_file_bounds_the_groups_to_those_of_mozilla(serve, site):
    settings = ROOT / "examples" / "deployment" / "openssl.cnf"
    _, port = serve(env={"OPENSSL_CONF": str(settings)})
    found = scan(port, "ELLIPTIC_CURVES").elliptic_curves.result.supported_curves
    assert {curve.name for curve in found} == {"X25519", "secp256r1", "secp384r1"}
