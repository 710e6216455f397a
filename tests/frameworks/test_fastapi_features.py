"""What FastAPI's documentation promises, kept behind this server.

No postponed annotations here: FastAPI reads those of endpoints that are made inside tests.
"""

import asyncio
import hashlib
import threading
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Annotated, Any

import pytest
from fastapi import (
    BackgroundTasks,
    Cookie,
    Depends,
    FastAPI,
    File,
    Form,
    Header,
    HTTPException,
    Request,
    Response,
    UploadFile,
    WebSocket,
    WebSocketDisconnect,
)
from fastapi.responses import JSONResponse, StreamingResponse
from framework_client import browsing
from pydantic import BaseModel
from websockets.asyncio.client import connect

from tests.support import TIMEOUT, within

LARGE = bytes(range(256)) * (20 * 2**20 // 256)
"""20 MiB, the size of an upload that no buffer of the server may have to hold."""


class Item(BaseModel):
    name: str
    price: float = 1.0


async def test_parameters_come_from_path_query_header_cookie_and_body(http):
    app = FastAPI()

    @app.put("/items/{number}")
    async def endpoint(
        number: int,
        item: Item,
        query: str = "none",
        x_given: Annotated[str, Header()] = "none",
        crumb: Annotated[str, Cookie()] = "none",
    ) -> dict[str, Any]:
        return {"number": number, "item": item, "all": [query, x_given, crumb]}

    async with browsing(app, http=http) as (_, client):
        answer = await client.put(
            "/items/3?query=q",
            json={"name": "hammer"},
            headers={"x-given": "h", "cookie": "crumb=c"},
        )
        assert answer.json() == {
            "number": 3,
            "item": {"name": "hammer", "price": 1.0},
            "all": ["q", "h", "c"],
        }
        wrong = await client.put("/items/three", json={})
        assert wrong.status_code == 422
        assert {error["loc"][-1] for error in wrong.json()["detail"]} == {"number", "name"}
        assert (await client.get("/openapi.json")).json()["paths"].keys() == {"/items/{number}"}


async def test_sync_endpoints_run_in_threads_and_many_at_a_time(http):
    app = FastAPI()
    meeting = threading.Barrier(5)

    @app.get("/")
    def endpoint() -> int:
        meeting.wait(TIMEOUT)  # passes only when five run at once
        return threading.get_ident()

    async with browsing(app, http=http) as (_, client):
        answers = await asyncio.gather(*(client.get("/") for _ in range(5)))
        threads = {answer.json() for answer in answers}
        assert len(threads) == 5
        assert threading.get_ident() not in threads


async def test_a_large_upload_is_received_whole_and_echoed(http):
    app = FastAPI()

    @app.post("/upload")
    async def upload(file: UploadFile, note: Annotated[str, Form()]) -> dict[str, Any]:
        digest = hashlib.sha256()
        while piece := await file.read(2**16):
            digest.update(piece)
        return {"name": file.filename, "size": file.size, "digest": digest.hexdigest(), "n": note}

    @app.post("/echo")
    async def echo(file: UploadFile) -> StreamingResponse:
        async def pieces():
            while piece := await file.read(2**18):
                yield piece

        return StreamingResponse(pieces(), media_type=file.content_type)

    @app.post("/bytes")
    def in_memory(file: Annotated[bytes, File()]) -> int:
        return len(file)

    async with browsing(app, http=http) as (_, client):
        sent = {"file": ("big.bin", LARGE, "application/x-big")}
        receipt = await client.post("/upload", files=sent, data={"note": "ü"})
        assert receipt.json() == {
            "name": "big.bin",
            "size": len(LARGE),
            "digest": hashlib.sha256(LARGE).hexdigest(),
            "n": "ü",
        }
        echo = await client.post("/echo", files=sent)
        assert echo.headers["content-type"] == "application/x-big"
        assert echo.content == LARGE
        assert (await client.post("/bytes", files=sent)).json() == len(LARGE)


async def test_a_raw_upload_is_echoed_while_it_arrives(http):
    app = FastAPI()

    @app.post("/")
    async def endpoint(request: Request) -> StreamingResponse:
        return StreamingResponse(request.stream())

    pieces = [LARGE[start : start + 2**20] for start in range(0, len(LARGE), 2**20)]
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    head = b"POST / HTTP/1.1\r\nHost: a\r\n"
    whole = [head + b"Content-Length: %d\r\n\r\n" % len(LARGE), *pieces]
    chunked = [head + b"Transfer-Encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n"]
    # Below spec 2.4 a StreamingResponse listens for a disconnect, and takes the content away.
    settings = {"http": http, "disconnect": "raise"}
    async with browsing(app, **settings) as (server, _), await server.connect() as raw:
        for request in (whole, chunked):  # a client must read while it sends, or both would wait
            _, echo = await asyncio.gather(raw.send(*request), raw.response())
            assert echo.body == LARGE


async def test_background_tasks_run_after_the_response_in_threads_and_on_the_loop(http):
    app = FastAPI()
    ran: list[str] = []
    go, done = asyncio.Event(), asyncio.Event()

    def sync_task(name: str) -> None:
        assert threading.current_thread() is not threading.main_thread()
        ran.append(name)

    async def async_task() -> None:
        await go.wait()
        ran.append("async")
        done.set()

    @app.post("/", status_code=202)
    async def endpoint(tasks: BackgroundTasks) -> str:
        tasks.add_task(sync_task, "sync")
        tasks.add_task(async_task)
        return "accepted"

    async with browsing(app, http=http) as (_, client):
        assert (await client.post("/")).status_code == 202
        assert "async" not in ran
        go.set()
        await within(done.wait())
    assert ran == ["sync", "async"]


async def test_exceptions_and_their_handlers(http, errors):
    app = FastAPI()

    @app.exception_handler(LookupError)
    async def looked_up(request: Request, error: LookupError) -> JSONResponse:
        return JSONResponse({"no": str(error)}, status_code=404)

    @app.get("/http")
    async def raises_http() -> None:
        raise HTTPException(403, {"why": "no"}, headers={"x-why": "no"})

    @app.get("/own")
    def raises_own() -> None:
        raise LookupError("it")

    @app.get("/bug")
    def raises_bug() -> None:
        raise ZeroDivisionError

    async with browsing(app, http=http) as (_, client):
        answer = await client.get("/http")
        assert (answer.status_code, answer.headers["x-why"]) == (403, "no")
        assert answer.json() == {"detail": {"why": "no"}}
        assert (await client.get("/own")).json() == {"no": "it"}
        answer = await client.get("/bug")
        assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    errors.append("ZeroDivisionError")


VISITOR: ContextVar[str] = ContextVar("visitor", default="nobody")


async def test_context_variables_of_middleware_and_dependencies_reach_sync_endpoints(http):
    app = FastAPI()

    @app.middleware("http")
    async def name_the_visitor(request: Request, call_next: Any) -> Response:
        assert VISITOR.get() == "nobody"
        VISITOR.set(request.headers["x-visitor"])
        return await call_next(request)

    async def asked(question: str) -> str:
        return f"{VISITOR.get()} asks {question}"

    @app.get("/sync")
    def sync_endpoint(answer: Annotated[str, Depends(asked)]) -> list[str]:
        return [answer, VISITOR.get()]

    @app.get("/async")
    async def async_endpoint(answer: Annotated[str, Depends(asked)]) -> list[str]:
        return [answer, VISITOR.get()]

    async with browsing(app, http=http) as (_, client):

        async def visit(name: str) -> list[str]:
            kind = "sync" if int(name) % 2 else "async"
            headers = {"x-visitor": name}
            return (await client.get(f"/{kind}?question=why", headers=headers)).json()

        names = [str(number) for number in range(20)]
        answers = await asyncio.gather(*map(visit, names))
        assert answers == [[f"{name} asks why", name] for name in names]


async def test_dependencies_are_closed_after_a_streamed_response(http):
    app = FastAPI()
    steps: list[str] = []
    closed = asyncio.Event()

    async def resource():
        steps.append("opened")
        yield "resource"
        steps.append("closed")
        closed.set()

    @app.get("/")
    async def endpoint(held: Annotated[str, Depends(resource)]) -> StreamingResponse:
        async def pieces():
            for _ in range(3):
                steps.append("piece")
                yield held

        return StreamingResponse(pieces())

    async with browsing(app, http=http) as (_, client):
        assert (await client.get("/")).text == "resource" * 3
        await within(closed.wait())
    assert steps == ["opened", "piece", "piece", "piece", "closed"]


async def test_lifespan_and_mounted_applications_under_a_root_path(http):
    steps: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI):
        steps.append("startup")
        yield {"made": "at startup"}
        steps.append("shutdown")

    app = FastAPI(lifespan=lifespan)
    sub = FastAPI()

    @app.get("/made")
    async def made(request: Request) -> str:
        return request.state.made

    @sub.get("/where")
    async def where(request: Request) -> list[str]:
        return [request.scope["root_path"], str(request.url_for("where"))]

    app.mount("/sub", sub)
    async with browsing(app, http=http, root_path="/api/v1") as (server, client):
        origin = f"http://127.0.0.1:{server.port}"
        assert (await client.get("/made")).json() == "at startup"
        where_it_is = (await client.get("/sub/where")).json()
        assert where_it_is == ["/api/v1/sub", f"{origin}/api/v1/sub/where"]
        assert (await client.get("/openapi.json")).json()["servers"] == [{"url": "/api/v1"}]
        assert "/api/v1/openapi.json" in (await client.get("/docs")).text
    assert steps == ["startup", "shutdown"]


