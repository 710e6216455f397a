"""uvicorn's names and values are taken, from the command line and from programs (E1, E4)."""

from __future__ import annotations

import inspect
import io
import logging
import ssl
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest

from katana_asgi.cli import COMMANDS
from katana_asgi.cli_options import prepared, serve_command
from katana_asgi.config.model import SETTINGS, Config
from katana_asgi.config.sources import load
from katana_asgi.config.uvicorn_names import REFUSED, SYNONYMS, TAKEN
from katana_asgi.errors import ConfigurationError

uvicorn = pytest.importorskip("uvicorn")

pytestmark = pytest.mark.usefixtures("place")


def parsed(*words: str) -> Config:
    """The configuration of a line."""
    command = serve_command(COMMANDS)
    params = command.main(prepared(words, command), standalone_mode=False)
    given = {name: value for name, value in params.items() if value not in (None, (), False)}
    given |= {name: False for name, value in params.items() if value is False and name in SETTINGS}
    texts = {name: [value] if isinstance(value, str) else value for name, value in given.items()}
    return load(texts).config


# -- the command line


def their_options() -> list[Any]:
    return [each for each in uvicorn.main.params if each.name not in ("app", "version", "help")]


@pytest.mark.parametrize("option", their_options(), ids=lambda each: each.name)
def test_every_flag_of_uvicorn_is_a_flag_of_ours(option: Any) -> None:
    ours = {name for param in serve_command({}).params for name in param.opts}
    ours |= {name for param in serve_command({}).params for name in param.secondary_opts}
    assert {*option.opts, *option.secondary_opts} <= ours


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        (option.name, choice)
        for option in their_options()
        for choice in getattr(option.type, "choices", ())
    ],
)
def test_every_value_of_uvicorns_choices_is_taken(name: str, choice: str) -> None:
    config = parsed("a:b", f"--{name.replace('_', '-')}", choice)
    assert getattr(config, name) in SETTINGS[name].choices


@pytest.mark.parametrize(
    ("words", "name", "value", "notes"),
    [
        (["--ws", "wsproto"], "ws", "auto", 1),
        (["--http", "zttp"], "http", "auto", 1),
        (["--ws-per-message-deflate", "false"], "ws_per_message_deflate", False, 0),
        (["--ws-per-message-deflate=False"], "ws_per_message_deflate", False, 0),
        (["--ws-per-message-deflate", "True"], "ws_per_message_deflate", True, 0),
        (["--access-log", "false"], "access_log", False, 0),
        (["--h11-max-incomplete-event-size", "1000"], "limit_header_size", 1000, 0),
        (["--limit-max-requests-jitter", "3"], "limit_max_requests_jitter", 3, 0),
        (["--timeout-worker-healthcheck", "60"], "timeout_worker", 0, 1),
        (["--timeout-worker-healthcheck", "5"], "timeout_worker", 0, 0),
        (["--reload-delay", "0.5"], "reload_delay", 0.5, 0),
        (["--loop", "Mine:make"], "loop", "Mine:make", 0),
        (["--reset-contextvars"], "reset_contextvars", True, 0),
        (["--ssl-version", "17"], "ssl_minimum_version", "1.2", 0),
        (["--ssl-version", "5"], "ssl_minimum_version", "1.2", 1),
        (["--root-path", "api/v1"], "root_path", "/api/v1", 1),
        (["--uds", "/tmp/x", "--host", "0.0.0.0"], "uds", "/tmp/x", 1),
        (["--reload", "--workers", "4"], "workers", 1, 1),
        (["--forwarded-allow-ips", "10.0.0.1,nginx"], "forwarded_allow_ips", ("10.0.0.1",), 1),
        (["--forwarded-allow-ips", "/run/x.sock"], "forwarded_allow_ips", ("unix",), 0),
        (["--reload-include", "*.html"], "reload_include", ("*.py", "*.html"), 0),
        (["--reload-exclude", "*.py"], "reload_include", (), 0),
    ],
)
def test_a_flag_of_uvicorn_means_what_it_can_and_says_what_it_cannot(
    words: list[str], name: str, value: Any, notes: int
) -> None:
    config = parsed("a:b", *words)
    assert getattr(config, name) == value
    assert len(config.notes) == notes
    assert all(note.startswith("flag --") for note in config.notes)


