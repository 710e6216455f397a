"""An upload that is refused before it is read: the client gets the answer (RFC 9112 §9.6)."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from raw_uploads import Uploader
from uploads import CLIENTS, PATHS, REFUSING

from tests.patience import PATIENCE
from tests.support import ServerProcess

SERVERS = {
    "plain": (),
    "plain-asyncio": ("--loop", "asyncio"),
    "tls": ("tls",),
    "tls-asyncio": ("tls", "--loop", "asyncio"),
    "limited": ("--limit-body-size", "500KB"),
    "limited-tls": ("tls", "--limit-body-size", "500KB"),
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory, site):
    """The base address of each server; started when it is asked for first."""
    place = tmp_path_factory.mktemp("refusing")
    (place / "refusing.py").write_text(REFUSING)
    with ExitStack() as stack:
        found = {}

        def serve(kind):
            if kind not in found:
                flags = [each for each in SERVERS[kind] if each != "tls"]
                if "tls" in SERVERS[kind]:
                    flags += site.flags
                arguments = ("refusing:app", "--no-access-log", *flags)
                server = stack.enter_context(ServerProcess(*arguments, cwd=place))
                port = server.wait_listening().rpartition(":")[2]
                scheme = "https" if "tls" in kind else "http"
                found[kind] = f"{scheme}://localhost:{port}"
            return found[kind]

        yield serve


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("kind", ["plain", "tls-asyncio"])
def test_the_status_arrives(servers, site, kind, client):
    base = servers(kind)
    trust = site.trust if base.startswith("https") else None
    for path, status in PATHS.items():
        assert CLIENTS[client](base + path, 3_000_000, trust) == status
    sizes = (900_000, 1_500_000, 9_000_000, 60_000_000)
    assert [CLIENTS[client](f"{base}/refused", size, trust) for size in sizes] == [413] * 4


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("kind", ["limited", "limited-tls"])
def test_the_status_of_the_size_limit_arrives(servers, site, kind, client):
    base = servers(kind)
    trust = site.trust if base.startswith("https") else None
    sizes = (900_000, 9_000_000)
    assert [CLIENTS[client](f"{base}/items/", size, trust) for size in sizes] == [413] * 2


HOST = b"Host: a\r\n"
LENGTH = b"Content-Length: 3000000\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

REFUSED = {
    "by the application": (b"POST /refused HTTP/1.1\r\n" + HOST + LENGTH, b"413"),
    "asked for the end": (
        b"POST /refused HTTP/1.1\r\nConnection: close\r\n" + HOST + LENGTH,
        b"413",
    ),
    "of HTTP/1.0": (b"POST /refused HTTP/1.0\r\n" + LENGTH, b"413"),
    "for its head": (b"POST /refused HTTP/1.1\r\n" + HOST + HOST + LENGTH, b"400"),
    "for its target": (b"POST /" + b"a" * 20_000 + b" HTTP/1.1\r\n" + HOST + LENGTH, b"414"),
    "for its expectation": (
        b"POST /refused HTTP/1.1\r\nExpect: tea\r\n" + HOST + LENGTH,
        b"417",
    ),
    "for its version": (b"POST /refused HTTP/2.1\r\n" + HOST + LENGTH, b"505"),
    "for its first chunk": (b"POST /items/ HTTP/1.1\r\n" + HOST + CHUNKED, b"400"),
}


@pytest.mark.parametrize("kind", ["plain", "plain-asyncio", "tls", "tls-asyncio"])
def test_a_client_that_reads_only_after_its_upload_gets_the_answer(servers, site, kind):
    """It sends a part, and the rest when the answer has come long since, at a pace."""
    base = servers(kind)
    trust = site.trust if base.startswith("https") else None
    content = b"zz" + bytes(2_999_998)
    uploads = {name: Uploader(base, trust, head, content) for name, (head, _) in REFUSED.items()}
    for upload in uploads.values():
        upload.start()
    statuses = {name: upload.status() for name, upload in uploads.items()}
    assert statuses == {name: status for name, (_, status) in REFUSED.items()}


@pytest.mark.parametrize("kind", ["tls", "tls-asyncio", "plain"])
def test_a_refusal_ends_promptly_where_nothing_more_comes(servers, site, kind):
    base = servers(kind)
    trust = site.trust if base.startswith("https") else None
    heads = [
        b"no request\r\n",
        b"POST /refused HTTP/1.1\r\n" + HOST + LENGTH,
        b"POST /refused HTTP/1.1\r\nExpect: 100-continue\r\n" + HOST + LENGTH,
        b"POST /items/ HTTP/1.1\r\n" + HOST + CHUNKED,
    ]
    contents = [b"", b"", b"", b"zz\r\n"]
    uploads = [Uploader(base, trust, *each, pause=0) for each in zip(heads, contents, strict=True)]
    for upload in uploads:
        upload.start()
    for upload in uploads:
        upload.status()
    assert max(upload.until_closed for upload in uploads) < 1.5 * PATIENCE


def test_plain_http_on_a_port_of_tls_gets_its_answer_after_an_upload(servers):
    head = b"POST /refused HTTP/1.1\r\n" + HOST + LENGTH
    upload = Uploader(servers("tls"), None, head, bytes(3_000_000))
    upload.start()
    assert upload.status() == b"400"
