"""What a TOML file may say, and how its mistakes are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from katana_asgi.config.model import StaticRoute
from katana_asgi.config.sources import load
from katana_asgi.errors import ConfigurationError


def read(place: Path, text: str, name: str = "katana.toml") -> Any:
    (place / name).write_text(text)
    return load({}, name).config


def refusal(place: Path, text: str, name: str = "katana.toml") -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(place, text, name)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_settings_are_top_level_keys_or_a_table(place: Path) -> None:
    assert read(place, "port = 1").port == 1
    assert read(place, "[katana-asgi]\nport = 1\n[other]\nport = 'x'").port == 1
    assert read(place, "[tool.katana-asgi]\nport = 1", "pyproject.toml").port == 1


def test_a_setting_beside_the_table_is_refused(place: Path) -> None:
    assert refusal(place, "port = 1\n[katana-asgi]\nworkers = 2") == (
        "file katana.toml: key port stands outside the table [katana-asgi]"
    )
    assert refusal(place, "katana-asgi = 1") == "file katana.toml: katana-asgi is not a table"


def test_pyproject_is_read_where_it_has_a_table(place: Path) -> None:
    pyproject = place / "pyproject.toml"
    pyproject.write_text("[project]\nname = 'x'\n[tool.other]\na = 1\n")
    assert load({}).origins == {}
    pyproject.write_text("[project]\nname = 'x'\n")
    assert load({}).origins == {}
    pyproject.write_text("[tool.katana-asgi]\nport = 1\n")
    assert load({}).origins == {"port": "file pyproject.toml key port"}
    (place / "katana.toml").write_text("port = 2")
    assert load({}).config.port == 1
    assert load({}, "katana.toml").config.port == 2


def test_pyproject_given_by_name_must_have_the_table(place: Path) -> None:
    complaint = "file pyproject.toml: has no table [tool.katana-asgi]"
    assert refusal(place, "port = 1", "pyproject.toml") == complaint
    assert refusal(place, "[tool]\nkatana-asgi = 1", "pyproject.toml") == complaint


def test_keys_have_dashes_or_underscores_but_not_both(place: Path) -> None:
    assert read(place, "log-level = 'debug'").log_level == "debug"
    assert read(place, "log_level = 'debug'").log_level == "debug"
    assert refusal(place, "log_level = 'debug'\nlog-level = 'info'") == (
        "file katana.toml: log_level and log-level are the same setting"
    )


def test_an_unknown_key_is_answered_with_the_nearest(place: Path) -> None:
    assert refusal(place, "wrokers = 1") == (
        "file katana.toml: unknown key 'wrokers'; did you mean workers?"
    )
    assert refusal(place, "zzzzzz = 1") == (
        "file katana.toml: unknown key 'zzzzzz'; --print-config shows all keys"
    )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"port = ", "file katana.toml: is not valid TOML ("),
        (b"a = '\xff'", "file katana.toml: is not valid TOML ('utf-8' codec can't decode"),
        (b"port = " + b"1" * 9999, "file katana.toml: is not valid TOML ("),
    ],
)
def test_a_file_that_is_not_toml_is_refused(place: Path, content: bytes, complaint: str) -> None:
    (place / "katana.toml").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load({}, "katana.toml")
    assert str(caught.value).startswith(complaint)


def test_a_file_that_cannot_be_read_is_refused(place: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"file nope.toml: cannot be read \(No such file"):
        load({}, "nope.toml")
    with pytest.raises(ConfigurationError, match=r"file .*: cannot be read \(Is a directory\)"):
        load({}, str(place))


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("app = 'a:b'", "app", "a:b"),
        ("port = 0x50", "port", 80),
        ("date-header = false", "date_header", False),
        ("timeout-header = 2", "timeout_header", 2.0),
        ("timeout-header = 2.5", "timeout_header", 2.5),
        ("timeout-header = '2m'", "timeout_header", 120.0),
        ("limit-body-size = 5", "limit_body_size", 5),
        ("limit-body-size = '5KiB'", "limit_body_size", 5120),
        ("forwarded-allow-ips = '*'", "forwarded_allow_ips", ("*",)),
        ("forwarded-allow-ips = ['::1', 'unix']", "forwarded_allow_ips", ("::1", "unix")),
        ("header = ['A: b', 'C:d']", "header", (("A", "b"), ("C", "d"))),
        ("[header]\nA = 'b'", "header", (("A", "b"),)),
        ("static-route = ['/a=b']", "static_route", (StaticRoute("/a", "b"),)),
        ("static-file-route = ['/a=/dev/null']", "static_file_route", (("/a", "/dev/null"),)),
        ("[static_file_route]\n'/a' = '/dev/null'", "static_file_route", (("/a", "/dev/null"),)),
    ],
)
def test_each_kind_is_read_from_a_file(place: Path, line: str, name: str, value: Any) -> None:
    assert getattr(read(place, line), name) == value


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("port = '80'", "key port: '80' is not allowed; use an integer from 0 to 65535"),
        ("date-header = 'off'", "key date-header: 'off' is not allowed; use true or false"),
        (
            "loop = ['uvloop']",
            "key loop: ['uvloop'] is not allowed; use auto, uvloop, asyncio or MODULE:FACTORY",
        ),
        ("header = 'A: b'", "key header: 'A: b' is not allowed; use an array or a table of NAME"),
        ("header = ['A']", "key header: 'A' is not allowed; use NAME:VALUE"),
        ("header = [1]", "key header: 1 is not allowed; use NAME:VALUE"),
        ("[header]\nA = 1", "key header: 1 is not allowed; use text"),
        ("timeout_header = 'x'", "key timeout_header: 'x' is not allowed; use seconds or"),
        ("forwarded-allow-ips = 1", "key forwarded-allow-ips: 1 is not allowed; use a list"),
        ("static-file-route = ['/a=nope']", "key static-file-route: 'nope' cannot be read (No "),
    ],
)
def test_a_bad_value_is_named_with_its_key(place: Path, line: str, complaint: str) -> None:
    assert refusal(place, line).startswith(f"file katana.toml {complaint}")


def test_static_routes_have_a_table(place: Path) -> None:
    (place / "page.html").write_bytes(b"<p>\xff")
    config = read(
        place,
        """
        [static-routes]
        "/healthz" = "ok"
        "/page" = { file = "page.html", status = 404 }
        "/old" = { body = "", status = 308, headers = { Location = "/new" }, methods = ["GET"] }
        "/json" = { body = "{}", content_type = "application/json", exclusive = true }
        """,
    )
    assert config.static_route == (
        StaticRoute("/healthz", "ok"),
        StaticRoute("/page", b"<p>\xff", status=404, content_type="text/html; charset=utf-8"),
        StaticRoute("/old", "", status=308, headers=(("Location", "/new"),), methods=("GET",)),
        StaticRoute("/json", "{}", content_type="application/json", exclusive=True),
    )


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.png", "image/png"),
        ("a.tar.gz", "application/gzip"),
        ("a.txt.bz2", "application/x-bzip2"),
        ("a", "application/octet-stream"),
    ],
)
def test_the_name_of_a_file_says_its_content_type(
    place: Path, name: str, content_type: str
) -> None:
    (place / name).touch()
    config = read(place, f"[static-routes]\n'/a' = {{ file = '{name}' }}")
    assert config.static_route[0].content_type == content_type


def test_a_content_type_given_wins_over_the_name(place: Path) -> None:
    (place / "a.txt").touch()
    config = read(
        place, "[static-routes]\n'/a' = { file = 'a.txt', content-type = 'text/markdown' }"
    )
    assert config.static_route[0].content_type == "text/markdown"


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("1", "1 is no route; use text, the body, or a table with a body or file"),
        ("{ status = 200 }", "{'status': 200} is not allowed; use one of the keys body and file"),
        ("{ body = '', file = 'a' }", "{'body': '', 'file': 'a'} is not allowed; use one of"),
        ("{ boddy = '' }", "unknown key 'boddy'; did you mean body?"),
        ("{ zzz = '' }", "unknown key 'zzz'; use body, file, status, content-type, headers, "),
        ("{ body = 1 }", "body: 1 is not allowed; use text"),
        ("{ file = 'nope' }", "file: 'nope' cannot be read (No such file or directory)"),
        ("{ body = '', status = '200' }", "status: '200' is not allowed; use an integer from 200"),
        ("{ body = '', status = true }", "status: True is not allowed; use an integer from 200"),
        ("{ body = '', content-type = 1 }", "content-type: 1 is not allowed; use text"),
        ("{ body = '', headers = ['A: b'] }", "headers: ['A: b'] is not allowed; use a table of"),
        ("{ body = '', headers = { A = 1 } }", "headers: 1 is not allowed; use text"),
        ("{ body = '', methods = 'GET' }", "methods: 'GET' is not allowed; use an array of"),
        ("{ body = '', methods = [1] }", "methods: 1 is not allowed; use text"),
        ("{ body = '', exclusive = 1 }", "exclusive: 1 is not allowed; use true or false"),
    ],
)
def test_a_bad_route_is_named_with_its_path_and_key(
    place: Path, entry: str, complaint: str
) -> None:
    message = refusal(place, f"[static-routes]\n'/a' = {entry}")
    assert message.startswith(f"file katana.toml key static-routes: /a: {complaint}")


def test_a_file_that_vanishes_or_fails_is_refused(place: Path) -> None:
    # /proc/self/mem can be opened and looked at by its owner, but reading its start fails.
    if not Path("/proc/self/mem").exists():
        pytest.skip("needs /proc")
    message = refusal(place, "[static-routes]\n'/a' = { file = '/proc/self/mem' }")
    assert "file: '/proc/self/mem' cannot be read (" in message


def test_static_routes_are_written_once(place: Path) -> None:
    assert refusal(place, "static-route = ['/a=b']\n[static-routes]\n'/a' = 'b'") == (
        "file katana.toml: static-route and static-routes are the same setting"
    )
