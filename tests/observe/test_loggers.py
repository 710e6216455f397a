"""What is set on the loggers counts, whenever and by whichever of their names (D1 to D6)."""

from __future__ import annotations

import json
import logging
import logging.config
import logging.handlers
import queue
import re
from typing import TYPE_CHECKING, Any

import pytest

from katana_asgi import Config
from katana_asgi.config.log_defaults import LOGGING_CONFIG
from katana_asgi.observe.access_record import ACCESS_ATTRIBUTES
from katana_asgi.observe.json_log import JsonFormatter
from katana_asgi.observe.loggers import ServerLogger
from katana_asgi.observe.logs import configure_logging
from katana_asgi.observe.request_ids import RequestIdFilter
from katana_asgi.testing import running
from tests.applications import get, respond

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ACCESS = logging.getLogger("katana_asgi.access")
ERROR = logging.getLogger("katana_asgi.error")
THEIR_ACCESS = logging.getLogger("uvicorn.access")
THEIR_ERROR = logging.getLogger("uvicorn.error")

BOTH = pytest.mark.parametrize("access", [ACCESS, THEIR_ACCESS], ids=lambda each: each.name)


@pytest.fixture(autouse=True)
def root_without_handlers():
    """Those of the test runner would pass for a program's."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers[:] = []
    yield
    root.handlers[:], root.level = before


class Collector(logging.Handler):
    """Keeps the records that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


async def ask(*paths: bytes, started: Callable[[], object] | None = None, **settings: Any) -> None:
    """Serve, with ``started`` called in lifespan startup, and ask for each path."""

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            if started is not None:
                started()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await respond(send, b"ok", status=404 if scope["path"] == "/none" else 200)

    settings = {"access_log": True, "use_colors": False, **settings}
    configure_logging(Config("a:b", **settings))
    async with running(app, **settings) as server, await server.connect() as client:
        for path in paths:
            await client.send(get(path.decode()))
            await client.response()


def lines(text: str) -> list[str]:
    return re.findall(r'"GET (\S+) HTTP', text)


# -- D1: filters, handlers, levels


@BOTH
async def test_a_filter_set_in_lifespan_keeps_lines_away(access, capsys) -> None:
    class Health(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            return "/health" not in record.getMessage()

    await ask(b"/a", b"/health", started=lambda: access.addFilter(Health()))
    assert lines(capsys.readouterr().out) == ["/a"]


@BOTH
async def test_a_filter_reads_the_arguments_that_uvicorn_has(access, capsys) -> None:
    seen = []

    def keep(record: logging.LogRecord) -> bool:
        seen.append(record.args)
        return record.args[2] != "/health"

    await ask(b"/a?b=c", b"/health", b"/none", started=lambda: access.addFilter(keep))
    assert [arguments[1:] for arguments in seen] == [
        ("GET", "/a?b=c", "1.1", 200),
        ("GET", "/health", "1.1", 200),
        ("GET", "/none", "1.1", 404),
    ]
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+", arguments[0]) for arguments in seen)
    assert lines(capsys.readouterr().out) == ["/a?b=c", "/none"]


async def test_a_filter_of_the_handler_counts(capsys) -> None:
    await ask(b"/a", started=lambda: ACCESS.handlers[0].addFilter(lambda record: False))
    assert capsys.readouterr().out == ""


async def test_a_filter_may_mask_what_is_written(capsys) -> None:
    def mask(record: logging.LogRecord) -> bool:
        record.line = record.line.replace("secret", "***")
        return True

    await ask(b"/a?token=secret", started=lambda: ACCESS.addFilter(mask))
    assert lines(capsys.readouterr().out) == ["/a?token=***"]


@BOTH
@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, r'127\.0\.0\.1:\d+ - "GET /a\?token=\*\*\* HTTP/1\.1" 200 OK'),
        (
            {"access_log_format": "combined"},
            r'127\.0\.0\.1 - - \[.*\] "GET /a\?token=\*\*\* HTTP/1\.1" 200 2 "-" "-"',
        ),
        (
            {"access_log_format": "%(U)s %(q)s"},
            r'127\.0\.0\.1:\d+ - "GET /a\?token=\*\*\* HTTP/1\.1" 200',
        ),
        ({"access_log_format": "json"}, r'\{.*"target": "/a\?token=\*\*\*".*\}'),
    ],
    ids=["short", "combined", "parts", "json"],
)
async def test_a_filter_may_mask_the_arguments_that_uvicorn_has(
    access, settings, line, capsys
) -> None:
    def mask(record: logging.LogRecord) -> bool:
        client, method, target, version, status = record.args
        record.args = (client, method, target.replace("secret", "***"), version, status)
        return True

    await ask(b"/a?token=secret", started=lambda: access.addFilter(mask), **settings)
    written = capsys.readouterr().out
    assert re.search(f"{line}$", written.strip()), written
    assert "secret" not in written


