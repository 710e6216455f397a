"""The options of gunicorn, Hypercorn and granian, and what each of them is here.

Tables, not a program: ``foreign_lines.py`` rewrites whole lines with them, ``switching.py`` makes
the pages for people who switch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

__all__ = ["SERVERS", "Foreign", "Words"]

Words: TypeAlias = list[str]

Convert: TypeAlias = Callable[[str], Words]


class Foreign(NamedTuple):
    """An option of another server.

    ``ours`` is the flag that takes the same value, or with ``convert`` what the page shows.
    Without both the option is left out, and ``note`` says why. A ``switch`` has no value.
    ``key`` is its name in a configuration file, where that is not the flag's.
    """

    names: tuple[str, ...]
    ours: str = ""
    note: str = ""
    convert: Convert | None = None
    switch: bool = False
    key: str = ""

    def words(self, value: str) -> Words:
        """What stands in our line instead."""
        if self.convert is not None:
            return self.convert(value)
        if not self.ours:
            return []
        return self.ours.split() if self.switch else [self.ours, value]


def _bind(value: str) -> Words:
    """An address; gunicorn and Hypercorn have 8000 as the default port."""
    alone = ":" not in value and not value.startswith(("unix:", "fd:"))
    return ["--bind", f"{value}:8000" if alone else value]


def _worker_class(value: str) -> Words:
    if value in ("sync", "gthread", "gevent", "eventlet", "tornado"):
        return ["--interface", "wsgi"]
    return ["--loop", "uvloop"] if value == "uvloop" else []


def _asynchronous(value: str) -> Words:
    return ["--loop", "uvloop"] if value == "uvloop" else []


def _log_file(value: str) -> Words:
    return [] if value == "-" else ["2>>", value]


def _verify_mode(value: str) -> Words:
    word = value.rpartition(".")[2].removeprefix("CERT_").lower()
    return ["--ssl-cert-reqs", word]


def _interface(value: str) -> Words:
    """granian's interfaces; its own protocol, RSGI, is not one of ours."""
    return {"asginl": ["--lifespan", "off"], "wsgi": ["--interface", "wsgi"]}.get(value, [])


def _first_directory(value: str) -> Words:
    return ["--app-dir", value.partition(",")[0]]


def _milliseconds(value: str) -> Words:
    return ["--timeout-header", f"{value}ms"]


def _mebibytes(value: str) -> Words:
    return ["--max-worker-memory", f"{value}MiB"]


def _tls_version(value: str) -> Words:
    return ["--ssl-minimum-version", value.lower().removeprefix("tls")]


def _level(value: str) -> Words:
    return ["--log-level", {"warn": "warning", "notset": "trace"}.get(value, value)]


def _loop(value: str) -> Words:
    known = value in ("asyncio", "uvloop") or ":" in value
    return ["--loop", value if known else "auto"]


def _local_port(value: str) -> Words:
    return ["--admin-bind", f"127.0.0.1:{value}"]


def _not_alone(_: str) -> Words:
    return ["--limit-keep-alive-requests", "1"]


_THREADS: Final = "an event loop serves all connections; it needs no threads"
_MANAGER: Final = "let a service manager run it, such as systemd"
_TITLE: Final = "process titles name the application (extra titles)"

