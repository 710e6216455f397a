"""What stands in the scope of a request (ASGI HTTP 2.3 to 2.5; RFC 9112 §3)."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from katana_asgi.testing import HttpPeer, running
from tests.applications import Probe, get, respond
from tests.support import talking


async def ok(scope, receive, send):
    await respond(send, b"ok")


async def scope_of(request: bytes, http: str, **settings):
    """The scope that one request makes."""
    probe = Probe(ok)
    async with running(probe, http=http, **settings) as server:
        response = await server.exchange(request)
    assert response.status == 200
    return probe.scopes[0]


# -- who speaks to whom


async def test_client_and_server_are_addresses_with_int_ports(http):
    probe = Probe(ok)
    async with running(probe, http=http) as server, await server.connect() as connection:
        await connection.send(get())
        await connection.response()
        ours = connection.writer.get_extra_info("sockname")
    scope = probe.scopes[0]
    assert tuple(scope["client"]) == ours
    assert tuple(scope["server"]) == (server.host, server.port)
    assert type(scope["client"][1]) is int
    assert type(scope["server"][1]) is int


async def test_a_wildcard_listener_names_the_address_the_client_chose(http):
    probe = Probe(ok)
    async with (
        running(probe, http=http, host="0.0.0.0") as server,
        await HttpPeer.open("127.0.0.1", server.port) as connection,
    ):
        await connection.send(get())
        await connection.response()
    assert tuple(probe.scopes[0]["server"]) == ("127.0.0.1", server.port)


async def test_over_a_unix_socket_the_server_is_its_path_and_there_is_no_client(http):
    probe = Probe(ok)
    with TemporaryDirectory() as directory:
        path = str(Path(directory) / "socket")
        async with (
            running(probe, http=http, uds=path),
            await HttpPeer.open_unix(path) as connection,
        ):
            await connection.send(get())
            await connection.response()
    assert list(probe.scopes[0]["server"]) == [path, None]
    assert probe.scopes[0]["client"] is None


FORWARDED = (
    "X-Forwarded-For: 192.0.2.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: public.example",
    "X-Forwarded-Port: 8443",
    "X-Forwarded-Prefix: /app",
    "Forwarded: for=192.0.2.2;proto=https;host=other.example",
)


async def test_a_trusted_proxy_is_believed_about_client_and_scheme_only(http):
    plain = await scope_of(get("/a"), http)
    scope = await scope_of(get("/a", *FORWARDED), http)
    assert (scope["client"], scope["scheme"]) == (("192.0.2.1", 0), "https")
    assert (scope["path"], scope["raw_path"], scope["root_path"]) == ("/a", b"/a", "")
    assert scope["server"][0] == plain["server"][0]
    assert scope["server"][1] != 8443
    assert scope["headers"][: len(plain["headers"])] == plain["headers"]


async def test_what_else_a_trusted_proxy_says_is_believed_where_it_is_named(http):
    scope = await scope_of(get("/a", *FORWARDED), http, forwarded_fields="all")
    assert (scope["client"], scope["scheme"]) == (("192.0.2.1", 0), "https")
    assert (scope["path"], scope["raw_path"]) == ("/app/a", b"/app/a")
    assert (scope["root_path"], scope["server"][1]) == ("/app", 8443)
    assert [value for name, value in scope["headers"] if name == b"host"] == [b"public.example"]
    scope = await scope_of(get("/a", *FORWARDED), http, forwarded_fields=("forwarded",))
    assert (scope["client"], scope["root_path"]) == (("192.0.2.2", 0), "")
    assert [value for name, value in scope["headers"] if name == b"host"] == [b"other.example"]


# -- versions


async def test_the_asgi_versions_are_those_the_server_keeps(http):
    scope = await scope_of(get(), http)
    assert scope["type"] == "http"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.3"}


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_http_version_is_spelled_with_both_digits(http, version):
    scope = await scope_of(get(version=version), http)
    assert scope["http_version"] == version


# -- method, target, fields


async def test_the_method_is_as_sent(http):
    scope = await scope_of(get(method="M-SEARCH"), http)
    assert scope["method"] == "M-SEARCH"


async def test_headers_keep_order_and_duplicates_with_lower_case_names(http):
    request = b"GET / HTTP/1.1\r\nX-B: 2\r\nHost: a\r\nx-A:\t 1 \r\nX-b: 3\r\nX-Empty:\r\n\r\n"
    scope = await scope_of(request, http)
    assert list(scope["headers"]) == [
        (b"x-b", b"2"),
        (b"host", b"a"),
        (b"x-a", b"1"),
        (b"x-b", b"3"),
        (b"x-empty", b""),
    ]
    assert all(type(name) is type(value) is bytes for name, value in scope["headers"])


async def test_header_values_keep_every_byte_that_is_allowed(http):
    value = bytes(range(0x21, 0x7F)) + b" \t" + bytes(range(0x80, 0x100))
    scope = await scope_of(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + value + b"\r\n\r\n", http)
    assert dict(scope["headers"])[b"x"] == value


async def test_an_absolute_target_replaces_host_and_leaves_its_path(http):
    request = b"GET http://b.example:81/p%20q?x=1 HTTP/1.1\r\nX: 1\r\nHost: a\r\nY: 2\r\n\r\n"
    scope = await scope_of(request, http)
    assert list(scope["headers"]) == [(b"x", b"1"), (b"host", b"b.example:81"), (b"y", b"2")]
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/p q", b"/p%20q", b"x=1")


async def test_an_absolute_target_gives_an_http_1_0_request_a_host_first(http):
    scope = await scope_of(b"GET http://b/ HTTP/1.0\r\nX: 1\r\n\r\n", http)
    assert list(scope["headers"]) == [(b"host", b"b"), (b"x", b"1")]


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        ("/", "/", b"/", b""),
        ("/?", "/", b"/", b""),
        ("/a?b?c=/d%20", "/a", b"/a", b"b?c=/d%20"),
        ("/%C3%A4%20%2f%25", "/ä /%", b"/%C3%A4%20%2f%25", b""),
        ("/%ff", "/\ufffd", b"/%ff", b""),
        ("/%zz%", "/%zz%", b"/%zz%", b""),
        ("//a//b", "//a//b", b"//a//b", b""),
        ("/a/../b/.", "/a/../b/.", b"/a/../b/.", b""),
    ],
)
async def test_path_is_decoded_and_raw_path_is_as_sent(http, target, path, raw_path, query):
    scope = await scope_of(get(target), http)
    assert scope["path"] == path
    assert scope["raw_path"] == raw_path
    assert scope["query_string"] == query


async def test_options_for_the_whole_server_has_the_path_asterisk(http):
    scope = await scope_of(get("*", method="OPTIONS"), http)
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("*", b"*", b"")


async def test_a_mounted_application_finds_root_path_in_its_path(http):
    scope = await scope_of(get("/x%20y?q"), http, root_path="/mount/é/")
    assert scope["root_path"] == "/mount/é"
    assert scope["path"] == "/mount/é/x y"
    assert scope["raw_path"] == b"/mount/%C3%A9/x%20y"
    assert scope["query_string"] == b"q"


async def test_without_a_mount_root_path_is_empty_and_the_scheme_plain(http):
    scope = await scope_of(get(), http)
    assert scope["root_path"] == ""
    assert scope["scheme"] == "http"


# -- state, extensions, contexts


def with_state(handler):
    """An application whose lifespan puts a list into the state."""

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["shared"] = ["startup"]
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await handler(scope, receive, send)

    return app


async def test_state_is_a_shallow_copy_for_every_request(http):
    seen = []

    async def handler(scope, receive, send):
        state = scope["state"]
        seen.append((sorted(state), list(state["shared"])))
        state["own"] = 1
        state["shared"].append(scope["path"])
        await respond(send)

    app = with_state(handler)
    async with running(app, http=http) as server, await server.connect() as connection:
        await connection.send(get("/1") + get("/2"))
        await connection.response()
        await connection.response()
    names = ["katana.shutdown", "shared"]
    assert seen == [(names, ["startup"]), (names, ["startup", "/1"])]


async def test_without_lifespan_state_is_a_dictionary_of_its_own(http):
    probe = Probe(ok)
    async with running(probe, http=http, lifespan="off") as server:
        await server.exchange(get())
        await server.exchange(get())
    first, second = (scope["state"] for scope in probe.scopes)
    assert first.keys() == second.keys() == {"katana.shutdown"}
    assert first is not second


async def test_extensions_name_nothing_that_does_not_work(http):
    scope = await scope_of(get(), http)
    assert scope["extensions"] == {
        "http.response.early_hint": {},
        "http.response.pathsend": {},
        "http.response.zerocopysend": {},
    }


async def test_what_a_request_does_to_its_scope_does_not_reach_the_next(http):
    """The same read again is answered from a memo: its objects must not be shared."""
    seen = []

    async def vandal(scope, receive, send):
        extensions = {name: value.copy() for name, value in scope["extensions"].items()}
        seen.append((scope["asgi"].copy(), list(scope["headers"]), extensions))
        scope["asgi"].clear()
        scope["headers"].clear()
        scope["extensions"]["x"] = {}
        scope["extensions"]["http.response.pathsend"]["x"] = 1
        scope.clear()
        await respond(send)

    async with talking(vandal, http=http) as client:
        for _ in range(3):
            await client.send(get("/same"))
            assert (await client.response()).status == 200
    assert seen[0] == seen[1] == seen[2]
    asgi, headers, extensions = seen[0]
    assert asgi == {"version": "3.0", "spec_version": "2.3"}
    assert headers == [(b"host", b"example")]
    assert "x" not in extensions
    assert set(map(str, extensions.values())) == {"{}"}


variable: ContextVar[str] = ContextVar("variable", default="unset")


async def test_requests_run_in_copies_of_the_context_of_startup(http):
    seen = []
    gate = asyncio.Event()

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            variable.set("startup")
            await send({"type": "lifespan.startup.complete"})
            variable.set("too late")
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        seen.append(variable.get())
        variable.set(scope["path"])
        await gate.wait()
        seen.append(variable.get())
        await respond(send)

    variable.set("the test")
    async with running(app, http=http) as server, await server.connect() as connection:
        gate.set()
        await connection.send(get("/1") + get("/2"), get("/3"))
        for _ in range(3):
            await connection.response()
    assert seen == ["startup", "/1", "startup", "/2", "startup", "/3"]


async def test_concurrent_requests_do_not_see_each_others_context(http):
    seen = []
    arrived = asyncio.Queue()
    gate = asyncio.Event()

    async def app(scope, receive, send):
        variable.set(scope["path"])
        arrived.put_nowait(None)
        await gate.wait()
        seen.append(variable.get() == scope["path"])
        await respond(send)

    async with running(app, http=http, lifespan="off") as server:
        connections = [await server.connect() for _ in range(3)]
        for number, connection in enumerate(connections):
            await connection.send(get(f"/{number}"))
        for _ in connections:
            await arrived.get()
        gate.set()
        for connection in connections:
            async with connection:
                await connection.response()
    assert seen == [True, True, True]


async def test_without_lifespan_requests_start_from_the_context_of_the_server(http):
    seen = []

    async def app(scope, receive, send):
        seen.append(variable.get())
        await respond(send)

    variable.set("around the server")
    async with running(app, http=http, lifespan="off") as server:
        await server.exchange(get())
    assert seen == ["around the server"]


async def test_a_client_that_has_gone_at_once_is_not_taken_for_a_trusted_unix_socket(http):
    probe = Probe(ok)
    settings = {"forwarded_allow_ips": ("unix",), "lifespan": "off"}
    async with running(probe, http=http, **settings) as server:
        for _ in range(3):
            # Sent and reset before the server, in this very loop, comes to accept it.
            with socket.create_connection((server.host, server.port)) as client:
                client.sendall(get("/", "X-Forwarded-For: 192.0.2.1"))
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await server.exchange(get())
    assert "192.0.2.1" not in [scope["client"] and scope["client"][0] for scope in probe.scopes]
