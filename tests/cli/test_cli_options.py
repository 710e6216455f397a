"""The command answers, or says in one line what is wrong and exits with 2."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from katana_asgi import __version__
from katana_asgi.cli import COMMANDS, main
from katana_asgi.config.model import SETTINGS
from katana_asgi.http1 import scanning
from katana_asgi.worker import loop

Capture = pytest.CaptureFixture[str]

IMPORTED = (scanning, loop)  # before a test hides what they import

pytestmark = pytest.mark.usefixtures("place")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_check_config_says_that_all_is_well(capsys: Capture) -> None:
    assert run("no_such_module:app", "--port", "80", "--check-config") == 0
    assert capsys.readouterr() == ("configuration is valid\n", "")


def test_the_application_may_come_from_anywhere(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (place / "katana.toml").write_text("app = 'main:app'")
    assert run("--config", "katana.toml", "--check-config") == 0
    monkeypatch.setenv("KATANA_APP", "main:app")
    assert run("--check-config") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            [],
            "no application given; use katana-asgi MODULE:ATTRIBUTE, KATANA_APP or the file key "
            "app",
        ),
        (["main"], "argument APP: 'main' is not allowed; did you mean main:app?"),
        (["main.py:app"], "argument APP: 'main.py:app' is not allowed; did you mean main:app?"),
        (["stauts"], "'stauts' is no command; did you mean status?"),
        (["a:b", "c"], "Got unexpected extra argument (c)"),
        (["a:b", "--backlgo", "2"], "No such option '--backlgo'. Did you mean '--backlog'?"),
        (
            ["a:b", "-w", "x"],
            "flag --workers: 'x' is not allowed; use an integer from 1 to 1024, or auto",
        ),
        (["a:b", "--loop", "trio"], "flag --loop: 'trio' is not allowed; use auto, uvloop, "),
        (["a:b", "--header", "A"], "flag --header: 'A' is not allowed; use NAME:VALUE"),
        (["a:b", "--config", "x"], "file x: cannot be read (No such file or directory)"),
        (["a:b", "--uds=/x", "--fd=3"], "flag --fd: 3 cannot be combined with flag --uds"),
        (
            ["a:b", "--static-route", "/a=b", "--static-route", "/a=c"],
            "static route '/a': another route has the same path",
        ),
        (["a:b", "--static-route", "/{=b"], "static route '/{': braces hold a placeholder"),
    ],
)
@pytest.mark.parametrize("further", [[], ["--check-config"]])
def test_a_mistake_is_one_line_and_exit_status_2(
    arguments: list[str], further: list[str], complaint: str, capsys: Capture
) -> None:
    assert run(*arguments, *further) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"katana-asgi: error: {complaint}")
    assert len(err.splitlines()) == 1


def test_an_option_without_its_value_is_named(capsys: Capture) -> None:
    assert run("a:b", "--port") == 2
    assert capsys.readouterr().err == "katana-asgi: error: Option '--port' requires an argument.\n"


@pytest.mark.parametrize("setting", [("--loop", "uvloop"), ("--http", "httptools")])
def test_check_config_notices_a_library_that_is_not_there(
    setting: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    _, library = setting
    finders = [finder for finder in sys.meta_path if "PathFinder" not in repr(finder)]
    monkeypatch.delitem(sys.modules, library, raising=False)
    monkeypatch.setattr(sys, "meta_path", finders)
    assert run("a:b", *setting, "--check-config") == 2
    assert f"{library} is not installed" in capsys.readouterr().err


def test_print_config_prints_a_file_that_gives_the_same_settings(
    place: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "2")
    flags = [
        "--timeout-keep-alive",
        "0.5",
        "--no-date-header",
        "--header",
        "A: é",
        "--static-route=/a=b",
    ]
    assert run("main:app", *flags, "--print-config") == 0
    printed, err = capfdbinary.readouterr()
    assert err == b""
    document = tomllib.loads(printed.decode())
    assert document["workers"] == 2
    assert document["timeout-keep-alive"] == "500ms"
    assert b"date-header = false  # flag --no-date-header\n" in printed
    (place / "printed.toml").write_bytes(printed)
    monkeypatch.delenv("WEB_CONCURRENCY")
    assert run("--config", "printed.toml", "--print-config") == 0
    assert tomllib.loads(capfdbinary.readouterr().out.decode()) == document


def test_print_config_needs_no_application(capsys: Capture) -> None:
    assert run("--print-config") == 0
    assert 'app = ""  # default' in capsys.readouterr().out


def test_print_and_check_config_go_together(capsys: Capture) -> None:
    assert run("--print-config", "--check-config") == 2
    assert run("a:b", "--print-config", "--check-config") == 0
    out, err = capsys.readouterr()
    assert tomllib.loads(out)["app"] == "a:b"
    assert len(err.splitlines()) == 1


def test_version_names_the_libraries_that_matter(capsys: Capture) -> None:
    assert run("--version") == 0
    out = capsys.readouterr().out
    assert out.startswith(f"katana-asgi {__version__} (")
    for name in ("Python", "uvloop", "httptools", "h11"):
        assert name in out


@pytest.mark.parametrize(("native", "word"), [(True, "codec native"), (False, "codec python")])
def test_version_says_whether_the_codec_is_native(
    native: bool, word: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("katana_asgi.codec.NATIVE", native)
    assert run("--version") == 0
    assert word in capsys.readouterr().out


def test_version_says_which_library_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys, "meta_path", [])
    assert run("--version") == 0
    assert "no uvloop, no httptools, no h11)" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_is_short_and_names_the_commands(
    flag: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert run(flag) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) < 90
    assert "--help-all" in out
    commands = out.partition("\nCommands:\n")[2]
    for name in COMMANDS:
        assert f"  {name} " in commands


def test_help_all_shows_every_flag_variable_and_default(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert run("--help-all") == 0
    out = capsys.readouterr().out
    words = out.split()
    for name, setting in SETTINGS.items():
        assert f"\n{setting.theme}:\n" in out
        assert any(setting.variable in word for word in words)
        assert name == "app" or setting.flag in out
    assert "[default: 75s; KATANA_TIMEOUT_KEEP_ALIVE]" in " ".join(words)
    assert "-w, --workers INTEGER" in out
    assert "--date-header / --no-date-header" in out
    assert out.count("\nConfiguration:\n") == 1