@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_server_sent_events_end_with_their_client(http, leave):
    app = FastAPI()
    ended = asyncio.Event()

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def stream():
            try:
                while True:
                    yield "data: tick\n\n"
                    await asyncio.sleep(0.01)
            finally:
                ended.set()

        return StreamingResponse(stream(), media_type="text/event-stream")

    async with browsing(app, http=http, timeout_disconnect=0.05) as (server, client):
        if leave == "close":
            async with client.stream("GET", "/events") as answer:
                arriving = answer.aiter_lines()
                assert [await anext(arriving) for _ in range(3)] == ["data: tick", "", "data: tick"]
        else:
            raw = await server.connect()
            await raw.send(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
            await raw.head()
            raw.reset()
        await within(ended.wait())


async def test_a_websocket_is_refused_accepted_and_left(http):
    app = FastAPI()
    left: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @app.websocket("/rooms/{room}")
    async def rooms(websocket: WebSocket, room: str, token: str = "") -> None:
        if token != "t":
            raise HTTPException(401, "no token")
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(f"{room}: {await websocket.receive_text()}")
        except WebSocketDisconnect as error:
            left.set_result(error.code)

    async with browsing(app, http=http) as (server, _):
        url = f"ws://127.0.0.1:{server.port}/rooms/blue"
        async with connect(f"{url}?token=t") as websocket:
            await websocket.send("hi")
            assert await within(websocket.recv()) == "blue: hi"
        assert await within(left) == 1000
