"""``--log-config`` and JSON for the server's own log."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from katana_asgi import Config
from katana_asgi.errors import ConfigurationError
from katana_asgi.observe.logs import configure_logging
from katana_asgi.observe.request_ids import request_id
from tests.support import ROOT, TIMEOUT

ERROR = logging.getLogger("katana_asgi.error")
ACCESS = logging.getLogger("katana_asgi.access")

CONFIG = {
    "formatters": {"plain": {"format": "%(levelname)s|%(message)s"}},
    "handlers": {"file": {"class": "logging.FileHandler", "formatter": "plain"}},
    "loggers": {"katana_asgi.error": {"handlers": ["file"], "level": "WARNING"}},
}

TOML = """
[formatters.plain]
format = "%(levelname)s|%(message)s"
[handlers.file]
class = "logging.FileHandler"
formatter = "plain"
filename = {filename}
[loggers."katana_asgi.error"]
handlers = ["file"]
level = "WARNING"
"""


@pytest.fixture(autouse=True)
def logging_as_before():
    """Handlers that a configuration made are closed, and the root logger is as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    for logger in (ERROR, ACCESS, root):
        for handler in logger.handlers:
            if handler not in before[0]:
                handler.close()
    root.handlers[:], root.level = before


def configure_alone(**settings) -> None:
    """Configure without the handlers of the test runner, which would pass for a user's."""
    root = logging.getLogger()
    root.handlers[:] = []
    configure_logging(Config(app="a:b", **settings))


@pytest.mark.parametrize("suffix", ["json", "toml", "yaml", "yml"])
def test_a_configuration_is_used_whatever_it_is_written_in(tmp_path, suffix, capsys):
    out = str(tmp_path / "out.log")
    path = tmp_path / f"logging.{suffix}"
    settings = {**CONFIG, "handlers": {"file": {**CONFIG["handlers"]["file"], "filename": out}}}
    path.write_text(
        TOML.format(filename=json.dumps(out)) if suffix == "toml" else json.dumps(settings)
    )
    configure_alone(log_config=str(path), use_colors=False)
    ERROR.info("hidden")
    ERROR.warning("seen")
    ACCESS.info("a request")
    for handler in ERROR.handlers:
        handler.close()
    assert (tmp_path / "out.log").read_text() == "WARNING|seen\n"
    assert capsys.readouterr() == ("INFO:     a request\n", "")


def test_loggers_that_were_there_stay_enabled(tmp_path):
    path = tmp_path / "logging.json"
    path.write_text("{}")
    earlier = logging.getLogger("made.before")
    configure_logging(Config(app="a:b", log_config=str(path)))
    assert not earlier.disabled


def test_handlers_of_the_root_logger_are_for_the_server_too(tmp_path):
    path = tmp_path / "logging.json"
    out = str(tmp_path / "all.log")
    handler = {"class": "logging.FileHandler", "filename": out}
    path.write_text(
        json.dumps({"handlers": {"all": handler}, "root": {"handlers": ["all"], "level": "DEBUG"}})
    )
    configure_alone(log_config=str(path))
    ERROR.error("an error")
    ACCESS.info("a request")
    assert (tmp_path / "all.log").read_text() == "an error\na request\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", "{", "parsed"),
        ("a.toml", "=", "parsed"),
        ("a.yaml", "{", "parsed"),
        ("a.yaml", "[1]", "table"),
        ("a.json", '{"version": 3}', "version"),
        ("a.json", '{"handlers": {"x": {"class": "no.such.Handler"}}}', "'x'"),
        ("a.json", "\udcff", "cannot be read"),
    ],
)
def test_a_configuration_that_cannot_be_used_says_why(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigurationError, match=said):
        configure_logging(Config(app="a:b", log_config=str(path)))


def test_yaml_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = tmp_path / "a.yaml"
    path.write_text("version: 1")
    with pytest.raises(ConfigurationError, match=r"katana-asgi\[yaml\]"):
        configure_logging(Config(app="a:b", log_config=str(path)))


def test_an_error_in_json_is_one_line_with_its_traceback(capsys):
    configure_logging(Config(app="a:b", log_format="json"))
    token = request_id.set("r-1")
    try:
        raise KeyError("lost\nand found")
    except KeyError:
        ERROR.exception("it failed: %s", "\x1b[31m\n")
    finally:
        request_id.reset(token)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isascii()
    entry = json.loads(line)
    assert entry["level"] == "ERROR"
    assert entry["logger"] == "katana_asgi.error"
    assert entry["message"] == "it failed: \x1b[31m\n"
    assert entry["request_id"] == "r-1"
    assert entry["exception"].startswith("Traceback (most recent call last):")
    assert "KeyError" in entry["exception"]


def test_json_says_nothing_of_requests_outside_of_one(capsys):
    configure_logging(Config(app="a:b", log_format="json"))
    ERROR.warning("careful")
    entry = json.loads(capsys.readouterr().err)
    assert entry.keys() == {"time", "level", "logger", "message", "pid"}


DISABLING = """
import logging
import katana_asgi.worker.server  # which has the loggers
from katana_asgi import Config
from katana_asgi.observe.logs import configure_logging
configure_logging(Config("a:b", log_config={
    "version": 1,
    "disable_existing_loggers": True,
    "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
    "root": {"level": "INFO", "handlers": ["out"]},
    "loggers": {"uvicorn": {"level": "INFO"}},
}))
logging.getLogger("katana_asgi.error").info("heard")
logging.getLogger("uvicorn.error").info("this too")
"""


def test_a_configuration_that_disables_existing_loggers_does_not_mean_the_server():
    command = [sys.executable, "-c", DISABLING]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT)
    assert (ended.stdout, ended.stderr) == ("heard\nthis too\n", "")


FILTER = """
import logging
class Mine(logging.Filter):
    def filter(self, record):
        record.msg = "mine: " + record.msg
        return True
"""


@pytest.mark.parametrize("forget", [False, True])
def test_classes_of_the_application_are_found(tmp_path, monkeypatch, capsys, forget):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "own_filters.py").write_text(FILTER)
    monkeypatch.delitem(sys.modules, "own_filters", raising=False)
    settings = {
        "filters": {"mine": {"()": "own_filters.Mine"}},
        "handlers": {"err": {"class": "logging.StreamHandler", "filters": ["mine"]}},
        "loggers": {"uvicorn.error": {"handlers": ["err"], "level": "INFO"}},
    }
    root = logging.getLogger()
    root.handlers[:] = []
    path = sys.path[:]
    config = Config("a:b", app_dir=str(tmp_path / "src"), log_config=settings)
    configure_logging(config, forget=forget)
    ERROR.info("hello")
    assert capsys.readouterr().err == "mine: hello\n"
    assert sys.path == path
    assert ("own_filters" in sys.modules) is not forget
    monkeypatch.delitem(sys.modules, "own_filters", raising=False)