GUNICORN: Final = (
    Foreign(("-b", "--bind"), "--bind", convert=_bind),
    Foreign(("-w", "--workers"), "--workers"),
    Foreign(
        ("-k", "--worker-class"),
        "--interface wsgi for sync, gthread and gevent",
        "ASGI workers need no option",
        _worker_class,
    ),
    Foreign(("--threads",), note=_THREADS),
    Foreign(("-t", "--timeout"), "--timeout-worker"),
    Foreign(("--graceful-timeout",), "--timeout-graceful-shutdown"),
    Foreign(("--keep-alive",), "--timeout-keep-alive", key="keepalive"),
    Foreign(("--max-requests",), "--limit-max-requests"),
    Foreign(("--max-requests-jitter",), "--limit-max-requests-jitter"),
    Foreign(("--worker-connections",), "--limit-connections"),
    Foreign(("--backlog",), "--backlog"),
    Foreign(("--limit-request-line",), "--limit-request-line"),
    Foreign(("--limit-request-fields",), "--limit-header-count"),
    Foreign(("--limit-request-field_size",), note="limit-header-size bounds all headers together"),
    Foreign(("--reload",), "--reload", switch=True),
    Foreign(("--reload-engine",), note="watchfiles is used where it is installed"),
    Foreign(("--reload-extra-file",), "--reload-include", key="reload_extra_files"),
    Foreign(("--preload",), "--preload", switch=True, key="preload_app"),
    Foreign(("--reuse-port",), "--reuse-port", switch=True),
    Foreign(("--no-sendfile",), note="not needed", switch=True, key="sendfile"),
    Foreign(("--spew",), note="--log-level trace shows every ASGI message", switch=True),
    Foreign(("--chdir",), "--chdir"),
    Foreign(("-D", "--daemon"), note=_MANAGER, switch=True),
    Foreign(("-e", "--env"), "NAME=VALUE before the command", key="raw_env"),
    Foreign(("-p", "--pid"), "--pid-file", key="pidfile"),
    Foreign(("--worker-tmp-dir",), note="not needed: heartbeats go through a socket"),
    Foreign(("-u", "--user"), "--user"),
    Foreign(("-g", "--group"), "--group"),
    Foreign(("-m", "--umask"), "--umask"),
    Foreign(("--initgroups",), note="always done", switch=True),
    Foreign(("--forwarded-allow-ips",), "--forwarded-allow-ips"),
    Foreign(("--access-logfile",), "--access-log-file", key="accesslog"),
    Foreign(("--access-logformat",), "--access-log-format", key="access_log_format"),
    Foreign(("--error-logfile", "--log-file"), "2>>", convert=_log_file, key="errorlog"),
    Foreign(("--log-level",), "--log-level", key="loglevel"),
    Foreign(("--log-config",), "--log-config", key="logconfig"),
    Foreign(("--log-config-json",), "--log-config", key="logconfig_json"),
    Foreign(("--log-syslog-to",), note="--access-log-file syslog:… is the access log only"),
    Foreign(
        ("--log-syslog",), note="--access-log-file syslog: is the access log only", switch=True
    ),
    Foreign(("--log-syslog-prefix",), note="not available"),
    Foreign(("--log-syslog-facility",), note="not available"),
    Foreign(("--logger-class",), note="use --log-config"),
    Foreign(("--capture-output",), note="standard output is left alone", switch=True),
    Foreign(("-R", "--enable-stdio-inheritance"), note="always so", switch=True),
    Foreign(("--statsd-host",), "--statsd"),
    Foreign(("--statsd-prefix",), note="not available"),
    Foreign(("-n", "--name"), note=_TITLE, key="proc_name"),
    Foreign(
        ("--pythonpath",),
        "--app-dir",
        "the first directory; PYTHONPATH takes more",
        _first_directory,
    ),
    Foreign(("--proxy-protocol",), "--proxy-protocol", switch=True),
    Foreign(
        ("--proxy-allow-from",),
        note="forwarded-allow-ips is for PROXY headers too",
        key="proxy_allow_ips",
    ),
    Foreign(("--certfile",), "--ssl-certfile"),
    Foreign(("--keyfile",), "--ssl-keyfile"),
    Foreign(("--ca-certs",), "--ssl-ca-certs"),
    Foreign(("--cert-reqs",), "--ssl-cert-reqs"),
    Foreign(("--ciphers",), "--ssl-ciphers"),
    Foreign(("--ssl-version",), note="--ssl-minimum-version is 1.2 or 1.3"),
    Foreign(("--do-handshake-on-connect",), note="not needed", switch=True),
    Foreign(("--suppress-ragged-eofs",), note="not needed", switch=True),
    Foreign(("--asgi-loop",), "--loop"),
    Foreign(("--asgi-lifespan",), "--lifespan"),
    Foreign(("--asgi-disconnect-grace-period",), "--timeout-disconnect"),
    Foreign(("--websocket-max-message-size",), "--ws-max-size"),
    Foreign(("--root-path",), "--root-path"),
    Foreign(("--http-parser",), note="chosen by --http"),
    Foreign(("--http-protocols",), note="see --http2"),
    Foreign(("--control-socket",), note="--control-dir"),
    Foreign(("--no-control-socket",), "--control-dir off", switch=True),
)

