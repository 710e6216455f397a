"""What Starlette's documentation promises, kept behind this server."""

from __future__ import annotations

import asyncio
import contextlib
import os
from contextvars import ContextVar

import pytest
from framework_client import browsing
from starlette.applications import Starlette
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from websockets.asyncio.client import connect

from tests.support import within


def one(endpoint, *, methods=("GET",), path="/", **settings) -> Starlette:
    """An application of one route."""
    return Starlette(routes=[Route(path, endpoint, methods=list(methods))], **settings)


# -- requests and responses


async def test_a_request_knows_its_url_headers_query_and_client(http):
    async def endpoint(request):
        return JSONResponse(
            {
                "url": str(request.url),
                "path": request.url.path,
                "query": request.query_params.multi_items(),
                "given": request.headers["x-given"],
                "cookies": request.cookies,
                "client": request.client.host,
                "params": request.path_params,
            }
        )

    async with browsing(one(endpoint, path="/pa th/{name}"), http=http) as (server, client):
        answer = await client.get(
            "/pa th/über",
            params=[("a", "1"), ("a", "2"), ("b", "ü")],
            headers={"x-given": "yes", "cookie": "a=b; c=d"},
        )
        assert answer.json() == {
            "url": f"http://127.0.0.1:{server.port}/pa th/über?a=1&a=2&b=%C3%BC",
            "path": "/pa th/über",
            "query": [["a", "1"], ["a", "2"], ["b", "ü"]],
            "given": "yes",
            "cookies": {"a": "b", "c": "d"},
            "client": "127.0.0.1",
            "params": {"name": "über"},
        }


async def test_a_request_body_is_read_as_stream_form_and_json(http):
    async def stream(request):
        return JSONResponse([len(piece) async for piece in request.stream()])

    async def form(request):
        async with request.form() as form:
            return JSONResponse(form.multi_items())

    async def document(request):
        return JSONResponse(await request.json())

    app = Starlette(
        routes=[
            Route("/stream", stream, methods=["POST"]),
            Route("/form", form, methods=["POST"]),
            Route("/json", document, methods=["POST"]),
        ]
    )

    async def pieces():
        for _ in range(5):
            yield bytes(10_000)

    async with browsing(app, http=http) as (_, client):
        assert sum((await client.post("/stream", content=pieces())).json()) == 50_000
        assert (await client.post("/form", data={"a": "1", "b": "ü"})).json() == [
            ["a", "1"],
            ["b", "ü"],
        ]
        assert (await client.post("/json", json={"a": [1]})).json() == {"a": [1]}


async def test_cookies_are_set_and_deleted(http):
    async def endpoint(request):
        response = PlainTextResponse(request.cookies.get("first", "none"))
        response.set_cookie("first", "1", httponly=True)
        response.set_cookie("second", "2")
        response.delete_cookie("third")
        return response

    async with browsing(one(endpoint), http=http) as (_, client):
        answer = await client.get("/")
        assert answer.text == "none"
        assert len(answer.headers.get_list("set-cookie")) == 3
        assert dict(client.cookies) == {"first": "1", "second": "2"}
        assert (await client.get("/")).text == "1"


async def test_redirects_keep_the_connection_and_a_missing_slash_is_one(http):
    async def away(request):
        return RedirectResponse("/to/", status_code=303)

    async def there(request):
        return PlainTextResponse(request.method)

    app = Starlette(routes=[Route("/from", away, methods=["POST"]), Route("/to/", there)])
    async with browsing(app, http=http) as (server, client):
        answer = await client.post("/from", content=b"x", follow_redirects=True)
        assert (answer.text, [step.status_code for step in answer.history]) == ("GET", [303])
        slash = await client.get("/to")
        assert slash.status_code == 307
        assert slash.headers["location"] == f"http://127.0.0.1:{server.port}/to/"


async def test_head_has_the_fields_of_get_and_no_content(http):
    async def endpoint(request):
        return PlainTextResponse("content")

    async with browsing(one(endpoint), http=http) as (server, client):
        answer = await client.head("/")
        assert (answer.headers["content-length"], answer.content) == ("7", b"")
        async with await server.connect() as raw:
            request = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
            await raw.send(request, request.replace(b"HEAD", b"GET"))
            assert (await raw.response("HEAD")).status == 200
            assert (await raw.response()).body == b"content"


