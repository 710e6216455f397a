"""How the two loggers are set up, and how their lines look."""

from __future__ import annotations

import io
import logging

import pytest

from katana_asgi import Config
from katana_asgi.observe.logs import TRACE, LineFormatter, configure_logging

ERROR = logging.getLogger("katana_asgi.error")
ACCESS = logging.getLogger("katana_asgi.access")


def configure(**settings) -> None:
    configure_logging(Config(app="a:b", **settings))


def test_errors_go_to_standard_error_and_requests_to_standard_output(capsys):
    configure()
    ERROR.warning("careful")
    ACCESS.info("a request")
    assert capsys.readouterr() == ("INFO:     a request\n", "WARNING:  careful\n")


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("critical", ["CRITICAL"]),
        ("error", ["ERROR", "CRITICAL"]),
        ("info", ["INFO", "WARNING", "ERROR", "CRITICAL"]),
        ("debug", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        ("trace", ["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
    ],
)
def test_the_level_is_that_of_the_settings(capsys, level, shown):
    configure(log_level=level)
    for number in (TRACE, 10, 20, 30, 40, 50):
        ERROR.log(number, "said")
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == shown


def test_requests_that_have_a_format_are_logged_whatever_the_level(capsys):
    configure(log_level="critical", access_log_format="common")
    ACCESS.info("a request")
    assert capsys.readouterr().out == "a request\n"


def test_an_exception_comes_with_its_traceback(capsys):
    configure()
    try:
        raise KeyError("lost")
    except KeyError:
        ERROR.exception("it failed")
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["ERROR:    it failed", "Traceback (most recent call last):"]
    assert lines[-1] == "KeyError: 'lost'"


def test_nothing_is_said_twice_where_the_root_logger_has_a_handler(capsys, caplog):
    configure()
    ERROR.error("once")
    assert capsys.readouterr().err == "ERROR:    once\n"
    assert caplog.messages == []


def test_configuring_twice_says_things_once(capsys):
    configure()
    configure()
    ERROR.error("once")
    assert capsys.readouterr().err == "ERROR:    once\n"


def test_a_logger_that_the_application_configured_stays_as_it_is(capsys):
    theirs = logging.StreamHandler(io.StringIO())
    ERROR.addHandler(theirs)
    ERROR.setLevel(logging.CRITICAL)
    configure(log_level="debug")
    ERROR.error("not for us")
    ACCESS.info("a request")
    assert ERROR.handlers == [theirs]
    assert ERROR.level == logging.CRITICAL
    assert capsys.readouterr() == ("INFO:     a request\n", "")


def test_colours_are_for_terminals_unless_settings_say_otherwise():
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, setting, coloured in (
        (Terminal(), None, True),
        (Terminal(), False, False),
        (io.StringIO(), None, False),
        (io.StringIO(), True, True),
    ):
        ERROR.handlers[:] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stderr", stream)
            configure(use_colors=setting)
        ERROR.error("said")
        expected = "\x1b[31mERROR\x1b[0m:    said\n" if coloured else "ERROR:    said\n"
        assert stream.getvalue() == expected


def test_each_line_of_a_batch_has_its_level():
    form = LineFormatter(colours=False)
    assert form.join(logging.INFO, ["a", "b"]) == "INFO:     a\nINFO:     b"