async def test_a_filter_may_write_another_message(capsys) -> None:
    def rewrite(record: logging.LogRecord) -> bool:
        record.msg, record.args = "%s was asked for", (record.args[2],)
        return True

    await ask(b"/a", started=lambda: ACCESS.addFilter(rewrite))
    assert capsys.readouterr().out.rstrip().endswith("/a was asked for")


async def test_a_record_has_what_the_record_factory_of_the_program_adds(capsys) -> None:
    """OpenTelemetry's ids come that way."""
    before = logging.getLogRecordFactory()

    def factory(*args: Any, **further: Any) -> logging.LogRecord:
        record = before(*args, **further)
        record.trace = "abc"
        return record

    def start() -> None:
        ACCESS.handlers[0].setFormatter(logging.Formatter("%(trace)s %(message)s"))

    logging.setLogRecordFactory(factory)
    try:
        await ask(b"/a", started=start)
    finally:
        logging.setLogRecordFactory(before)
    assert re.match(r"abc 127\.0\.0\.1:\d+ - ", capsys.readouterr().out)


@BOTH
async def test_lines_go_to_handlers_of_the_root_logger_where_they_are_handed_on(
    access, capsys
) -> None:
    collector = Collector()

    def start() -> None:
        access.propagate = True
        logging.getLogger("uvicorn").propagate = True
        logging.getLogger().addHandler(collector)

    await ask(b"/a", started=start)
    assert [each.getMessage() for each in collector.records if each.name == ACCESS.name]
    assert lines(capsys.readouterr().out) == ["/a"]


async def test_what_a_record_says_follows_its_arguments() -> None:
    collector = Collector()
    collector.setFormatter(JsonFormatter())

    def mask(record: logging.LogRecord) -> bool:
        record.args = ("-", record.args[1], "/***", *record.args[3:])
        return True

    def start() -> None:
        ACCESS.addFilter(mask)
        ACCESS.addHandler(collector)

    await ask(b"/a?token=secret", started=start)
    entry = json.loads(collector.format(collector.records[0]))
    assert (entry["client"], entry["target"], entry["path"]) == ("-", "/***", "/***")
    assert "secret" not in str(entry)


@BOTH
@pytest.mark.parametrize(
    "silence",
    [
        lambda access: access.setLevel(logging.WARNING),
        lambda access: setattr(access, "disabled", True),
        lambda access: access.handlers.clear(),
        lambda access: setattr(access, "handlers", []),
    ],
    ids=["level", "disabled", "clear", "no handlers"],
)
async def test_the_log_is_silenced_in_lifespan(access, silence, capsys) -> None:
    await ask(b"/a", started=lambda: silence(access))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"log_level": "warning"}, []),
        ({"log_level": "error", "log_format": "json"}, []),
        ({"log_level": "debug"}, ["/a"]),
        ({"log_level": "error", "access_log_format": "combined"}, ["/a"]),
    ],
)
async def test_a_level_above_info_leaves_the_access_log_out_as_in_uvicorn(
    settings, expected, capsys
) -> None:
    """Unless it has a format or a file of its own."""
    await ask(b"/a", **settings)
    assert lines(capsys.readouterr().out) == expected


async def test_a_log_that_was_silent_speaks_when_it_is_asked_to(capsys) -> None:
    ACCESS.setLevel(logging.WARNING)
    configure_logging(Config("a:b", use_colors=False))
    ACCESS.setLevel(logging.WARNING)
    await ask(b"/a", started=lambda: ACCESS.setLevel(logging.INFO))
    assert lines(capsys.readouterr().out) == ["/a"]


