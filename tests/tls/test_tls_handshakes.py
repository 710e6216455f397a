"""Who gets through a TLS handshake, with which certificate, and what becomes of the others."""

from __future__ import annotations

import asyncio
import datetime
import logging
import socket
import ssl
from contextlib import suppress

import pytest
import trustme
from tls_client import connect, first_message, served_certificate

from katana_asgi import StaticRoute
from katana_asgi.testing import HttpPeer, running
from katana_asgi.worker.channel import ShutdownMode
from tests.applications import Probe, get, respond
from tests.support import TIMEOUT, within


async def app(scope, receive, send):
    await respond(send, b"ok")


def shown(files) -> bytes:
    """The certificate of files, in DER."""
    return ssl.PEM_cert_to_DER_cert(
        files.certificate.read_text().partition("-----END")[0] + "-----END CERTIFICATE-----\n"
    )


async def gets_through(server, context) -> bool:
    """Whether a request is answered. In TLS 1.3 a client ends its handshake before it is judged."""
    try:
        async with await connect(server, context) as client:
            await client.send(get())
            await client.response()
    except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
        return False
    return True


async def until(condition) -> None:
    """Wait for what a server does on its own."""

    async def look() -> None:
        while not condition():
            await asyncio.sleep(0.02)

    await within(look())


async def test_plain_http_is_told_that_this_is_https_and_logged_only_for_debugging(site, caplog):
    caplog.set_level(logging.DEBUG, "katana_asgi.error")
    async with running(app, lifespan="off", **site.settings) as server:
        async with await server.connect() as client:
            await client.send(get())
            response = await client.response()
            assert (response.status, response.body) == (400, b"this address speaks https only\n")
            assert await client.closed()
    records = [record for record in caplog.records if "plain HTTP" in record.getMessage()]
    assert [record.levelno for record in records] == [logging.DEBUG]


async def test_what_is_neither_tls_nor_http_is_closed_without_a_word(site):
    async with running(app, lifespan="off", **site.settings) as server:
        async with await server.connect() as client:
            await client.send(b"\x00\x01\x02")
            assert await client.closed()


async def test_failed_handshakes_leave_no_line_above_debug_and_no_connection(site, caplog):
    async with running(app, lifespan="off", **site.settings) as server:
        for garbage in (b"\x16\x03\x01\x00\x05hello", b"\x16" + b"\xff" * 100, b"\x16"):
            for _ in range(5):
                async with await server.connect() as client:
                    await client.send(garbage)
                    if len(garbage) > 1:
                        await client.rest()
        client = await server.connect()
        await client.send(b"\x16\x03\x01")
        client.reset()
        distrustful = ssl.create_default_context()
        for _ in range(5):
            with pytest.raises(ssl.SSLError):
                await connect(server, distrustful)
        await until(lambda: server.server.connections == 0)
        async with await connect(server, site.trust) as client:
            await client.send(get())
            assert (await client.response()).body == b"ok"
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


# Of a name that is not ASCII Python's ssl itself has that to say, before it asks the server.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("host", [b"\xff\xfe.example", b"a\nb\x1b[2J.example", b"." * 60])
async def test_a_host_name_that_is_none_leaves_no_line_and_no_connection(site, host, caplog):
    sni = [("one.example", *site.add("one", "one.example"))]
    async with running(app, lifespan="off", ssl_sni=sni, **site.settings) as server:
        async with await server.connect() as client:
            await client.send(first_message(site, host))
            await client.reader.read(1)
        await until(lambda: server.server.connections == 0)
        async with await connect(server, site.trust) as client:
            await client.send(get())
            assert (await client.response()).body == b"ok"
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