async def test_methods_that_have_no_endpoint_get_405(http):
    class Endpoint(HTTPEndpoint):
        async def get(self, request):
            return PlainTextResponse("got")

    async with browsing(one(Endpoint, methods=("GET", "POST")), http=http) as (_, client):
        refused = await client.post("/", content=b"unread")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
        assert (await client.get("/")).text == "got"


@pytest.mark.parametrize("status", [204, 205, 304])
async def test_responses_without_content_leave_the_connection_usable(http, status):
    async def endpoint(request):
        return Response(status_code=status)

    async with browsing(one(endpoint), http=http) as (server, _), await server.connect() as raw:
        await raw.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        for _ in range(2):
            answer = await raw.response()
            assert (answer.status, answer.body) == (status, b"")


# -- streaming


async def test_a_streamed_response_arrives_piece_by_piece(http):
    go = asyncio.Event()

    async def pieces():
        yield "first"
        await go.wait()
        yield "second"

    async def endpoint(request):
        return StreamingResponse(pieces(), media_type="text/plain")

    async with (
        browsing(one(endpoint), http=http) as (_, client),
        client.stream("GET", "/") as answer,
    ):
        assert answer.headers["transfer-encoding"] == "chunked"
        arriving = answer.aiter_text()
        assert await within(anext(arriving)) == "first"
        go.set()
        assert [text async for text in arriving] == ["second"]


async def test_a_sync_iterator_is_streamed_from_a_thread(http):
    async def endpoint(request):
        return StreamingResponse(str(number) for number in range(100))

    async with browsing(one(endpoint), http=http) as (_, client):
        assert (await client.get("/")).text == "".join(str(number) for number in range(100))


async def test_a_large_stream_is_whole_and_waits_for_a_slow_client(http):
    sent = 0

    async def pieces():
        nonlocal sent
        for _ in range(320):
            sent += 1
            yield bytes(65536)

    async def endpoint(request):
        return StreamingResponse(pieces())

    async with browsing(one(endpoint), http=http) as (_, client):
        async with client.stream("GET", "/") as answer:
            arriving = answer.aiter_raw()
            size = len(await anext(arriving))
            for _ in range(100):  # turns of the loop in which the server could run ahead
                await asyncio.sleep(0)
            assert sent < 320
            size += sum([len(piece) async for piece in arriving])
        assert size == 320 * 65536


async def left_early(server, client_leaves) -> None:
    """Ask for a stream and leave after its first event."""
    raw = await server.connect()
    await raw.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await raw.head()
    await within(raw.reader.readuntil(b"\n\n"))
    client_leaves(raw)


LEAVING = {"closing": lambda raw: raw.writer.close(), "resetting": lambda raw: raw.reset()}


@pytest.mark.parametrize("how", LEAVING)
async def test_a_stream_of_events_ends_when_its_client_leaves(http, how):
    closed = asyncio.Event()
    tick = asyncio.Event()

    async def events():
        try:
            while True:
                yield "data: tick\n\n"
                await tick.wait()
                await asyncio.sleep(0)
        finally:
            closed.set()

    async def endpoint(request):
        return StreamingResponse(events(), media_type="text/event-stream")

    async with browsing(one(endpoint), http=http) as (server, _):
        await left_early(server, LEAVING[how])
        tick.set()
        await within(closed.wait())


async def test_a_silent_stream_is_cancelled_when_the_grace_of_its_client_is_over(http):
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def events():
        try:
            yield "data: only\n\n"
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.set_result("cancelled")
            raise

    async def endpoint(request):
        return StreamingResponse(events(), media_type="text/event-stream")

    async with browsing(one(endpoint), http=http, timeout_disconnect=0.05) as (server, _):
        await left_early(server, LEAVING["resetting"])
        assert await within(ended) == "cancelled"


async def test_is_disconnected_tells_a_handler_that_its_client_has_gone(http):
    asked: asyncio.Queue[bool] = asyncio.Queue()
    go = asyncio.Event()

    async def endpoint(request):
        await request.body()
        asked.put_nowait(await request.is_disconnected())
        await go.wait()
        while not await request.is_disconnected():
            await asyncio.sleep(0)
        asked.put_nowait(True)
        return PlainTextResponse("nobody reads this")

    async with browsing(one(endpoint, methods=("POST",)), http=http) as (server, _):
        raw = await server.connect()
        await raw.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
        assert await within(asked.get()) is False
        raw.reset()
        go.set()
        assert await within(asked.get()) is True


