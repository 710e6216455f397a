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
    ``key`` is its name in a configuration file, where that is not the flag's; a name without
    hyphens is that of a setting that only files have. ``values`` are those that a switch may have,
    or that the option of the same name here has not.
    """

    names: tuple[str, ...]
    ours: str = ""
    note: str = ""
    convert: Convert | None = None
    switch: bool = False
    key: str = ""
    values: tuple[str, ...] = ()

    def words(self, value: str) -> Words:
        """What stands in our line instead."""
        if self.convert is not None:
            return self.convert(value)
        if not self.ours:
            return []
        return self.ours.split() if self.switch else [self.ours, value]


def _bind(value: str) -> Words:
    """An address; gunicorn and Hypercorn have 8000 as the default port."""
    value = value.removeprefix("tcp://")
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
    if value == "rsgi":
        raise ValueError("RSGI is not available")
    return {"asginl": ["--lifespan", "off"], "wsgi": ["--interface", "wsgi"]}.get(value, [])


def _mode(value: str) -> Words:
    """A mask, which is octal here whatever it was there."""
    number = int(value, 8) if value.startswith("0") and value.isdecimal() else int(value, 0)
    return ["--umask", f"{number:03o}"]


def _proxy_protocol(value: str) -> Words:
    return ["--proxy-protocol"] if value.lower() != "off" else []


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


_HTTP2: Final = "HTTP/2 needs no tuning here"
_STRICT: Final = "requests are parsed strictly"
_DIRTY: Final = "dirty workers are not available"
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
    Foreign(("-m", "--umask"), "--umask", convert=_mode),
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
    Foreign(
        ("--proxy-protocol",),
        "--proxy-protocol",
        convert=_proxy_protocol,
        switch=True,
        values=("off", "v1", "v2", "auto"),
    ),
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
    Foreign(("--http2-cleartext",), note="on by default, see --http2"),
    Foreign(("--http2-max-concurrent-streams",), "--limit-streams"),
    Foreign(("--http2-initial-window-size",), note=_HTTP2),
    Foreign(("--http2-max-frame-size",), note=_HTTP2),
    Foreign(("--http2-max-header-list-size",), "--limit-header-size"),
    Foreign(("--protocol",), note="HTTP only; uWSGI's protocol is not available"),
    Foreign(("--uwsgi-allow-from",), note="uWSGI's protocol is not available"),
    Foreign(("--header-map",), note="WSGI drops headers with an underscore, ASGI passes them"),
    Foreign(("--forwarder-headers",), note="see --forwarded-fields"),
    Foreign(("--strip-header-spaces",), note=_STRICT, switch=True),
    Foreign(("--permit-obsolete-folding",), note=_STRICT, switch=True),
    Foreign(("--permit-unconventional-http-method",), note=_STRICT, switch=True),
    Foreign(("--permit-unconventional-http-version",), note=_STRICT, switch=True),
    Foreign(("--casefold-http-method",), note=_STRICT, switch=True),
    Foreign(("--paste", "--paster"), note="name the application as MODULE:ATTRIBUTE"),
    Foreign(("--paste-global",), note="name the application as MODULE:ATTRIBUTE"),
    Foreign(("--disable-redirect-access-to-syslog",), note="the default", switch=True),
    Foreign(("--dogstatsd-tags",), note="not available"),
    Foreign(("--enable-backlog-metric",), note="not available", switch=True),
    Foreign(("--dirty-app",), note=_DIRTY, key="dirty_apps"),
    Foreign(("--dirty-workers",), note=_DIRTY),
    Foreign(("--dirty-threads",), note=_DIRTY),
    Foreign(("--dirty-timeout",), note=_DIRTY),
    Foreign(("--dirty-graceful-timeout",), note=_DIRTY),
    Foreign(("--control-socket",), note="see --control-dir"),
    Foreign(("--control-socket-mode",), note="see --control-dir"),
    Foreign(("--no-control-socket",), "--control-dir off", switch=True),
    Foreign(("secure_scheme_headers",), note="X-Forwarded-Proto of trusted proxies is used"),
    Foreign(("logconfig_dict",), note="write it into a JSON file for --log-config"),
    Foreign(("tmp_upload_dir",), note="not needed"),
    Foreign(("ssl_context",), note="not called; use the --ssl options"),
    *(
        Foreign((hook,), note="not called; use the application's lifespan")
        for hook in (
            "on_starting", "on_reload", "when_ready", "pre_fork", "post_fork", "post_worker_init",
            "worker_int", "worker_abort", "pre_exec", "pre_request", "post_request", "child_exit",
            "worker_exit", "nworkers_changed", "on_exit",
        )
    ),
)  # fmt: skip

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
    Foreign(("-m", "--umask"), "--umask", convert=_mode),
    Foreign(("--reload",), "--reload", switch=True, key="use_reloader"),
    Foreign(("--root-path",), "--root-path"),
    Foreign(
        ("--server-name",),
        note="check the Host header in the application or the proxy",
        key="server_names",
    ),
    Foreign(("--statsd-host",), "--statsd"),
    Foreign(("--statsd-prefix",), note="not available"),
    Foreign(("--websocket-ping-interval",), "--ws-ping-interval"),
    Foreign(("websocket_max_message_size",), "--ws-max-size"),
    Foreign(("keep_alive_max_requests",), "--limit-keep-alive-requests"),
    Foreign(("h11_max_incomplete_size",), "--limit-header-size"),
    Foreign(("h2_max_concurrent_streams",), "--limit-streams"),
    Foreign(("h2_max_header_list_size",), "--limit-header-size"),
    Foreign(("h2_max_inbound_frame_size",), note=_HTTP2),
    Foreign(("startup_timeout",), "--timeout-startup"),
    Foreign(("shutdown_timeout",), "--timeout-lifespan-shutdown"),
    Foreign(("ssl_handshake_timeout",), "--ssl-handshake-timeout"),
    Foreign(("wsgi_max_body_size",), "--limit-body-size"),
    Foreign(("max_app_queue_size",), note="not needed"),
    Foreign(("logconfig_dict",), note="write it into a JSON file for --log-config"),
    Foreign(("dogstatsd_tags",), note="not available"),
    Foreign(("alpn_protocols",), note="see --http2"),
    Foreign(("alt_svc_headers",), note="use --header alt-svc:VALUE"),
)

GRANIAN: Final = (
    Foreign(("--host",), "--host"),
    Foreign(("--port",), "--port"),
    Foreign(("--uds",), "--uds"),
    Foreign(("--uds-permissions",), "--uds-mode"),
    Foreign(
        ("--interface",),
        "--interface",
        convert=_interface,
        values=("asgi", "asginl", "rsgi"),
    ),
    Foreign(("--http",), note="HTTP versions are negotiated, see --http2", values=("1", "2")),
    Foreign(("--ws",), note="on by default", switch=True),
    Foreign(("--no-ws",), "--ws none", switch=True),
    Foreign(("--workers",), "--workers"),
    Foreign(("--blocking-threads",), note=_THREADS),
    Foreign(("--blocking-threads-idle-timeout",), note=_THREADS),
    Foreign(("--runtime-threads",), note=_THREADS),
    Foreign(("--runtime-blocking-threads",), note=_THREADS),
    Foreign(("--runtime-mode",), note=_THREADS),
    Foreign(("--loop",), "--loop", convert=_loop, values=("rloop", "winloop")),
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
    *(
        Foreign((f"--http2-{name}",), note=_HTTP2)
        for name in (
            "initial-connection-window-size", "initial-stream-window-size", "keep-alive-interval",
            "keep-alive-timeout", "max-frame-size", "max-send-buffer-size",
        )
    ),
    Foreign(("--http2-adaptive-window", "--no-http2-adaptive-window"), note=_HTTP2, switch=True),
    Foreign(("--http2-max-concurrent-streams",), "--limit-streams"),
    Foreign(("--http2-max-headers-size",), "--limit-header-size"),
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
    Foreign(
        ("--reload-ignore-worker-failure", "--no-reload-ignore-worker-failure"),
        note="always so",
        switch=True,
    ),
    Foreign(("--process-name",), note=_TITLE),
    Foreign(("--pid-file",), "--pid-file"),
)  # fmt: skip

SERVERS: Final[Mapping[str, tuple[Foreign, ...]]] = {
    "gunicorn": GUNICORN,
    "hypercorn": HYPERCORN,
    "granian": GRANIAN,
}