@BOTH
async def test_a_formatter_set_in_lifespan_makes_the_lines(access, capsys) -> None:
    form = logging.Formatter("%(asctime)s|%(name)s|%(message)s")
    await ask(b"/a", started=lambda: access.handlers[0].setFormatter(form))
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\|katana_asgi\.access\|.* \"GET /a HTTP/1\.1\" .*\n",
        capsys.readouterr().out,
    )


@BOTH
async def test_a_handler_added_in_lifespan_gets_each_line_as_well(access, capsys) -> None:
    collector = Collector()
    await ask(b"/a", b"/b", started=lambda: access.addHandler(collector))
    assert [record.getMessage().split()[3] for record in collector.records] == ["/a", "/b"]
    assert lines(capsys.readouterr().out) == ["/a", "/b"]


@BOTH
async def test_handlers_that_replace_ours_get_the_lines_alone(access, capsys) -> None:
    collector = Collector()
    await ask(b"/a", started=lambda: setattr(access, "handlers", [collector]))
    assert len(collector.records) == 1
    assert capsys.readouterr().out == ""


async def test_what_is_set_while_requests_come_counts_from_the_next_batch_on() -> None:
    async def app(scope, receive, send):
        if scope["path"] == "/set":
            ACCESS.addFilter(lambda record: False)
        await respond(send, b"ok")

    collector = Collector()
    configure_logging(Config("a:b"))
    ACCESS.handlers[:] = [collector]
    async with running(app, access_log=True, lifespan="off") as server:
        await server.exchange(get("/a"))
        server.server.access.flush()
        await server.exchange(get("/set"))
        await server.exchange(get("/b"))
    assert [record.path for record in collector.records] == ["/a"]


async def test_a_queue_and_its_listener_get_the_line(capsys) -> None:
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    collector = Collector()
    listener = logging.handlers.QueueListener(waiting, collector)
    handler = logging.handlers.QueueHandler(waiting)
    listener.start()
    await ask(b"/a", started=lambda: setattr(ACCESS, "handlers", [handler]))
    listener.stop()
    (record,) = collector.records
    assert '"GET /a HTTP/1.1" 200 OK' in record.getMessage()


# -- D2: configurations of everything else


@pytest.mark.parametrize("how", ["dict", "file"])
async def test_a_configuration_that_disables_other_loggers_does_not_mean_the_server(
    how, capsys, tmp_path
) -> None:
    def configure() -> None:
        if how == "dict":
            logging.config.dictConfig({"version": 1})
        else:
            path = tmp_path / "log.ini"
            path.write_text(
                "[loggers]\nkeys=root\n[handlers]\nkeys=\n[formatters]\nkeys=\n"
                "[logger_root]\nhandlers=\n"
            )
            logging.config.fileConfig(path)

    other = logging.getLogger("made.before.and.not.named")
    await ask(b"/a", started=configure)
    assert other.disabled
    ERROR.error("still heard")
    THEIR_ERROR.info("this too")
    out, err = capsys.readouterr()
    assert lines(out) == ["/a"]
    assert err == "ERROR:    still heard\nINFO:     this too\n"


async def test_a_configuration_that_names_our_logger_counts(capsys) -> None:
    config = {"version": 1, "loggers": {"katana_asgi.access": {"level": "ERROR"}}}
    await ask(b"/a", started=lambda: logging.config.dictConfig(config))
    assert capsys.readouterr().out == ""


# -- D3: uvicorn's names


def test_a_handler_of_uvicorns_access_logger_is_the_only_one(capsys) -> None:
    """Also where it does not say that its records go no further."""
    log_config = {
        "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
        "loggers": {"uvicorn.access": {"handlers": ["out"], "level": "INFO"}},
    }
    logging.getLogger().handlers[:] = []  # the test runner's, which came after the fixture
    configure_logging(Config("a:b", log_config=log_config, use_colors=False, log_format="text"))
    ACCESS.info("a line")
    ERROR.error("another")
    assert capsys.readouterr() == ("a line\n", "ERROR:    another\n")