async def test_a_client_that_leaves_amid_its_upload_is_no_error_of_the_server(http):
    ended = asyncio.Event()

    async def endpoint(request):
        try:
            await request.body()
        finally:
            ended.set()

    async with browsing(one(endpoint, methods=("POST",)), http=http) as (server, _):
        raw = await server.connect()
        await raw.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
        raw.reset()
        await within(ended.wait())


# -- background tasks


async def test_a_background_task_runs_after_the_client_has_its_answer(http):
    go, done = asyncio.Event(), asyncio.Event()

    async def later():
        await go.wait()
        done.set()

    async def endpoint(request):
        return PlainTextResponse("first", background=BackgroundTask(later))

    async with browsing(one(endpoint), http=http) as (_, client):
        assert (await client.get("/")).text == "first"
        assert not done.is_set()
        go.set()
        await within(done.wait())


async def test_a_background_task_survives_its_client_and_the_start_of_a_drain(http):
    go, done = asyncio.Event(), asyncio.Event()

    async def later():
        await go.wait()
        done.set()

    async def endpoint(request):
        return PlainTextResponse("first", background=BackgroundTask(later))

    async with browsing(one(endpoint), http=http) as (server, _):
        async with await server.connect() as raw:
            await raw.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await raw.response()).body == b"first"
            raw.reset()
        asyncio.get_running_loop().call_later(0, go.set)
    assert done.is_set()  # the server has waited for it


