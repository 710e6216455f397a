"""The access log: what a line says, and how many records a handler gets."""

from __future__ import annotations

import asyncio
import io
import logging
import re

import pytest
from records import head, line, record

from katana_asgi import Config, StaticRoute
from katana_asgi.http.message import RequestHead
from katana_asgi.observe.access import MAX_BATCH, AccessLog
from katana_asgi.observe.logs import configure_logging
from katana_asgi.observe.record import NO_HEAD
from katana_asgi.testing import running
from tests.applications import get, respond
from tests.support import within

RECORD = record()


class Collector(logging.Handler):
    """A handler as a user may have one."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.arrived = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.arrived.set()

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self.records]


def listening(logger: str = "katana_asgi.access", level: int = logging.INFO) -> Collector:
    """A user's handler on a logger."""
    collector = Collector()
    logging.getLogger(logger).addHandler(collector)
    logging.getLogger(logger).setLevel(level)
    return collector


# -- one line


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, '127.0.0.1:4711 - "GET /a?b=c HTTP/1.1" 200 OK'),
        (
            {"client": None, "head": head(b"/", version="1.0"), "status": 404},
            '- - "GET / HTTP/1.0" 404 Not Found',
        ),
        ({"head": NO_HEAD, "status": 400}, '127.0.0.1:4711 - "-" 400 Bad Request'),
        ({"status": 299}, '127.0.0.1:4711 - "GET /a?b=c HTTP/1.1" 299 '),
        ({"remark": "why"}, '127.0.0.1:4711 - "GET /a?b=c HTTP/1.1" 200 OK (why)'),
        ({"client": ("::1", 7)}, '[::1]:7 - "GET /a?b=c HTTP/1.1" 200 OK'),
    ],
)
def test_a_line_says_who_asked_what_and_how_it_ended(changes, expected):
    assert line(record(**changes)) == expected


def test_what_a_client_sent_cannot_leave_its_place_in_the_line():
    for form in ("short", "combined"):
        given = record(head=_odd_head(bytes(range(256))))
        made = line(given, form)
        assert made.isascii()
        assert made.isprintable()
        assert made.count('"') == (2 if form == "short" else 6)
        assert "\\x0a" in made
        assert "\\x1b" in made
        assert "\\x22" in made
    assert "\\x5cx0a" in line(record(head=_odd_head(b"\\x0a")))


def _odd_head(data: bytes):
    """A head that no parser lets pass."""
    fields = [(b"user-agent", data), (b"referer", data)]
    return RequestHead("GET", data, "1.1", "", None, "/", b"/", b"", fields, 0, ())


# -- records and batches


async def test_a_handler_of_the_users_gets_one_record_a_line():
    collector = listening()
    log = AccessLog(asyncio.get_running_loop())
    for number in range(3):
        log.add(record(b"/%d" % number))
    log.flush()
    assert collector.lines == [
        f'127.0.0.1:4711 - "GET /{number} HTTP/1.1" 200 OK' for number in range(3)
    ]


async def test_a_handler_of_the_root_logger_gets_one_record_a_line(caplog):
    caplog.set_level(logging.INFO, "katana_asgi.access")
    log = AccessLog(asyncio.get_running_loop())
    log.add(RECORD)
    log.add(RECORD)
    log.flush()
    assert caplog.messages == [line(RECORD)] * 2


async def test_a_percent_sign_is_no_format():
    collector = listening()
    log = AccessLog(asyncio.get_running_loop())
    log.add(record(b"/%s%d%(x)s"))
    log.flush()
    assert "/%s%d%(x)s" in collector.lines[0]