def test_tools_that_replace_call_handlers_see_what_is_logged(monkeypatch, capsys) -> None:
    """Sentry and New Relic listen there."""
    seen = []
    original = logging.Logger.callHandlers

    def listening(logger: logging.Logger, record: logging.LogRecord) -> None:
        seen.append((logger.name, record.getMessage()))
        original(logger, record)

    configure_logging(Config("a:b", use_colors=False, log_format="text"))
    monkeypatch.setattr(logging.Logger, "callHandlers", listening)
    ERROR.error("an error")
    THEIR_ERROR.error("another")
    assert seen == [("katana_asgi.error", "an error"), ("uvicorn.error", "another")]
    assert capsys.readouterr().err == "ERROR:    an error\nERROR:    another\n"


def test_messages_on_uvicorns_loggers_are_seen(capsys) -> None:
    configure_logging(Config("a:b", use_colors=False))
    THEIR_ERROR.info("from an application")
    logging.getLogger("uvicorn").info("from another")
    logging.getLogger("uvicorn.error").debug("not at this level")
    assert capsys.readouterr().err == "INFO:     from an application\nINFO:     from another\n"


def test_handlers_of_uvicorns_error_logger_get_our_messages(capsys) -> None:
    collector = Collector()
    configure_logging(Config("a:b", use_colors=False))
    THEIR_ERROR.addHandler(collector)
    ERROR.warning("careful")
    assert [record.getMessage() for record in collector.records] == ["careful"]
    assert capsys.readouterr().err == "WARNING:  careful\n"


def test_intercepting_handlers_on_all_three_names_get_everything_once(capsys) -> None:
    collector = Collector()
    configure_logging(Config("a:b", use_colors=False))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = [collector]
        logging.getLogger(name).propagate = False
    ERROR.warning("careful")
    ACCESS.info("a request")
    assert [record.getMessage() for record in collector.records] == ["careful", "a request"]
    assert capsys.readouterr() == ("", "")


def their_config(tmp_path: Path) -> dict[str, Any]:
    return {
        "version": 1,
        "formatters": {
            "plain": {"format": "%(levelname)s|%(message)s"},
            "access": {
                "()": "uvicorn.logging.AccessFormatter",
                "fmt": "%(levelprefix)s|%(client_addr)s|%(request_line)s|%(status_code)s",
                "use_colors": False,
            },
        },
        "handlers": {
            name: {
                "class": "logging.FileHandler",
                "formatter": form,
                "filename": str(tmp_path / f"{name}.log"),
            }
            for name, form in (("error", "plain"), ("access", "access"))
        },
        "loggers": {
            "uvicorn.error": {"handlers": ["error"], "level": "WARNING", "propagate": False},
            "uvicorn.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
        },
    }


async def test_a_log_configuration_for_uvicorn_is_obeyed_and_one_line_says_so(
    tmp_path, capsys
) -> None:
    await ask(b"/a", b"/none", log_config=their_config(tmp_path))
    ERROR.info("hidden")
    ERROR.warning("seen")
    for logger in (THEIR_ERROR, THEIR_ACCESS):
        for handler in logger.handlers:
            handler.close()
    assert "WARNING|seen\n" in (tmp_path / "error.log").read_text()
    assert "hidden" not in (tmp_path / "error.log").read_text()
    requests = (tmp_path / "access.log").read_text().splitlines()
    assert [line.split("|")[2:] for line in requests] == [
        ["GET /a HTTP/1.1", "200 OK"],
        ["GET /none HTTP/1.1", "404 Not Found"],
    ]
    assert capsys.readouterr().out == ""


async def test_a_line_says_whose_configuration_applies(capsys) -> None:
    await ask(b"/a", b"/b", started=lambda: THEIR_ACCESS.addFilter(lambda record: True))
    err = capsys.readouterr().err
    said = "What is configured for logger uvicorn.access applies to the access log"
    assert err.count(said) == 1


async def test_uvicorns_own_configuration_changed_by_a_program_is_used(capsys) -> None:
    config = json.loads(json.dumps(LOGGING_CONFIG))
    config["formatters"]["access"]["fmt"] = "%(asctime)s " + config["formatters"]["access"]["fmt"]
    config["formatters"]["default"]["fmt"] = "TIME %(levelprefix)s %(message)s"
    await ask(b"/a", log_config=config)
    ERROR.warning("careful")
    out, err = capsys.readouterr()
    assert re.fullmatch(r"\d{4}-.*,\d{3} INFO:     .* - \"GET /a HTTP/1\.1\" 200 OK\n", out)
    assert "TIME WARNING:  careful\n" in err