def test_http2_is_taken_without_a_value() -> None:
    for words in (["--http2", "a:b"], ["a:b", "--http2"], ["a:b", "--http2", "auto"]):
        config = parsed(*words)
        assert (config.app, config.http2, config.notes) == ("a:b", "auto", ())
    assert Config("a:b", http2=True).http2 == "auto"
    assert Config("a:b", http2=False).http2 == "off"


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("--cpu-affinity a:b", "on"),
        ("a:b --cpu-affinity", "on"),
        ("--cpu-affinity --port 1 a:b", "on"),
        ("--cpu-affinity=true a:b", "on"),
        ("--no-cpu-affinity a:b", "off"),
        ("--cpu-affinity false a:b", "off"),
        ("--cpu-affinity Auto a:b", "auto"),
        ("a:b --cpu-affinity=auto", "auto"),
    ],
)
def test_a_switch_may_have_a_value(words: str, meant: str) -> None:
    config = parsed(*words.split())
    assert (config.app, config.cpu_affinity) == ("a:b", meant)


@pytest.mark.parametrize(
    ("value", "meant"), [(True, "on"), (0, "off"), ("ON", "on"), ("auto", "auto")]
)
def test_a_program_may_switch_with_a_boolean(value: object, meant: str) -> None:
    assert Config("a:b", cpu_affinity=value).cpu_affinity == meant  # type: ignore[arg-type]


def test_a_boolean_with_another_value_is_refused() -> None:
    with pytest.raises(Exception, match="takes true or false, not 'maybe'"):
        parsed("a:b", "--access-log=maybe")


def test_a_log_configuration_may_be_in_ini_format(place: Path) -> None:
    (place / "log.conf").write_text("[loggers]\nkeys=root\n")
    assert parsed("a:b", "--log-config", "log.conf").log_config == "log.conf"