HYPERCORN: Final = (
    Foreign(("-b", "--bind"), "--bind", convert=_bind),
    Foreign(("-w", "--workers"), "--workers"),
    Foreign(
        ("-k", "--worker-class"), "--loop uvloop for uvloop", "trio is not available", _asynchronous
    ),
    Foreign(("--keep-alive",), "--timeout-keep-alive", key="keep_alive_timeout"),
    Foreign(("--graceful-timeout",), "--timeout-graceful-shutdown"),
    Foreign(("--read-timeout",), "--timeout-body"),
    Foreign(("--max-requests",), "--limit-max-requests"),
    Foreign(("--max-requests-jitter",), "--limit-max-requests-jitter"),
    Foreign(("--access-logfile", "--access-log"), "--access-log-file", key="accesslog"),
    Foreign(("--access-logformat",), "--access-log-format", key="access_log_format"),
    Foreign(
        ("--error-logfile", "--log-file", "--error-log"), "2>>", convert=_log_file, key="errorlog"
    ),
    Foreign(("--log-level",), "--log-level", key="loglevel"),
    Foreign(("--log-config",), "--log-config", key="logconfig"),
    Foreign(("--backlog",), "--backlog"),
    Foreign(("--certfile",), "--ssl-certfile"),
    Foreign(("--keyfile",), "--ssl-keyfile"),
    Foreign(("--keyfile-password",), "--ssl-keyfile-password"),
    Foreign(("--ca-certs",), "--ssl-ca-certs"),
    Foreign(("--ciphers",), "--ssl-ciphers"),
    Foreign(("--cert-reqs",), "--ssl-cert-reqs"),
    Foreign(("--verify-mode",), "--ssl-cert-reqs", convert=_verify_mode),
    Foreign(("--insecure-bind",), "--redirect-bind", "it redirects to https, and serves nothing"),
    Foreign(("--quic-bind",), note="HTTP/3 is not available"),
    Foreign(("--debug",), "--log-level debug", switch=True),
    Foreign(("-D", "--daemon"), note=_MANAGER, switch=True),
    Foreign(("-p", "--pid"), "--pid-file", key="pid_path"),
    Foreign(("-u", "--user"), "--user"),
    Foreign(("-g", "--group"), "--group"),
    Foreign(("-m", "--umask"), "--umask"),
    Foreign(("--reload",), "--reload", switch=True, key="use_reloader"),
    Foreign(("--root-path",), "--root-path"),
    Foreign(("--server-name",), note="check the Host header in the application or the proxy"),
    Foreign(("--statsd-host",), "--statsd"),
    Foreign(("--statsd-prefix",), note="not available"),
    Foreign(("--websocket-ping-interval",), "--ws-ping-interval"),
)

