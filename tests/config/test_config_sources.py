"""Flags win over the environment, that over the file, that over defaults."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from katana_asgi.config.env_file import load_env_file
from katana_asgi.config.model import SETTINGS, StaticRoute
from katana_asgi.config.sources import load
from katana_asgi.errors import ConfigurationError

pytestmark = pytest.mark.usefixtures("place")


def refusal(flags: dict[str, Any] | None = None, config_file: str | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(flags or {}, config_file)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_without_sources_there_are_only_defaults() -> None:
    loaded = load({})
    assert loaded.origins == {}
    assert loaded.config.port == 8000


def test_each_source_gives_way_to_the_next(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "katana.toml").write_text("workers = 2\nport = 2\nbacklog = 2\nlog-level = 'debug'\n")
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    monkeypatch.setenv("KATANA_PORT", "3")
    monkeypatch.setenv("KATANA_BACKLOG", "3")
    loaded = load({"backlog": ["4"]}, "katana.toml")
    config = loaded.config
    assert (config.log_level, config.workers, config.port, config.backlog) == ("debug", 3, 3, 4)
    assert loaded.origins == {
        "log_level": "file katana.toml key log-level",
        "workers": "variable WEB_CONCURRENCY",
        "port": "variable KATANA_PORT",
        "backlog": "flag --backlog",
    }
    monkeypatch.setenv("KATANA_WORKERS", "4")
    assert load({}, "katana.toml").config.workers == 4


def test_the_whole_value_comes_from_one_source(place: Path) -> None:
    (place / "katana.toml").write_text("header = ['A: file']\n")
    assert load({"header": ["B: flag", "C:flag"]}, "katana.toml").config.header == (
        ("B", "flag"),
        ("C", "flag"),
    )


def test_lists_of_repeated_flags_add_up(place: Path) -> None:
    (place / "katana.toml").write_text("reload-include = ['*.txt']\n")
    config = load({"reload_include": ["*.py,*.html", "*.css"]}, "katana.toml").config
    assert config.reload_include == ("*.py", "*.html", "*.css")


def test_booleans_have_two_flags() -> None:
    loaded = load({"date_header": False, "factory": True})
    assert (loaded.config.date_header, loaded.config.factory) == (False, True)
    assert loaded.origins == {"date_header": "flag --no-date-header", "factory": "flag --factory"}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("app", "main:app", "main:app"),
        ("port", " 80 ", 80),
        ("date_header", "off", False),
        ("date_header", "YES", True),
        ("log_level", "DEBUG", "debug"),
        ("cpu_affinity", "1", "on"),
        ("cpu_affinity", "Auto", "auto"),
        ("timeout_keep_alive", "1m", 60.0),
        ("limit_body_size", "1MiB", 1024**2),
        ("uds", "/run/a.sock", "/run/a.sock"),
        ("root_path", "", ""),
        ("forwarded_allow_ips", "10.0.0.1, unix", ("10.0.0.1", "unix")),
        ("forwarded_allow_ips", "", ()),
        ("forwarded_fields", "for,proto, host", ("for", "proto", "host")),
        ("header", "A: b, c\nD: e\n", (("A", "b, c"), ("D", "e"))),
        ("static_route", "/a=b=c\n/d=", (StaticRoute("/a", "b=c"), StaticRoute("/d", ""))),
        ("static_file_route", "/n=/dev/null", (("/n", "/dev/null"),)),
    ],
)
def test_each_kind_is_read_from_a_variable(
    name: str, text: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTINGS[name].variable, text)
    loaded = load({})
    assert getattr(loaded.config, name) == value
    assert loaded.origins == {name: f"variable {SETTINGS[name].variable}"}


@pytest.mark.parametrize(
    "name", ["app", "port", "uds", "date_header", "timeout_header", "log_level"]
)
def test_an_empty_variable_counts_as_not_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTINGS[name].variable, " ")
    assert load({}).origins == {}


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("workers", "many", "'many' is not allowed; use an integer from 1 to 1024, or auto"),
        ("workers", "²", "'²' is not allowed; use an integer from 1 to 1024, or auto"),
        (
            "date_header",
            "maybe",
            "'maybe' is not allowed; use 1, true, yes or on, 0, false, no or off",
        ),
        (
            "timeout_header",
            "soon",
            "'soon' is not allowed; use seconds or a duration such as 500ms, 30s, 5m or 1h, "
            "from 100ms to 168h",
        ),
        (
            "limit_header_size",
            "1k",
            "'1k' is not allowed; use bytes or a size such as 16KiB or 1MB, from 256B to 1024TiB",
        ),
        ("header", "A", "'A' is not allowed; use NAME:VALUE"),
        ("static_route", "a=b", "'a=b' is not allowed; use PATH=BODY, such as /healthz=ok"),
        (
            "static_file_route",
            "/robots.txt",
            "'/robots.txt' is not allowed; use PATH=FILE, such as /robots.txt=public/robots.txt",
        ),
    ],
)
def test_a_bad_value_is_named_with_its_place(
    name: str, text: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = SETTINGS[name]
    assert refusal({name: [text]}) == f"flag {setting.flag}: {complaint}"
    monkeypatch.setenv(setting.variable, text)
    assert refusal() == f"variable {setting.variable}: {complaint}"


def test_a_bad_foreign_variable_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "0")
    assert refusal() == (
        "variable WEB_CONCURRENCY: 0 is not allowed; use an integer from 1 to 1024, or auto"
    )


def test_the_application_is_an_argument() -> None:
    assert refusal({"app": ["main"]}).startswith("argument APP: 'main' is not allowed")


def test_the_variable_of_a_build_may_stay_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KATANA_ASGI_NATIVE", "1")
    assert load({"app": ["main:app"]}).config.app == "main:app"


def test_a_variable_names_the_file_and_the_flag_wins(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "one.toml").write_text("port = 1")
    (place / "two.toml").write_text("port = 2")
    monkeypatch.setenv("KATANA_CONFIG", "one.toml")
    assert load({}).config.port == 1
    assert load({}, "two.toml").config.port == 2


def test_one_place_to_listen_in_one_source(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal({"uds": ["/x"], "bind": ["127.0.0.1:1"]}) == (
        "flag --bind: ('127.0.0.1:1',) cannot be combined with flag --uds; use one of host with "
        "port, uds, fd and bind"
    )
    monkeypatch.setenv("KATANA_FD", "3")
    monkeypatch.setenv("KATANA_UDS", "/x")
    assert refusal().startswith("variable KATANA_FD: 3 cannot be combined with variable KATANA_UDS")


def test_a_higher_source_decides_where_to_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KATANA_HOST", "0.0.0.0")
    loaded = load({"uds": ["/x"]})
    assert (loaded.config.uds, loaded.config.host) == ("/x", "127.0.0.1")
    assert "host" not in loaded.origins


def test_settings_that_clash_are_named_with_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KATANA_INTERFACE", "wsgi")
    assert refusal({"lifespan": ["on"]}).startswith("flag --lifespan: 'on' is not allowed")


def test_an_env_file_is_loaded_before_the_environment_is_read(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / ".env").write_text("KATANA_PORT=81\nKATANA_BACKLOG=81\nAPP_SECRET='s e'\nEMPTY\n")
    monkeypatch.setenv("KATANA_BACKLOG", "80")
    loaded = load({"env_file": [".env"]})
    assert (loaded.config.port, loaded.config.backlog) == (81, 80)
    assert os.environ["APP_SECRET"] == "s e"
    assert loaded.origins["port"] == "variable KATANA_PORT (env file)"
    assert loaded.origins["backlog"] == "variable KATANA_BACKLOG"


def test_an_env_file_may_be_named_by_variable_or_file(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "a.env").write_text("KATANA_PORT=81\nKATANA_ENV_FILE=elsewhere.env\n")
    (place / "b.env").write_text("KATANA_BACKLOG=82\n")
    (place / "katana.toml").write_text("env-file = 'b.env'")
    loaded = load({}, "katana.toml")
    assert (loaded.config.port, loaded.config.backlog) == (8000, 82)
    assert loaded.config.env_file == "b.env"
    monkeypatch.delenv("KATANA_BACKLOG")
    monkeypatch.setenv("KATANA_ENV_FILE", "a.env")
    loaded = load({}, "katana.toml")
    assert (loaded.config.port, loaded.config.backlog) == (81, 2048)
    assert loaded.config.env_file == "a.env"


def test_an_env_file_is_read_again_as_it_is_now(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTER", "outer")
    flags = {"env_file": [".env"]}
    (place / ".env").write_text("KATANA_PORT=81\nA=1\nGONE=1\nCHANGED=1\nOUTER=inner\n")
    assert load(flags).config.port == 81
    monkeypatch.setenv("CHANGED", "by the program")
    (place / ".env").write_text("KATANA_PORT=82\nA=2\nCHANGED=2\n")
    assert load(flags).config.port == 82
    names = ("A", "GONE", "CHANGED", "OUTER")
    now = ["2", None, "by the program", "outer"]
    assert [os.environ.get(name) for name in names] == now
    for broken in (b"KATANA_PORT=x\nA=3\nGONE=3\n", b"A=\xff"):
        (place / ".env").write_bytes(broken)
        assert refusal(flags)
        assert [os.environ.get(name) for name in (*names, "KATANA_PORT")] == [*now, "82"]
    assert load({}).config.port == 8000
    assert [os.environ.get(name) for name in ("A", "KATANA_PORT")] == [None, None]


def test_an_env_file_cannot_name_another_one(place: Path) -> None:
    (place / "a.env").write_text("KATANA_ENV_FILE=elsewhere.env\n")
    assert load({"env_file": ["a.env"]}).config.env_file == "a.env"


def test_a_missing_env_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "'x.env' cannot be read (No such file or directory); use a readable file"
    assert refusal({"env_file": ["x.env"]}) == f"flag --env-file: {reason}"
    monkeypatch.setenv("KATANA_ENV_FILE", "x.env")
    assert refusal() == f"variable KATANA_ENV_FILE: {reason}"
    with pytest.raises(ConfigurationError, match=r"env file 'x\.env' cannot be read"):
        load_env_file("x.env")


def test_an_env_file_that_is_no_text_is_refused(place: Path) -> None:
    (place / "x.env").write_bytes(b"A=\xff")
    assert refusal({"env_file": ["x.env"]}).startswith(
        "flag --env-file: env file 'x.env' is not text"
    )


def test_without_dotenv_an_env_file_names_the_extra(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "x.env").touch()
    monkeypatch.setitem(sys.modules, "dotenv", None)
    assert refusal({"env_file": ["x.env"]}) == (
        "flag --env-file: env file 'x.env' needs the package python-dotenv; "
        "pip install 'katana-asgi[env]'"
    )
