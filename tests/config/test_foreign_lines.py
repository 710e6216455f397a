"""Lines of other servers are answered with the whole line of ours (E3)."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from katana_asgi.cli import COMMANDS
from katana_asgi.cli_options import prepared, serve_command
from katana_asgi.config.foreign_lines import ForeignLine
from katana_asgi.config.foreign_options import SERVERS
from katana_asgi.config.sources import load
from katana_asgi.errors import ConfigurationError
from tests.support import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("place")


def answer(*words: str) -> list[str]:
    """The lines of the refusal."""
    with pytest.raises(ForeignLine) as caught:
        prepared(words, serve_command(COMMANDS))
    return str(caught.value).splitlines()


def line_for(*words: str) -> str:
    """The line to copy."""
    (line,) = [line.strip() for line in answer(*words) if "katana-asgi " in line and line[0] == " "]
    return line


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            "main:app -k uvicorn.workers.UvicornWorker -b 0.0.0.0:80 -w 4 --threads 8 "
            "--timeout 120 --graceful-timeout 20 --keep-alive 5 --max-requests 1000 "
            "--max-requests-jitter 50 --access-logfile -",
            "katana-asgi main:app --bind 0.0.0.0:80 --workers 4 --timeout-worker 120 "
            "--timeout-graceful-shutdown 20 --timeout-keep-alive 5 --limit-max-requests 1000 "
            "--limit-max-requests-jitter 50 --access-log-file -",
        ),
        ("main:app -w4 -b:80", "katana-asgi main:app --workers 4 --bind :80"),
        (
            "main:app -b :80 --access-logfile - --log-level warning",
            "katana-asgi main:app --bind :80 --access-log-file - --log-level warning "
            "--access-log-format combined",
        ),
        ("main:app -b tcp://0.0.0.0:80", "katana-asgi main:app --bind 0.0.0.0:80"),
        ("main:app --proxy-protocol v2", "katana-asgi main:app --proxy-protocol"),
        ("main:app --proxy-protocol off -w 2", "katana-asgi main:app --workers 2"),
        ("main:app -b :1 --umask 18", "katana-asgi main:app --bind :1 --umask 022"),
        ("main:app -b :1 --umask 027", "katana-asgi main:app --bind :1 --umask 027"),
        ("main:app -b 0.0.0.0", "katana-asgi main:app --bind 0.0.0.0:8000"),
        (
            "mysite.wsgi -b unix:/tmp/x.sock -e A=b --log-file my.log",
            "A=b katana-asgi mysite.wsgi:application --interface wsgi --bind unix:/tmp/x.sock "
            "2>> my.log",
        ),
        ("main:create_app() -b :80", "katana-asgi main:create_app --factory --bind :80"),
        ("main -k gthread", "katana-asgi main:application --interface wsgi"),
        ("main:app --preload --bind :1 -D", "katana-asgi main:app --preload --bind :1"),
        ("main:app --verify-mode CERT_REQUIRED", "katana-asgi main:app --ssl-cert-reqs required"),
        (
            "asgi:main:app --certfile c --insecure-bind :80",
            "katana-asgi main:app --ssl-certfile c --redirect-bind :80",
        ),
        (
            "main:app --interface asginl --blocking-threads 2 --workers-max-rss 300 --no-ws",
            "katana-asgi main:app --lifespan off --max-worker-memory 300MiB --ws none",
        ),
        (
            "--interface asgi main:app --workers 4 --http 1 --loop rloop",
            "katana-asgi main:app --workers 4 --loop auto",
        ),
        (
            "main:app --host ::1 --http1-header-read-timeout 500",
            "katana-asgi main:app --host ::1 --timeout-header 500ms",
        ),
    ],
)
def test_a_line_of_another_server_is_rewritten_whole(given: str, expected: str) -> None:
    assert line_for(*given.split()) == expected


def test_all_options_that_are_not_ours_are_named_at_once_with_what_became_of_them() -> None:
    assert answer("main:make(1)", "-b", ":80")[-1] == (
        "  make(1): a factory is called without arguments here"
    )
    lines = answer("main:app", "-k", "uvicorn.workers.UvicornWorker", "--threads", "8", "--foo")
    assert lines[0].startswith("-k, --threads are options of gunicorn; ")
    assert lines[-3:] == [
        "  -k uvicorn.workers.UvicornWorker: ASGI workers need no option",
        "  --threads 8: an event loop serves all connections; it needs no threads",
        "  --foo: not known to gunicorn either",
    ]


def test_a_configuration_file_of_gunicorn_is_read_and_not_run(place: Path) -> None:
    (place / "conf.py").write_text(
        "import os\nbind = ['0.0.0.0:80', 'unix:/tmp/a']\nworkers = os.cpu_count() * 2\n"
        "wsgi_app = 'main:app'\nkeepalive = 5\npreload_app = True\nworker_class = 'asgi'\n"
        "raise SystemExit('it was run')\n"
    )
    lines = answer("-c", "conf.py")
    assert lines[2].strip() == (
        "katana-asgi main:app --bind 0.0.0.0:80 --bind unix:/tmp/a --timeout-keep-alive 5 --preload"
    )
    assert "  workers in conf.py: computed there, so set it here" in lines
    assert answer("main:app", "--config", "conf.py")[0].startswith("--config is an option of")


CONF = """
import multiprocessing
cores = 4
host: str = "0.0.0.0"
workers: int = 3
bind = f"{host}:80"
worker_class = "uvicorn.workers.UvicornWorker"
threads = keepalive = 5
accesslog = errorlog = "-"
timeout = 1 << 7
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
def post_worker_init(worker): ...
"""


@pytest.mark.parametrize(
    "words",
    [["-c", "gunicorn.conf.py"], ["--config=gunicorn.conf.py"], ["-c", "python:gunicorn.conf"], []],
    ids=["path", "equals", "module", "usual"],
)
def test_a_configuration_file_is_read_as_gunicorn_reads_it(words, place: Path) -> None:
    (place / "gunicorn.conf.py").write_text(CONF)
    (place / "gunicorn").mkdir()
    (place / "gunicorn" / "conf.py").write_text(CONF)
    lines = answer("main:app", "-w", "2", "--threads", "8", *words)
    assert lines[2].strip() == (
        "katana-asgi main:app --workers 2 --timeout-keep-alive 5 --access-log-file -"
    )
    notes = "\n".join(lines[4:])
    assert "post_worker_init: not called; use the application's lifespan" in notes
    assert "computed there, so set it here" in notes
    assert "cores" not in notes
    assert "host" not in notes


def test_a_flag_takes_precedence_over_a_configuration_file(place: Path) -> None:
    (place / "gunicorn.conf.py").write_text("bind = '0.0.0.0:80'\nworkers = 8\n")
    line = line_for("main:app", "-b", ":81")
    assert line == "katana-asgi main:app --bind :81 --workers 8"


def test_a_value_that_is_not_ours_is_left_out_with_the_reason() -> None:
    lines = answer("main:app", "-b", ":80", "--max-requests", "many")
    assert lines[2].strip() == "katana-asgi main:app --bind :80"
    assert lines[-1].startswith("  --max-requests many: left out: ")
    lines = answer("main:app", "--interface", "rsgi")
    assert lines[2:] == [
        "    katana-asgi main:app",
        "",
        "  --interface rsgi: left out: RSGI is not available",
    ]


def test_a_configuration_file_of_hypercorn_is_read(place: Path) -> None:
    (place / "h.toml").write_text('bind = ["0.0.0.0:80"]\nkeep_alive_timeout = 5\n')
    line = line_for("main:app", "-c", "h.toml", "--quic-bind", ":443")
    assert line == "katana-asgi main:app --bind 0.0.0.0:80 --timeout-keep-alive 5"


def test_a_file_that_cannot_be_read_is_named() -> None:
    assert any(
        "gone.py: its settings could not be read" in line for line in answer("-c", "gone.py")
    )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--backlgo", "2"], "No such option '--backlgo'. Did you mean '--backlog'?"),
        (
            ["--backlgo", "2", "--zzzz"],
            "No such options: '--backlgo'; did you mean '--backlog'?, '--zzzz'",
        ),
    ],
)
def test_options_of_no_server_are_named_at_once(words: list[str], complaint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        prepared(["a:b", *words], serve_command(COMMANDS))
    assert str(caught.value) == complaint


def options_of_gunicorn() -> set[str]:
    parser = pytest.importorskip("gunicorn.config").Config().parser()
    return options_in(parser.format_help())


def options_of_hypercorn() -> set[str]:
    command = [sys.executable, "-m", "hypercorn", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3 * TIMEOUT)
    return options_in(done.stdout)


def options_in(text: str) -> set[str]:
    """The options that a help text names."""
    return set(re.findall(r"(?<!\S)--?[a-z][\w-]*", text))


def options_of_granian() -> set[str]:
    command = pytest.importorskip("granian.cli").cli
    names = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    return {name for name in names if name.startswith("-")}


@pytest.mark.parametrize(
    ("server", "options"),
    [
        ("gunicorn", options_of_gunicorn),
        ("hypercorn", options_of_hypercorn),
        ("granian", options_of_granian),
    ],
)
def test_every_option_of_another_server_is_known(
    server: str, options: Callable[[], set[str]]
) -> None:
    pytest.importorskip(server)
    table = {name for option in SERVERS[server] for name in option.names}
    ours = {name for param in serve_command({}).params for name in param.opts}
    # -v is their --version; the file of -c is read as a whole.
    assert options() - table - ours <= {"-c", "-v", "-h", "--help"}


@pytest.mark.parametrize("server", SERVERS)
def test_what_an_option_becomes_is_an_option_of_ours(server: str) -> None:
    known = {
        name for param in serve_command({}).params for name in (*param.opts, *param.secondary_opts)
    }
    for option in SERVERS[server]:
        words = option.words("5")
        if words and words[0] != "2>>" and not words[0].startswith("NAME"):
            assert words[0] in known, option
        assert words or option.note or option.convert, option


def test_a_rewritten_line_is_one_that_starts(place: Path) -> None:
    line = line_for("main:app", "-b", "127.0.0.1:0", "-w", "2", "--keep-alive", "5", "--reuse-port")
    command = serve_command(COMMANDS)
    params = command.main(line.split()[1:], standalone_mode=False)
    flags = {name: value for name, value in params.items() if value not in (None, (), False)}
    flags = {name: [value] if isinstance(value, str) else value for name, value in flags.items()}
    config = load(flags).config
    assert (config.workers, config.bind, config.timeout_keep_alive) == (2, ("127.0.0.1:0",), 5)