GRANIAN: Final = (
    Foreign(("--host",), "--host"),
    Foreign(("--port",), "--port"),
    Foreign(("--uds",), "--uds"),
    Foreign(("--uds-permissions",), "--uds-mode"),
    Foreign(("--interface",), "--interface", "RSGI is not available", _interface),
    Foreign(("--http",), note="HTTP versions are negotiated, see --http2"),
    Foreign(("--ws",), note="on by default", switch=True),
    Foreign(("--no-ws",), "--ws none", switch=True),
    Foreign(("--workers",), "--workers"),
    Foreign(("--blocking-threads",), note=_THREADS),
    Foreign(("--blocking-threads-idle-timeout",), note=_THREADS),
    Foreign(("--runtime-threads",), note=_THREADS),
    Foreign(("--runtime-blocking-threads",), note=_THREADS),
    Foreign(("--runtime-mode",), note=_THREADS),
    Foreign(("--loop",), "--loop", convert=_loop),
    Foreign(("--task-impl",), note="tasks are asyncio's"),
    Foreign(("--backlog",), "--backlog"),
    Foreign(("--backpressure",), "--limit-concurrency"),
    Foreign(("--http1-buffer-size",), note="limit-header-size and limit-request-line bound it"),
    Foreign(("--http1-header-read-timeout",), "--timeout-header", convert=_milliseconds),
    Foreign(("--http1-keep-alive",), note="on by default", switch=True),
    Foreign(
        ("--no-http1-keep-alive",),
        "--limit-keep-alive-requests 1",
        convert=_not_alone,
        switch=True,
    ),
    Foreign(("--http1-pipeline-flush", "--no-http1-pipeline-flush"), note="always so", switch=True),
    Foreign(("--log",), note="on by default", switch=True),
    Foreign(("--no-log",), "--log-level critical", switch=True),
    Foreign(("--log-level",), "--log-level", convert=_level),
    Foreign(("--log-config",), "--log-config"),
    Foreign(("--access-log",), "--access-log", switch=True),
    Foreign(("--no-access-log",), "--no-access-log", switch=True),
    Foreign(("--access-log-fmt",), note="--access-log-format has the names of gunicorn"),
    Foreign(("--ssl-certificate",), "--ssl-certfile"),
    Foreign(("--ssl-keyfile",), "--ssl-keyfile"),
    Foreign(("--ssl-keyfile-password",), "--ssl-keyfile-password"),
    Foreign(("--ssl-protocol-min",), "--ssl-minimum-version", convert=_tls_version),
    Foreign(("--ssl-ca",), "--ssl-ca-certs"),
    Foreign(("--ssl-crl",), note="revocation lists are not available"),
    Foreign(("--ssl-client-verify",), "--ssl-cert-reqs required", switch=True),
    Foreign(("--no-ssl-client-verify",), note="the default", switch=True),
    Foreign(("--url-path-prefix",), "--root-path"),
    Foreign(("--respawn-failed-workers",), note="always so", switch=True),
    Foreign(("--no-respawn-failed-workers",), note="failed workers are replaced", switch=True),
    Foreign(("--respawn-interval",), note="workers are replaced one after the other"),
    Foreign(("--rss-sample-interval",), note="memory is read once a second"),
    Foreign(("--rss-samples",), note="memory is read once a second"),
    Foreign(("--workers-lifetime",), "--max-worker-age"),
    Foreign(("--workers-max-rss",), "--max-worker-memory", convert=_mebibytes),
    Foreign(("--workers-kill-timeout",), "--timeout-graceful-shutdown"),
    Foreign(("--factory",), "--factory", switch=True),
    Foreign(("--no-factory",), note="the default", switch=True),
    Foreign(("--working-dir",), "--chdir"),
    Foreign(("--env-files",), "--env-file"),
    Foreign(("--static-path-route",), note="see --static-file-route"),
    Foreign(("--static-path-mount",), note="see --static-file-route"),
    Foreign(("--static-path-dir-to-file",), note="see --static-file-route"),
    Foreign(("--static-path-expires",), note="see --static-file-route"),
    Foreign(("--metrics",), note="with --metrics-port: --admin-bind", switch=True),
    Foreign(("--no-metrics",), note="the default", switch=True),
    Foreign(("--metrics-address",), note="use --admin-bind ADDRESS:PORT"),
    Foreign(("--metrics-port",), "--admin-bind", convert=_local_port),
    Foreign(("--metrics-scrape-interval",), note="metrics are made when they are read"),
    Foreign(("--reload",), "--reload", switch=True),
    Foreign(("--no-reload",), note="the default", switch=True),
    Foreign(("--reload-paths",), "--reload-dir"),
    Foreign(("--reload-ignore-dirs",), "--reload-exclude"),
    Foreign(("--reload-ignore-patterns",), note="--reload-exclude takes file name patterns"),
    Foreign(("--reload-ignore-paths",), "--reload-exclude"),
    Foreign(("--reload-tick",), note="not needed"),
    Foreign(("--reload-ignore-worker-failure",), note="always so", switch=True),
    Foreign(("--process-name",), note=_TITLE),
    Foreign(("--pid-file",), "--pid-file"),
)  # fmt: skip

SERVERS: Final[Mapping[str, tuple[Foreign, ...]]] = {
    "gunicorn": GUNICORN,
    "hypercorn": HYPERCORN,
    "granian": GRANIAN,
}