@pytest.mark.parametrize("begin", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"])
async def test_a_handshake_has_to_come_in_time(site, begin):
    settings = {"ssl_handshake_timeout": 0.3, **site.settings}
    async with running(app, lifespan="off", **settings) as server:
        async with await server.connect() as client:
            await client.send(begin)
            assert await client.closed()
        await until(lambda: server.server.connections == 0)


async def test_connections_in_their_handshake_count_and_end_with_the_server(site):
    async with running(app, lifespan="off", **site.settings) as server:
        async with await server.connect() as silent, await server.connect() as begun:
            await begun.send(b"\x16\x03\x01\x02\x00\x01")
            await until(lambda: server.server.connections == 2)
            await within(server.server.close())
            assert await silent.closed()
            assert await begun.closed()


async def test_a_handshake_that_ends_while_the_worker_drains_still_brings_a_request(site):
    ended = asyncio.Event()

    async def lives(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            ended.set()
            await send({"type": "lifespan.shutdown.complete"})
            return
        for _ in range(10):
            await asyncio.sleep(0)
        await respond(send, b"out of time" if ended.is_set() else b"in time")

    async with running(lives, **site.settings) as server:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = site.trust.wrap_bio(incoming, outgoing, server_hostname="localhost")
        async with await server.connect() as client:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await client.send(outgoing.read())
                    incoming.write(await within(client.reader.read(65536)))
            server.server.stop(mode=ShutdownMode.HANDOVER)
            closing = asyncio.ensure_future(server.server.close())
            await until(lambda: server.server.context.draining)
            for _ in range(5):
                await asyncio.sleep(0)
            tls.write(get())
            await client.send(outgoing.read())  # with the end of the handshake
            answer = b""
            while b"time" not in answer:
                incoming.write(await within(client.reader.read(65536)))
                with suppress(ssl.SSLWantReadError):
                    answer += tls.read(65536)
            assert answer.endswith(b"\r\n\r\nin time")
        await within(closing)


async def test_a_connection_too_many_is_told_so(site):
    settings = {"limit_connections": 1, **site.settings}
    async with running(app, lifespan="off", **settings) as server:
        async with await server.connect():
            await until(lambda: server.server.connections == 1)
            async with await connect(server, site.trust) as client:
                assert (await client.response()).status == 503


async def test_tls_1_2_and_1_3_are_spoken_and_nothing_older(site):
    async with running(app, lifespan="off", **site.settings) as server:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            trust = site.client()
            trust.minimum_version = trust.maximum_version = version
            async with await connect(server, trust) as client:
                await client.send(get())
                assert (await client.response()).body == b"ok"
        old = site.client()
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await connect(server, old)


async def test_a_server_may_ask_for_tls_1_3(site):
    settings = {"ssl_minimum_version": "1.3", **site.settings}
    async with running(app, lifespan="off", **settings) as server:
        trust = site.client()
        trust.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await connect(server, trust)


@pytest.mark.parametrize(
    ("http2", "offered", "agreed"),
    [
        ("auto", ["http/1.1", "h2"], "h2"),
        ("tls", ["h2"], "h2"),
        ("off", ["h2", "http/1.1"], "http/1.1"),
        ("auto", ["http/1.1"], "http/1.1"),
        ("auto", ["spdy/3"], None),
        ("off", ["h2"], None),
    ],
)
async def test_what_client_and_server_agree_on(site, http2, offered, agreed):
    async with running(app, lifespan="off", http2=http2, **site.settings) as server:
        site.trust.set_alpn_protocols(offered)
        async with await connect(server, site.trust) as client:
            peer = client.writer.get_extra_info("ssl_object")
            assert peer.selected_alpn_protocol() == agreed


async def test_the_host_name_chooses_the_certificate(site):
    one, wild = site.add("one", "one.example"), site.add("wild", "*.wild.example")
    sni = [("One.Example", *one), ("*.wild.example", *wild)]
    async with running(app, lifespan="off", ssl_sni=sni, **site.settings) as server:
        expected = {
            "one.example": one,
            "a.wild.example": wild,
            "localhost": site.files,
        }
        for host, files in expected.items():
            async with await connect(server, site.trust, host) as client:
                assert served_certificate(client) == shown(files)
        site.trust.check_hostname = False
        for host in ("other.example", "wild.example", "a.b.wild.example"):
            async with await connect(server, site.trust, host) as client:
                assert served_certificate(client) == shown(site.files)


async def test_a_client_certificate_is_asked_for_and_shown_to_the_application(site):
    probe = Probe(lambda scope, receive, send: respond(send))
    settings = {
        "ssl_ca_certs": site.folder / "authority.pem",
        "ssl_cert_reqs": "required",
        **site.settings,
    }
    async with running(probe, lifespan="off", **settings) as server:
        async with await connect(server, site.client("person@example.org")) as client:
            await client.send(get() * 2)
            await client.response()
            await client.response()
            used = client.writer.get_extra_info("ssl_object")
            version, cipher = used.version(), used.cipher()[0]
    assert (version, cipher) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    for scope in probe.scopes:
        tls = scope["extensions"]["tls"]
        assert tls["server_cert"] in site.files.certificate.read_text().replace("\r\n", "\n")
        assert (tls["tls_version"], tls["cipher_suite"]) == (0x0304, 0x1302)
        assert tls["client_cert_error"] is None
        assert tls["client_cert_chain"][0].startswith("-----BEGIN CERTIFICATE-----\n")
        assert "OU=Testing cert" in tls["client_cert_name"]
    first, second = (scope["extensions"]["tls"] for scope in probe.scopes)
    assert first is not second


async def test_without_a_client_certificate_the_extension_says_so(site):
    probe = Probe(lambda scope, receive, send: respond(send))
    async with running(probe, lifespan="off", **site.settings) as server:
        async with await connect(server, site.trust) as client:
            await client.send(get())
            await client.response()
    tls = probe.scopes[0]["extensions"]["tls"]
    assert (tls["client_cert_chain"], tls["client_cert_name"]) == ((), None)


@pytest.mark.parametrize("kind", ["none", "foreign", "expired"])
async def test_a_client_without_a_valid_certificate_gets_no_connection(site, kind):
    settings = {
        "ssl_ca_certs": site.folder / "authority.pem",
        "ssl_cert_reqs": "required",
        **site.settings,
    }
    context = site.client()
    if kind == "foreign":
        trustme.CA().issue_cert("person@example.org").configure_cert(context)
    elif kind == "expired":
        yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        expired = site.authority.issue_cert("person@example.org", not_after=yesterday)
        expired.configure_cert(context)
    async with running(app, lifespan="off", **settings) as server:
        assert not await gets_through(server, context)
        await until(lambda: server.server.connections == 0)


async def test_optional_means_with_or_without(site):
    settings = {
        "ssl_ca_certs": site.folder / "authority.pem",
        "ssl_cert_reqs": "1",
        **site.settings,
    }
    async with running(app, lifespan="off", **settings) as server:
        for context in (site.trust, site.client("person@example.org")):
            assert await gets_through(server, context)


async def test_changed_certificates_are_used_while_open_connections_go_on(site, caplog):
    caplog.set_level(logging.INFO, "katana_asgi.error")
    settings = {"timeout_header": 0.5, **site.settings}  # the clock looks ten times a second
    async with running(app, lifespan="off", **settings) as server:
        async with await connect(server, site.trust) as client:
            await client.send(get())
            await client.response()
            before = served_certificate(client)
            site.add("site", "localhost")
            await until(lambda: "Certificates read again" in caplog.text)
            async with await connect(server, site.trust) as other:
                assert served_certificate(other) == shown(site.files) != before
            await client.send(get())
            assert (await client.response()).body == b"ok"


async def test_broken_files_are_logged_once_and_the_old_certificate_serves_on(site, caplog):
    settings = {"timeout_header": 0.5, **site.settings}
    async with running(app, lifespan="off", **settings) as server:
        before = shown(site.files)
        whole = site.files.key.read_bytes()
        site.files.key.write_bytes(b"nonsense")
        await until(lambda: "Certificates not changed" in caplog.text)
        async with await connect(server, site.trust) as client:
            assert served_certificate(client) == before
        site.files.key.unlink()
        await until(lambda: "No such file" in caplog.text)
        assert caplog.text.count("Certificates not changed") == 2
        caplog.set_level(logging.INFO, "katana_asgi.error")
        site.files.key.write_bytes(whole)
        await until(lambda: "Certificates read again" in caplog.text)


async def test_new_authorities_are_believed_and_old_ones_not_any_more(site):
    other = trustme.CA()
    trusted = site.folder / "authority.pem"
    settings = {"ssl_ca_certs": trusted, "ssl_cert_reqs": "required", **site.settings}
    async with running(app, lifespan="off", **settings) as server:
        new = site.client()
        other.issue_cert("person@example.org").configure_cert(new)
        other.cert_pem.write_to_path(str(trusted))
        server.server.reload_certificates()
        assert await gets_through(server, new)
        assert not await gets_through(server, site.client("person@example.org"))


async def test_sessions_are_resumed_also_after_new_certificates(site):
    async with running(app, lifespan="off", **site.settings) as server:
        site.trust.maximum_version = ssl.TLSVersion.TLSv1_2  # asyncio cannot resume: by hand
        loop = asyncio.get_running_loop()

        def session(old):
            with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as sock:
                with site.trust.wrap_socket(sock, server_hostname="localhost", session=old) as tls:
                    return tls.session, tls.session_reused

        first, reused = await loop.run_in_executor(None, session, None)
        assert not reused
        server.server.reload_certificates()
        _, reused = await loop.run_in_executor(None, session, first)
        assert reused


async def test_hsts_is_said_with_every_response_over_tls(site):
    settings = {"hsts": "max-age=600; includeSubDomains", **site.settings}
    async with running(app, lifespan="off", **settings) as server:
        async with await connect(server, site.trust) as client:
            await client.send(get(), b"nonsense\r\n\r\n")
            for status in (200, 400):
                response = await client.response()
                assert response.status == status
                assert (
                    response.header(b"strict-transport-security")
                    == b"max-age=600; includeSubDomains"
                )


@pytest.mark.parametrize(
    ("request_", "place"),
    [
        (get("/a%20b?c=d"), b"https://example:%d/a%%20b?c=d"),
        (get("/", method="HEAD"), b"https://example:%d/"),
        (get("*", method="OPTIONS"), b"https://example:%d/"),
        (get("http://other:80/x"), b"https://other:%d/x"),
        (b"GET //evil/ HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", b"https://[::1]:%d//evil/"),
        (get("/", "Content-Length: 3", method="POST") + b"abc", b"https://example:%d/"),
    ],
)
async def test_plain_http_is_redirected_to_the_same_place(site, request_, place):
    settings = {"redirect_bind": "127.0.0.1:0", "hsts": "max-age=1", **site.settings}
    async with running(app, lifespan="off", **settings) as server:
        port = int(server.server.redirects.rpartition(":")[2])
        async with await HttpPeer.open("127.0.0.1", port) as client:
            await client.send(request_)
            response = await client.response(request_.split()[0].decode())
            assert response.status == 308
            assert response.header(b"location") == place % server.port
            assert response.header(b"strict-transport-security") is None
            assert await client.closed()


@pytest.mark.parametrize("target", ["/", "/static"])
async def test_a_request_that_is_known_from_tls_is_redirected_like_any_other(site, target):
    """The worker remembers heads for all of its connections; what answers them is not the same."""
    route = StaticRoute(path="/static", body="for TLS")
    settings = {"redirect_bind": "127.0.0.1:0", "static_route": (route,), **site.settings}
    async with running(app, lifespan="off", **settings) as server:
        port = int(server.server.redirects.rpartition(":")[2])
        for _ in range(8):  # a head is remembered when all of its parts have come twice
            async with await connect(server, site.trust) as client:
                await client.send(get(target))
                assert (await client.response()).status == 200
        async with await HttpPeer.open("127.0.0.1", port) as client:
            await client.send(get(target))
            response = await client.response()
            assert response.status == 308
            assert response.header(b"location") == b"https://example:%d%b" % (
                server.port,
                target.encode(),
            )
            assert await client.closed()


@pytest.mark.parametrize("target", ["/", "/static"])
async def test_a_request_that_is_known_from_redirects_is_answered_over_tls(site, target):
    route = StaticRoute(path="/static", body="for TLS")
    settings = {"redirect_bind": "127.0.0.1:0", "static_route": (route,), **site.settings}
    async with running(app, lifespan="off", **settings) as server:
        port = int(server.server.redirects.rpartition(":")[2])
        for _ in range(8):
            async with await HttpPeer.open("127.0.0.1", port) as client:
                await client.send(get(target))
                assert (await client.response()).status == 308
        async with await connect(server, site.trust) as client:
            await client.send(get(target))
            assert (await client.response()).status == 200


@pytest.mark.parametrize(
    "host", ["", "Host: a b", "Host: a\r\nHost: b", "Host:", "Host: a@b", "Host: :80"]
)
async def test_no_redirect_without_one_valid_host(site, host):
    settings = {"redirect_bind": "127.0.0.1:0", "redirect_port": 443, **site.settings}
    async with running(app, lifespan="off", **settings) as server:
        port = int(server.server.redirects.rpartition(":")[2])
        async with await HttpPeer.open("127.0.0.1", port) as client:
            await client.send(
                f"GET / HTTP/1.1\r\n{host}\r\n\r\n".replace("\r\n\r\n\r\n", "\r\n\r\n").encode()
            )
            assert (await client.response()).status == 400


async def test_broken_content_behind_a_redirect_gets_no_second_answer(site, caplog):
    settings = {"redirect_bind": "127.0.0.1:0", **site.settings}
    async with running(app, lifespan="off", **settings) as server:
        port = int(server.server.redirects.rpartition(":")[2])
        async with await HttpPeer.open("127.0.0.1", port) as client:
            head = get("/", "Transfer-Encoding: chunked", method="POST")
            await client.send(head + b"nonsense\r\n")
            assert (await client.response()).status == 308
            assert await client.rest() == b""
    assert not caplog.records


async def test_the_usual_port_is_not_named_in_a_redirect(site):
    settings = {"redirect_bind": "127.0.0.1:0", "redirect_port": 443, **site.settings}
    async with running(app, lifespan="off", **settings) as server:
        port = int(server.server.redirects.rpartition(":")[2])
        async with await HttpPeer.open("127.0.0.1", port) as client:
            await client.send(get("/x"))
            assert (await client.response()).header(b"location") == b"https://example/x"