async def test_background_tasks_run_in_order_and_the_connection_goes_on_meanwhile(http):
    ran = []
    done = asyncio.Event()

    async def endpoint(request):
        if request.query_params:
            return PlainTextResponse("second")
        tasks = BackgroundTasks()
        for number in range(3):
            tasks.add_task(ran.append, number)
        tasks.add_task(done.wait)
        return PlainTextResponse("first", background=tasks)

    async with browsing(one(endpoint), http=http) as (server, _):
        async with await server.connect() as raw:
            await raw.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await raw.response()).body == b"first"
            await raw.send(b"GET /?a HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await raw.response()).body == b"second"
        done.set()
    assert ran == [0, 1, 2]


async def test_a_failing_background_task_is_logged_and_the_response_stands(http, errors):
    async def fail():
        raise ZeroDivisionError

    async def endpoint(request):
        return PlainTextResponse("fine", background=BackgroundTask(fail))

    async with browsing(one(endpoint), http=http) as (_, client):
        for _ in range(2):
            assert (await client.get("/")).text == "fine"
    errors += ["ZeroDivisionError"] * 2


# -- exceptions


async def test_an_unhandled_exception_is_a_500_and_is_logged(http, errors):
    async def endpoint(request):
        raise ZeroDivisionError

    async with browsing(one(endpoint), http=http) as (_, client):
        answer = await client.get("/")
        assert (answer.status_code, answer.text) == (500, "Internal Server Error")
        assert (await client.get("/")).status_code == 500
    errors += ["ZeroDivisionError"] * 2


async def test_exception_handlers_answer(http):
    async def endpoint(request):
        match request.query_params["raise"]:
            case "http":
                raise HTTPException(418, "teapot", headers={"x-pot": "tea"})
            case "own":
                raise LookupError("it")
            case "status":
                raise HTTPException(404)

    async def looked_up(request, error):
        return PlainTextResponse(f"no {error}", status_code=404)

    async def not_found(request, error):
        return PlainTextResponse("handled by status", status_code=404)

    app = one(endpoint, exception_handlers={LookupError: looked_up, 404: not_found})
    async with browsing(app, http=http) as (_, client):
        answer = await client.get("/?raise=http")
        assert (answer.status_code, answer.text, answer.headers["x-pot"]) == (418, "teapot", "tea")
        assert (await client.get("/?raise=own")).text == "no it"
        assert (await client.get("/?raise=status")).text == "handled by status"
        assert (await client.get("/elsewhere")).text == "handled by status"


async def test_an_exception_amid_a_stream_breaks_the_response_off(http, errors):
    async def pieces():
        yield "begun"
        raise ZeroDivisionError

    async def endpoint(request):
        return StreamingResponse(pieces())

    async with browsing(one(endpoint), http=http) as (server, _), await server.connect() as raw:
        await raw.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await raw.head()
        assert not (await raw.rest()).endswith(b"0\r\n\r\n")
    errors += ["ZeroDivisionError"]


# -- middleware

REQUEST_NAME: ContextVar[str] = ContextVar("request_name", default="unset")


class NamingASGI:
    """Pure ASGI: sets a context variable and adds a field to the response."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        assert REQUEST_NAME.get() == "unset"
        REQUEST_NAME.set(dict(scope["headers"]).get(b"x-name", b"none").decode())

        async def named(message):
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-name", REQUEST_NAME.get().encode()))
            await send(message)

        await self.app(scope, receive, named)


class NamingBase(BaseHTTPMiddleware):
    """The same on Starlette's own base class, which runs the application in a task."""

    async def dispatch(self, request, call_next):
        assert REQUEST_NAME.get() == "unset"
        REQUEST_NAME.set(request.headers.get("x-name", "none"))
        response = await call_next(request)
        response.headers["x-name"] = REQUEST_NAME.get()
        return response


@pytest.mark.parametrize("middleware", [NamingASGI, NamingBase])
async def test_context_variables_of_middleware_reach_its_own_request_only(http, middleware):
    async def endpoint(request):
        await asyncio.sleep(0)
        return PlainTextResponse(REQUEST_NAME.get())

    async def threaded(request):
        return PlainTextResponse(await asyncio.to_thread(REQUEST_NAME.get))

    app = Starlette(
        routes=[Route("/", endpoint), Route("/thread", threaded)],
        middleware=[Middleware(middleware)],
    )
    async with browsing(app, http=http) as (server, client):
        names = [str(number) for number in range(20)]
        answers = await asyncio.gather(
            *(
                client.get("/thread" if int(name) % 2 else "/", headers={"x-name": name})
                for name in names
            )
        )
        assert [answer.text for answer in answers] == names
        assert [answer.headers["x-name"] for answer in answers] == names
        async with await server.connect() as raw:  # one connection, one read
            head = "GET / HTTP/1.1\r\nHost: a\r\nX-Name: {}\r\n\r\n"
            await raw.send("".join(head.format(name) for name in names).encode())
            assert [(await raw.response()).body.decode() for _ in names] == names


@pytest.mark.parametrize("depth", [1, 3])
async def test_base_middleware_streams_and_runs_background_tasks(http, depth):
    done = asyncio.Event()

    class Pass(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            return await call_next(request)

    async def pieces():
        for _ in range(50):
            yield bytes(1000)

    async def later():
        done.set()

    async def endpoint(request):
        return StreamingResponse(pieces(), background=BackgroundTask(later))

    app = one(endpoint, middleware=[Middleware(Pass)] * depth)
    async with browsing(app, http=http) as (_, client):
        assert (await client.get("/")).content == bytes(50_000)
        await within(done.wait())


async def test_base_middleware_lets_a_stream_end_when_its_client_leaves(http):
    closed = asyncio.Event()

    class Pass(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            return await call_next(request)

    async def events():
        try:
            while True:
                yield "data: tick\n\n"
                await asyncio.sleep(0)
        finally:
            closed.set()

    async def endpoint(request):
        return StreamingResponse(events(), media_type="text/event-stream")

    app = one(endpoint, middleware=[Middleware(Pass)])
    async with browsing(app, http=http, timeout_disconnect=0.05) as (server, _):
        await left_early(server, LEAVING["resetting"])
        await within(closed.wait())


async def test_cors_preflight_is_answered_before_the_application(http):
    async def endpoint(request):
        return PlainTextResponse("shared")

    cors = Middleware(CORSMiddleware, allow_origins=["https://a.example"], allow_methods=["PUT"])
    async with browsing(one(endpoint, middleware=[cors]), http=http) as (_, client):
        preflight = await client.options(
            "/",
            headers={"origin": "https://a.example", "access-control-request-method": "PUT"},
        )
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://a.example"
        assert preflight.headers["access-control-allow-methods"] == "PUT"
        simple = await client.get("/", headers={"origin": "https://a.example"})
        assert simple.headers["access-control-allow-origin"] == "https://a.example"
        other = await client.get("/", headers={"origin": "https://b.example"})
        assert "access-control-allow-origin" not in other.headers


async def test_compressed_responses_are_framed_anew(http):
    text = "many words " * 1000

    async def endpoint(request):
        if request.query_params:
            return StreamingResponse(text[start : start + 100] for start in range(0, 11000, 100))
        return PlainTextResponse(text)

    async with browsing(one(endpoint, middleware=[Middleware(GZipMiddleware)]), http=http) as (
        _,
        client,
    ):
        for target in ("/", "/?streamed"):
            answer = await client.get(target)
            assert (answer.text, answer.headers["content-encoding"]) == (text, "gzip")


async def test_a_host_that_is_not_trusted_is_refused(http):
    async def endpoint(request):
        return PlainTextResponse("fine")

    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["good.example"])
    async with browsing(one(endpoint, middleware=[hosts]), http=http) as (_, client):
        assert (await client.get("/")).status_code == 400
        assert (await client.get("/", headers={"host": "good.example"})).text == "fine"


# -- mounts, files, lifespan, WebSocket


async def test_mounted_applications_know_where_they_are(http):
    async def endpoint(request):
        return JSONResponse(
            [
                request.scope["root_path"],
                request.scope["path"],
                request.url.path,
                str(request.url_for("sub:leaf")),
            ]
        )

    sub = Starlette(routes=[Route("/leaf", endpoint, name="leaf")])
    routes = [Mount("/sub", routes=[Mount("/deep", sub)]), Mount("/named", sub, name="sub")]
    async with browsing(Starlette(routes=routes), http=http) as (server, client):
        origin = f"http://127.0.0.1:{server.port}"
        seen = (await client.get("/named/leaf")).json()
        assert seen == ["/named", "/named/leaf", "/named/leaf", f"{origin}/named/leaf"]
    settings = {"http": http, "root_path": "/proxied"}
    async with browsing(Starlette(routes=routes), **settings) as (server, client):
        origin = f"http://127.0.0.1:{server.port}"
        seen = (await client.get("/named/leaf")).json()
        path = "/proxied/named/leaf"
        assert seen == ["/proxied/named", path, path, origin + path]


async def test_files_are_whole_conditional_and_in_ranges(http, tmp_path):
    content = os.urandom(300_000)
    (tmp_path / "a.bin").write_bytes(content)

    async def endpoint(request):
        return FileResponse(tmp_path / "a.bin", filename="ü.bin")

    app = Starlette(
        routes=[Route("/file", endpoint), Mount("/files", StaticFiles(directory=tmp_path))]
    )
    async with browsing(app, http=http) as (_, client):
        whole = await client.get("/file")
        assert whole.content == content
        assert "filename*=utf-8''%C3%BC.bin" in whole.headers["content-disposition"]
        part = await client.get("/file", headers={"range": "bytes=1000-1999"})
        assert (part.status_code, part.content) == (206, content[1000:2000])
        assert part.headers["content-range"] == "bytes 1000-1999/300000"
        parts = await client.get("/file", headers={"range": "bytes=0-9,100-109"})
        assert parts.headers["content-type"].startswith("multipart/byteranges")
        assert content[100:110] in parts.content
        head = await client.head("/file")
        assert (head.headers["content-length"], head.content) == ("300000", b"")
        served = await client.get("/files/a.bin")
        assert served.content == content
        same = await client.get("/files/a.bin", headers={"if-none-match": served.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")
        assert (await client.get("/files/none")).status_code == 404


async def test_lifespan_state_reaches_requests_and_each_gets_its_own_copy(http):
    shared = []

    @contextlib.asynccontextmanager
    async def lifespan(app):
        yield {"shared": shared, "count": 0}
        shared.append("closed")

    async def endpoint(request):
        request.state.count += 1
        request.state.shared.append(request.state.count)
        return PlainTextResponse("counted")

    async with browsing(one(endpoint, lifespan=lifespan), http=http) as (_, client):
        for _ in range(3):
            await client.get("/")
    assert shared == [1, 1, 1, "closed"]


async def test_a_websocket_endpoint_echoes(http):
    left: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    class Echo(WebSocketEndpoint):
        encoding = "json"

        async def on_connect(self, websocket):
            await websocket.accept(subprotocol="chat", headers=[(b"x-room", b"1")])

        async def on_receive(self, websocket, data):
            await websocket.send_json({"said": data})

        async def on_disconnect(self, websocket, close_code):
            left.set_result(close_code)

    app = Starlette(routes=[WebSocketRoute("/", Echo)])
    async with browsing(app, http=http) as (server, _):
        url = f"ws://127.0.0.1:{server.port}/"
        async with connect(url, subprotocols=["chat"]) as websocket:
            assert websocket.subprotocol == "chat"
            assert websocket.response.headers["x-room"] == "1"
            await websocket.send('"hello"')
            assert await within(websocket.recv()) == '{"said":"hello"}'
            await websocket.close(4001)
        assert await within(left) == 4001