async def test_our_own_handler_gets_many_lines_in_one_write(monkeypatch):
    class Counting(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            return super().write(text)

    stream = Counting()
    monkeypatch.setattr("sys.stdout", stream)
    configure_logging(Config(app="a:b", use_colors=False))
    log = AccessLog(asyncio.get_running_loop())
    for _ in range(10):
        log.add(record(b"/%s"))
    log.flush()
    assert stream.getvalue() == 'INFO:     127.0.0.1:4711 - "GET /%s HTTP/1.1" 200 OK\n' * 10
    assert stream.writes <= 2


async def test_lines_appear_by_themselves():
    collector = listening()
    log = AccessLog(asyncio.get_running_loop())
    log.add(RECORD)
    assert collector.lines == []
    await within(collector.arrived.wait())
    assert collector.lines == [line(RECORD)]


async def test_a_full_batch_does_not_wait():
    collector = listening()
    log = AccessLog(asyncio.get_running_loop())
    for _ in range(MAX_BATCH):
        log.add(RECORD)
    assert len(collector.lines) == MAX_BATCH
    log.flush()
    assert len(collector.lines) == MAX_BATCH


async def test_nothing_to_write_is_nothing_written():
    collector = listening()
    AccessLog(asyncio.get_running_loop()).flush()
    assert collector.records == []


async def test_a_logger_above_info_switches_the_log_off():
    log = AccessLog(asyncio.get_running_loop())
    logging.getLogger("katana_asgi.access").setLevel(logging.WARNING)
    assert not log.enabled
    logging.getLogger("katana_asgi.access").setLevel(logging.INFO)
    assert log.enabled


# -- a whole server


async def app(scope, receive, send):
    if scope["path"] == "/fail":
        raise RuntimeError
    for name in ("path", "client", "method", "state"):
        scope.pop(name)  # nothing of it is asked again
    await respond(send, b"ok", status=201)


async def test_every_answer_has_its_line_in_order():
    collector = listening()
    listening("katana_asgi.error")
    settings = {"access_log": True, "lifespan": "off"}
    settings["static_route"] = (StaticRoute(path="/static", body=b"s"),)
    async with running(app, **settings) as server, await server.connect() as client:
        port = client.writer.get_extra_info("sockname")[1]
        await client.send(get("/a?b=%22") + get("/static") + get("/static", method="HEAD"))
        await client.response()
        await client.response()
        await client.response("HEAD")
        await client.send(get("/fail"))
        await client.response()
        await server.exchange(b"nonsense\r\n\r\n")
        await server.exchange(get("/"))
    ours = [line for line in collector.lines if f":{port} " in line]
    assert ours == [
        f'127.0.0.1:{port} - "GET /a?b=%22 HTTP/1.1" 201 Created',
        f'127.0.0.1:{port} - "GET /static HTTP/1.1" 200 OK',
        f'127.0.0.1:{port} - "HEAD /static HTTP/1.1" 200 OK',
        f'127.0.0.1:{port} - "GET /fail HTTP/1.1" 500 Internal Server Error',
    ]
    others = [line.partition(" - ")[2] for line in collector.lines if line not in ours]
    assert others == [
        '"-" 400 Bad Request (invalid request line)',
        '"GET / HTTP/1.1" 201 Created',
    ]


@pytest.mark.parametrize("form", ["short", "combined", "json"])
async def test_a_connection_that_repeats_itself_has_a_line_for_each_request(form):
    async def counting(scope, receive, send):
        answered.append(scope["path"])
        await respond(send, b"x" * (len(answered) // 3), status=200 + len(answered) // 4)

    answered: list[str] = []
    collector = listening()
    settings = {"access_log": True, "access_log_format": form, "lifespan": "off"}
    async with running(counting, **settings) as server, await server.connect() as client:
        for number in range(12):
            await client.send(get("/a" if number < 10 else "/b"))
            await client.response()
    assert len(collector.lines) == 12
    found = [re.search(r"(/[ab]).*?(20[0-9])\b", line) for line in collector.lines]
    assert [each and each[2] for each in found] == [str(200 + n // 4) for n in range(1, 13)]
    assert [each and each[1] for each in found] == ["/a"] * 10 + ["/b"] * 2
    if form != "short":
        pattern = r'20\d (\d+|-) "' if form == "combined" else r'"bytes_out": (\d+)'
        sizes = [re.search(pattern, line) for line in collector.lines]
        assert [each and int(each[1].replace("-", "0")) for each in sizes] == [
            number // 3 for number in range(1, 13)
        ]


async def test_without_an_access_log_there_is_no_line():
    collector = listening()
    async with running(app, access_log=False, lifespan="off") as server:
        await server.exchange(get())
    assert collector.lines == []


async def test_the_last_lines_are_written_when_the_server_ends():
    collector = listening()
    async with running(app, access_log=True, lifespan="off") as server:
        await server.exchange(get())
    assert len(collector.lines) == 1


@pytest.mark.parametrize("path", ["/a", "/static"])
async def test_the_client_is_whom_a_trusted_proxy_names(path):
    for trusted, expected in (("127.0.0.1", "192.0.2.7 - "), ("10.0.0.1", "127.0.0.1:")):
        collector = listening()
        settings = {"access_log": True, "lifespan": "off", "forwarded_allow_ips": (trusted,)}
        settings["static_route"] = (StaticRoute(path="/static", body=b"s"),)
        async with running(app, **settings) as server:
            await server.exchange(get(path, "X-Forwarded-For: 192.0.2.7"))
        (made,) = collector.lines
        assert made.startswith(expected)
        logging.getLogger("katana_asgi.access").removeHandler(collector)