# -- D4: what a record says


async def test_a_record_says_what_json_needs(capsys) -> None:
    collector = Collector()
    await ask(
        b"/a?b=c",
        started=lambda: ACCESS.addHandler(collector),
        request_id="generate",
        access_log_redact_query=("b",),
    )
    (record,) = collector.records
    assert {name for name in ACCESS_ATTRIBUTES if not hasattr(record, name)} == set()
    assert (record.method, record.path, record.query, record.status) == (
        "GET",
        "/a",
        "b=[redacted]",
        200,
    )
    assert record.args[2] == "/a?b=[redacted]"
    assert 0 < record.duration < 10
    assert record.request_id
    assert record.bytes_out == 2
    assert record.msg % record.args == (f'{record.client} - "GET /a?b=[redacted] HTTP/1.1" 200')


async def test_our_json_formatter_writes_what_a_record_says(capsys) -> None:
    collector = Collector()
    collector.setFormatter(JsonFormatter())
    collector.addFilter(RequestIdFilter())
    await ask(b"/a", started=lambda: ACCESS.addHandler(collector), request_id="generate")
    entry = json.loads(collector.format(collector.records[0]))
    assert entry["status"] == 200
    assert entry["path"] == "/a"
    assert entry["request_id"] == collector.records[0].request_id
    assert entry["message"].endswith('"GET /a HTTP/1.1" 200 OK')


async def test_the_configuration_of_the_guide_has_the_request_id(tmp_path, capsys) -> None:
    handler = {"class": "logging.StreamHandler", "formatter": "json", "filters": ["id"]}
    await ask(
        b"/a",
        log_config={
            "version": 1,
            "filters": {"id": {"()": "katana_asgi.observe.request_ids.RequestIdFilter"}},
            "formatters": {"json": {"()": "katana_asgi.observe.json_log.JsonFormatter"}},
            "handlers": {"all": {**handler, "stream": "ext://sys.stdout"}},
            "root": {"handlers": ["all"], "level": "INFO"},
        },
        request_id="generate",
    )
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (entry,) = [each for each in entries if each["logger"] == "katana_asgi.access"]
    assert entry["request_id"]


async def test_nothing_is_noted_where_nothing_asks_for_it() -> None:
    configure_logging(Config("a:b"))
    async with running(respond, access_log=True, lifespan="off") as server:
        access = server.server.access
        assert not (access.reads_moment)
        assert not (access.reads_duration)
        assert not (access.reads_ids)
        assert not (access.reads_fields)


# -- D5: the time


@pytest.mark.parametrize("form", ["time", "text"])
async def test_lines_begin_with_the_time_where_it_is_asked_for(form, capsys) -> None:
    await ask(b"/a", log_format=form)
    ERROR.warning("careful")
    moment = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} " if form == "time" else ""
    out, err = capsys.readouterr()
    assert re.fullmatch(moment + r"INFO:     .*GET /a.*\n", out)
    assert re.fullmatch(moment + r"WARNING:  careful\n", err)


@pytest.mark.parametrize(
    ("place", "timed"),
    [("a file", True), ("a pipe", True), ("a journal", False), ("a container", False)],
)
def test_the_time_is_left_out_where_something_else_adds_it(
    place, timed, tmp_path, monkeypatch
) -> None:
    import os

    from katana_asgi.observe import logs

    monkeypatch.setattr(logs, "CONTAINER_FILES", (str(tmp_path) if place == "a container" else "",))
    for name in (*logs.PLATFORM_VARIABLES, "JOURNAL_STREAM"):
        monkeypatch.delenv(name, raising=False)
    reader, writer = os.pipe()
    with (
        open(tmp_path / "log", "w") if place == "a file" else open(writer, "w") as stream,
        open(reader),
    ):
        if place == "a journal":
            found = os.fstat(stream.fileno())
            monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        assert logs.wants_time(Config("a:b"), stream) is timed
    if place == "a file":
        os.close(writer)


def test_our_loggers_are_of_the_class_that_knows_its_twin() -> None:
    configure_logging(Config("a:b"))
    assert all(isinstance(logger, ServerLogger) for logger in (ACCESS, ERROR, THEIR_ACCESS))
    assert ACCESS.twin is THEIR_ACCESS
    assert ERROR.twin is THEIR_ERROR
