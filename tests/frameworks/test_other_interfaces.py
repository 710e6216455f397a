"""Applications that are not ASGI 3: WSGI through a2wsgi, and ASGI 2."""

from __future__ import annotations

import threading

import pytest
from framework_client import browsing


def echo(environ, start_response):
    """A WSGI application that says what it was asked."""
    assert threading.current_thread() is not threading.main_thread()
    content = environ["wsgi.input"].read()
    said = [environ["REQUEST_METHOD"], environ["SCRIPT_NAME"], environ["PATH_INFO"]]
    said += [environ["QUERY_STRING"], environ.get("HTTP_X_GIVEN", ""), str(len(content))]
    start_response("201 Created", [("Content-Type", "text/plain"), ("X-From", "wsgi")])
    return [" ".join(said).encode("latin-1")]


@pytest.mark.parametrize("interface", ["auto", "wsgi"])
async def test_a_wsgi_application_answers(http, interface):
    async with browsing(echo, http=http, interface=interface) as (_, client):
        answer = await client.post("/path?query", content=bytes(200_000), headers={"x-given": "g"})
        assert (answer.status_code, answer.headers["x-from"]) == (201, "wsgi")
        assert answer.text == "POST  /path query g 200000"
        assert (await client.get("/")).text == "GET  /   0"
        assert (await client.head("/")).content == b""


async def test_no_header_of_a_client_becomes_the_variable_of_another(http):
    """WSGI variables have no hyphens: X_Remote_User would be X-Remote-User (CVE-2015-0219)."""
    environs = []

    def application(environ, start_response):
        environs.append(environ)
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    sent = [
        ("X-Remote-User", "real"),
        ("X_Remote_User", "evil"),
        ("X_Remote-User", "evil"),
        ("X-Remote_User", "evil"),
        ("Content_Length", "100"),
        ("Content_Type", "evil/evil"),
        ("Transfer_Encoding", "chunked"),
        ("X_Forwarded_For", "6.6.6.6"),
        ("_", "evil"),
        ("Proxy", "evil.example:8080"),  # CVE-2016-5385: HTTP_PROXY is where libraries connect
        ("Content-Type", "text/plain"),
    ]
    async with browsing(application, http=http) as (_, client):
        answer = await client.post("/", content=b"four", headers=sent)
    assert answer.content == b"four"
    (environ,) = environs
    assert environ["HTTP_X_REMOTE_USER"] == "real"
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/plain", "4")
    known = {"HTTP_HOST", "HTTP_USER_AGENT", "HTTP_ACCEPT", "HTTP_ACCEPT_ENCODING"}
    names = {name for name in environ if name.startswith("HTTP")} - known
    assert names == {"HTTP_X_REMOTE_USER", "HTTP_CONNECTION"}
    assert "evil" not in str([value for name, value in environ.items() if "HTTP" in name])


async def test_a_wsgi_application_streams_and_its_iterable_is_closed(http):
    closed = threading.Event()

    class Pieces:
        def __iter__(self):
            for number in range(100):
                yield str(number).encode()

        def close(self):
            closed.set()

    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Pieces()

    async with browsing(application, http=http) as (_, client):
        answer = await client.get("/")
        assert answer.headers["transfer-encoding"] == "chunked"
        assert answer.text == "".join(map(str, range(100)))
    assert closed.is_set()


async def test_a_wsgi_application_keeps_its_length_when_it_tells_one(http):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
        return [b"four"]

    async with browsing(application, http=http) as (_, client):
        answer = await client.get("/")
        assert (answer.text, answer.headers["content-length"]) == ("four", "4")
        assert "transfer-encoding" not in answer.headers


async def test_a_wsgi_application_that_raises_gives_500(http, errors):
    def application(environ, start_response):
        raise ZeroDivisionError

    async with browsing(application, http=http) as (_, client):
        assert (await client.get("/")).status_code == 500
    errors.append("ZeroDivisionError")


class Greeting:
    """An ASGI 2 application: called with the scope, then with receive and send."""

    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        if self.scope["type"] == "lifespan":
            raise RuntimeError("http only")
        content = (await receive())["body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello " + content})


def greeting(scope):
    """The same as a function that returns one."""
    return Greeting(scope)


@pytest.mark.parametrize("interface", ["auto", "asgi2"])
@pytest.mark.parametrize("application", [Greeting, greeting])
async def test_an_asgi_2_application_answers(http, interface, application):
    async with browsing(application, http=http, interface=interface) as (_, client):
        for name in ("you", "and you"):
            assert (await client.post("/", content=name)).text == f"hello {name}"
