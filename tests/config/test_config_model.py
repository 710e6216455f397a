"""Settings from Python are checked when made, each mistake in one line."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from katana_asgi.config.model import SETTINGS, Config, StaticRoute
from katana_asgi.config.values import from_texts, to_text
from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Does nothing: settings never call it."""


def refusal(**settings: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Config(**settings)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_defaults_are_allowed_and_survive_the_check() -> None:
    config = Config()
    assert {name: getattr(config, name) for name in SETTINGS} == {
        name: setting.default for name, setting in SETTINGS.items()
    }


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Config().port = 1  # type: ignore[misc] # the point of the test


def test_replace_gives_a_new_checked_config() -> None:
    config = Config(app="main:app", port=0)
    assert config.replace(port=80) == Config(app="main:app", port=80)
    assert config.replace() == config
    with pytest.raises(ConfigurationError, match="setting port: -1 is not allowed"):
        config.replace(port=-1)


@pytest.mark.parametrize("app", ["", "main:app", "a.b:c.d", "my-app:app", "app:größe", application])
def test_an_application_is_a_callable_or_a_reference(app: Any) -> None:
    assert Config(app=app).app is app


@pytest.mark.parametrize(
    ("app", "example"),
    [
        ("main", "main:app"),
        ("main.py", "main:app"),
        ("src/main.py", "src.main:app"),
        ("./main:application", "main:application"),
        ("main:", "main:app"),
        ("mysite.wsgi", "mysite.wsgi:application"),
        ("mysite/asgi.py", "mysite.asgi:application"),
        ("main:create_app()", "main:create_app --factory"),
        ("main:create_app('prod')", "main:create_app --factory"),
        ("main.app", "main:app or main.app:app"),
    ],
)
def test_another_form_of_application_is_answered_with_the_right_one(app: str, example: str) -> None:
    assert refusal(app=app) == f"setting app: {app!r} is not allowed; did you mean {example}?"


@pytest.mark.parametrize(
    ("host", "use"),
    [
        ("0.0.0.0:80", "host 0.0.0.0 and port 80, or bind 0.0.0.0:80"),
        ("localhost:8000", "host localhost and port 8000, or bind localhost:8000"),
        ("http://a", "an address or a host name, such as 0.0.0.0, ::1 or localhost"),
        ("[::1", "an address or a host name, such as 0.0.0.0, ::1 or localhost"),
    ],
)
def test_a_host_is_an_address_or_a_name(host: str, use: str) -> None:
    assert refusal(host=host) == f"setting host: {host!r} is not allowed; use {use}"
    for fine in ("", "::", "::1", "fe80::1%lo", "localhost", "1.2.3.4"):
        assert Config(app="a:b", host=fine).host == fine


@pytest.mark.parametrize("app", [":app", "main:app:more", "main app:app"])
def test_an_application_that_cannot_be_guessed_is_answered_with_the_form(app: str) -> None:
    assert refusal(app=app) == (
        f"setting app: {app!r} is not allowed; use MODULE:ATTRIBUTE, such as main:app"
    )


@pytest.mark.parametrize(
    ("settings", "value", "allowed"),
    [
        ({"app": 3}, "3", "an ASGI application or its name, MODULE:ATTRIBUTE"),
        ({"app": None}, "None", "an ASGI application or its name, MODULE:ATTRIBUTE"),
        ({"port": 65536}, "65536", "an integer from 0 to 65535"),
        ({"port": 80.0}, "80.0", "an integer from 0 to 65535"),
        ({"workers": 0}, "0", "an integer from 1 to 1024, or auto"),
        ({"workers": True}, "True", "an integer from 1 to 1024, or auto"),
        ({"fd": 2**31}, "2147483648", "an integer from 0 to 2147483647"),
        ({"fd": 10**9999}, "the number", "an integer from 0 to 2147483647"),
        ({"loop": "trio"}, "'trio'", "auto, uvloop, asyncio or MODULE:FACTORY"),
        ({"access_log": 2}, "2", "true or false"),
        ({"use_colors": "maybe"}, "'maybe'", "1, true, yes or on, 0, false, no or off"),
        ({"root_path": "?"}, "'?'", "a path that starts with a slash, such as /api"),
        ({"root_path": "/a?b"}, "'/a?b'", "a path that starts with a slash, such as /api"),
        ({"host": "a\nb"}, r"'a\nb'", "one line of text"),
        ({"host": b"::"}, "b'::'", "one line of text"),
        ({"uds": "a\0b"}, r"'a\x00b'", "a path"),
        ({"uds": 3}, "3", "a path"),
        (
            {"limit_request_line": 10},
            "10",
            "bytes or a size such as 16KiB or 1MB, from 64B to 1024TiB",
        ),
        (
            {"timeout_header": 0},
            "0",
            "seconds or a duration such as 500ms, 30s, 5m or 1h, from 100ms to 168h",
        ),
        (
            {"timeout_keep_alive": float("nan")},
            "nan",
            "seconds or a duration such as 500ms, 30s, 5m or 1h, from 0s to 168h",
        ),
        (
            {"timeout_keep_alive": float("inf")},
            "inf",
            "seconds or a duration such as 500ms, 30s, 5m or 1h, from 0s to 168h",
        ),
        (
            {"timeout_keep_alive": False},
            "False",
            "seconds or a duration such as 500ms, 30s, 5m or 1h, from 0s to 168h",
        ),
        ({"header": {"X": "y"}}, "{'X': 'y'}", "a list of NAME:VALUE"),
        ({"header": ["X: y"]}, "'X: y'", "pairs of a name and a value, both text"),
        ({"header": [("X", 1)]}, "1", "text"),
        ({"static_route": ["/a=b"]}, "'/a=b'", "StaticRoute(path, body)"),
        ({"static_file_route": [("/a", "")]}, "''", "the name of a file"),
        ({"static_file_route": [(1, "a")]}, "(1, 'a')", "pairs of a path and a file"),
        ({"forwarded_allow_ips": [1]}, "1", "words, separated by commas"),
        (
            {"forwarded_allow_ips": ["10.0.0.0/8", "10.0.0.256"]},
            "'10.0.0.256'",
            "an address, a network without host bits (10.0.0.0/8), unix or *",
        ),
        *[
            (
                {"forwarded_fields": name},
                repr(name),
                "for, proto, host, port, prefix, forwarded, all or none",
            )
            for name in ("x-forwarded-host", "HOST", "by", "*")
        ],
        (
            {"forwarded_fields": "none,host"},
            "('none', 'host')",
            "none, or the names of fields",
        ),
        *[
            (
                {"ws_allow_origin": [origin]},
                repr(origin),
                "an origin without a path, such as https://example.org, or null",
            )
            for origin in ("example.org", "https://example.org/", "https://größe.example", "*")
        ],
        (
            {"forwarded_allow_ips": "10.0.0.1/8"},
            "'10.0.0.1/8'",
            "an address, a network without host bits (10.0.0.0/8), unix or *",
        ),
        (
            {"forwarded_allow_ips": "fe80::1%eth0"},
            "'fe80::1%eth0'",
            "an address, a network without host bits (10.0.0.0/8), unix or *",
        ),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(
    settings: dict[str, Any], value: str, allowed: str
) -> None:
    (name,) = settings
    assert refusal(**settings) == f"setting {name}: {value} is not allowed; use {allowed}"


@pytest.mark.parametrize(
    ("field", "complaint"),
    [
        (("X Y", "v"), "'X Y' is not a field name; use letters, digits and hyphens"),
        (("", "v"), "'' is not a field name; use letters, digits and hyphens"),
        (("Content-Length", "5"), "'Content-Length' is set by the server; use another field"),
        *[
            (
                ("X", f"a{bad}b"),
                f"{f'a{bad}b'!r} is not a value for field X; "
                "use Latin-1 text without control characters",
            )
            for bad in ("\r", "\n", "\0", "\x7f", "€")
        ],
    ],
)
def test_a_field_that_could_break_a_response_is_refused(
    field: tuple[str, str], complaint: str
) -> None:
    assert refusal(header=[field]) == f"setting header: {complaint}"


def test_a_long_value_is_cut_and_a_repr_of_many_lines_is_joined() -> None:
    class Lines:
        def __repr__(self) -> str:
            return "one\ntwo"

    assert refusal(host="x" * 500 + "\n").endswith("…" + " is not allowed; use one line of text")
    assert refusal(port=Lines()).startswith("setting port: one two is not allowed")


def test_lists_will_do_for_tuples_and_paths_for_text(tmp_path: Path) -> None:
    file = tmp_path / "robots.txt"
    file.write_text("all")
    route = StaticRoute("/healthz", "ok")
    config = Config(
        header=[["X-A", " b "]],  # type: ignore[arg-type] # what a caller may do
        static_route=[route],  # type: ignore[arg-type]
        static_file_route=[("/robots.txt", file)],  # type: ignore[arg-type]
        forwarded_allow_ips="10.0.0.0/8, unix,*",  # type: ignore[arg-type]
        app_dir=tmp_path,  # type: ignore[arg-type]
        timeout_keep_alive=5,
    )
    assert config.header == (("X-A", "b"),)
    assert config.static_route == (route,)
    assert config.static_file_route == (("/robots.txt", str(file)),)
    assert config.forwarded_allow_ips == ("10.0.0.0/8", "unix", "*")
    assert config.app_dir == str(tmp_path)
    assert isinstance(config.timeout_keep_alive, float)


@pytest.mark.parametrize(
    "name", [name for name, each in SETTINGS.items() if "0 is no limit" in each.help]
)
def test_none_is_no_limit_where_zero_is(name: str) -> None:
    assert getattr(Config(**{name: None}), name) == 0


def test_origins_are_what_browsers_send() -> None:
    origins = ("https://example.org", "http://[::1]:8000", "null")
    assert Config(ws_allow_origin=origins).ws_allow_origin == origins


@pytest.mark.parametrize("name", ["uds", "fd", "env_file", "use_colors"])
def test_none_is_not_set(name: str) -> None:
    assert getattr(Config(**{name: None}), name) is None


def test_files_and_directories_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    missing = "missing"
    unread = f"{missing!r} cannot be read (No such file or directory); use a readable file"
    assert refusal(env_file=missing) == f"setting env_file: {unread}"
    assert refusal(static_file_route=[("/a", missing)]) == f"setting static_file_route: {unread}"
    assert refusal(app_dir=missing) == (
        f"setting app_dir: {missing!r} is not a directory; use an existing directory"
    )
    assert "cannot be read (Is a directory)" in refusal(env_file=str(tmp_path))
    (tmp_path / "file").touch()
    assert "starts with a slash" in refusal(static_file_route=[("a", str(tmp_path / "file"))])


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root may read everything, so root becomes somebody else for a while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


def test_a_file_without_permission_is_not_readable(nobody: None) -> None:
    with tempfile.NamedTemporaryFile() as file:
        os.chmod(file.name, 0)
        assert "cannot be read (Permission denied)" in refusal(env_file=file.name)


def test_one_place_to_listen(tmp_path: Path) -> None:
    assert refusal(uds="/x", fd=3) == (
        "setting fd: 3 cannot be combined with setting uds; use one of host with port, uds, fd and "
        "bind"
    )
    assert "cannot be combined" in refusal(bind=["127.0.0.1:1"], port=2)
    config = Config(uds="/x", port=0)
    assert config.uds == "/x"
    assert config.notes == ("setting port: 0 is not used beside setting uds",)


def test_several_workers_need_the_name_of_the_application() -> None:
    assert Config(app=application).workers == 1
    assert Config(app="main:app", workers=2).workers == 2
    assert refusal(app=application, workers=2) == (
        "setting workers: 2 is not allowed with an application object, because each worker imports "
        'it; use 1, or "MODULE:ATTRIBUTE" as app'
    )


def test_wsgi_has_no_lifespan_to_insist_on() -> None:
    assert Config(interface="wsgi").lifespan == "auto"
    assert "'on' is not allowed with interface wsgi" in refusal(interface="wsgi", lifespan="on")


def test_an_unknown_keyword_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="wrokers"):
        Config(wrokers=2)  # type: ignore[call-arg] # the point of the test


@pytest.mark.parametrize("name", [name for name, each in SETTINGS.items() if each.default])
def test_each_default_reads_back_from_its_text(name: str) -> None:
    setting = SETTINGS[name]
    assert from_texts(setting, [to_text(setting, setting.default)], "") == setting.default


def test_spellings_follow_from_the_name() -> None:
    setting = SETTINGS["timeout_keep_alive"]
    assert setting.flag == "--timeout-keep-alive"
    assert setting.variable == "KATANA_TIMEOUT_KEEP_ALIVE"
    assert setting.key == "timeout-keep-alive"
    assert setting.theme == "Timeouts and limits"


def test_every_setting_has_a_meaning_and_a_spelling_of_its_own() -> None:
    flags = [flag for each in SETTINGS.values() for flag in (each.flag, *each.aliases)]
    assert len(set(flags)) == len(flags)
    for setting in SETTINGS.values():
        assert setting.help.endswith(".")
        assert (setting.kind in ("choice", "loop", "switch")) == bool(setting.choices)