def test_values_of_the_environment_and_of_files_are_taken_too(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KATANA_WS", "wsproto")
    (place / "katana.toml").write_text("http = 'zttp'\n")
    loaded = load({}, "katana.toml")
    assert (loaded.config.ws, loaded.config.http) == ("auto", "auto")
    assert [note.partition(":")[0] for note in loaded.config.notes] == [
        "file katana.toml key http",
        "variable KATANA_WS",
    ]


# -- programs


def test_every_keyword_of_uvicorn_is_a_keyword_of_ours() -> None:
    for name in inspect.signature(uvicorn.Config).parameters:
        assert name in SETTINGS or name in TAKEN or name in REFUSED


def test_every_default_of_uvicorn_is_taken_without_a_note() -> None:
    signature = inspect.signature(uvicorn.run).parameters.items()
    defaults = {name: each.default for name, each in signature if name != "app"}
    assert Config("a:b", **defaults).notes == ()


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - {"app"}))
def test_none_is_the_default_or_no_limit(name: str) -> None:
    setting = SETTINGS[name]
    expected = {} if name == "log_config" else 0 if setting.unlimited else setting.default
    assert getattr(Config("a:b", **{name: None}), name) == expected


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ({"log_level": "INFO"}, "log_level", "info"),
        ({"log_level": logging.INFO}, "log_level", "info"),
        ({"log_level": 5}, "log_level", "trace"),
        ({"log_level": 25}, "log_level", "info"),
        ({"log_level": "WARN"}, "log_level", "warning"),
        ({"port": "8000"}, "port", 8000),
        ({"workers": "4"}, "workers", 4),
        ({"timeout_keep_alive": int(1e9)}, "timeout_keep_alive", 604800.0),
        ({"timeout_keep_alive": "30s"}, "timeout_keep_alive", 30.0),
        ({"limit_body_size": "1MiB"}, "limit_body_size", 1024**2),
        ({"access_log": 0}, "access_log", False),
        ({"use_colors": "on"}, "use_colors", True),
        ({"ssl_cert_reqs": 0}, "ssl_cert_reqs", "0"),
        ({"ssl_cert_reqs": ssl.CERT_NONE}, "ssl_cert_reqs", "0"),
        ({"headers": [("X-A", "b")]}, "header", (("X-A", "b"),)),
        ({"headers": None}, "header", ()),
        ({"reload_dirs": "."}, "reload_dir", (".",)),
        ({"reload_dirs": ["."], "reload_includes": ["*.x"]}, "reload_include", ("*.py", "*.x")),
        ({"loop": "none"}, "loop", "auto"),
        ({"loop": "rloop:new_event_loop"}, "loop", "rloop:new_event_loop"),
        ({"ssl_keyfile": "", "ssl_certfile": ""}, "ssl_certfile", None),
        ({"env_file": ""}, "env_file", None),
        ({"reload_dirs": [Path(".")]}, "reload_dir", (".",)),
        ({"reload_dirs": Path(".")}, "reload_dir", (".",)),
        ({"forwarded_allow_ips": {"10.0.0.1"}}, "forwarded_allow_ips", ("10.0.0.1",)),
        ({"log_config": None}, "log_config", {}),
        ({"log_config": {"version": 1}}, "log_config", {"version": 1}),
        ({"forwarded_allow_ips": "*"}, "forwarded_allow_ips", ("*",)),
        ({"forwarded_allow_ips": ["10.0.0.1"]}, "forwarded_allow_ips", ("10.0.0.1",)),
        ({"ws": type("Protocol", (), {})}, "ws", "auto"),
        ({"http": "a.b:Protocol"}, "http", "auto"),
        ({"callback_notify": print}, "port", 8000),
    ],
)
def test_a_program_may_give_what_it_gave_to_uvicorn(
    given: dict[str, Any], name: str, value: Any
) -> None:
    assert getattr(Config("a:b", **given), name) == value


def test_a_value_that_changes_nothing_is_noted_once() -> None:
    config = Config("a:b", ws="wsproto", ssl_version=5, port=0)
    assert len(config.notes) == 2
    assert config.replace(port=1).notes == config.notes


def test_a_log_configuration_may_be_a_parser_or_an_open_file() -> None:
    text = "[loggers]\nkeys=root\n"
    parser = RawConfigParser()
    parser.read_string(text)
    assert Config("a:b", log_config=parser).log_config is parser
    assert isinstance(Config("a:b", log_config=io.StringIO(text)).log_config, RawConfigParser)
    with pytest.raises(ConfigurationError):
        Config("a:b", log_config=io.StringIO("no ini"))


def test_the_proxies_of_the_environment_are_those_of_programs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.1")
    config = Config("a:b")
    assert config.forwarded_allow_ips == ("10.0.0.1",)
    assert Config("a:b", forwarded_allow_ips="*").forwarded_allow_ips == ("*",)
    monkeypatch.delenv("FORWARDED_ALLOW_IPS")
    assert config.replace(port=1).forwarded_allow_ips == ("10.0.0.1",)


def test_what_cannot_be_ignored_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="ssl_context_factory: is not supported"):
        Config("a:b", ssl_context_factory=lambda *_: None)


def test_an_unknown_keyword_is_named_with_the_nearest() -> None:
    with pytest.raises(TypeError, match="'wrokers'; did you mean workers"):
        Config("a:b", wrokers=2)


def test_a_configuration_has_no_attributes_of_its_own_choice() -> None:
    with pytest.raises(AttributeError):
        Config("a:b").nonsense = 1  # type: ignore[attr-defined] # the point of the test


def test_synonyms_are_those_of_settings() -> None:
    assert SYNONYMS.keys() <= SETTINGS.keys()
    assert not TAKEN.keys() & SETTINGS.keys()
    for name, values in SYNONYMS.items():
        assert {each.value for each in values.values()} <= set(SETTINGS[name].choices)
