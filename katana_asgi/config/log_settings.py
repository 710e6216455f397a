"""The settings of what is logged of a request, and of how the logs look.

A table, not a program; ``model.py`` says how fields become settings.
"""

from __future__ import annotations

from configparser import RawConfigParser
from dataclasses import dataclass
from typing import Any

from katana_asgi.config.access_format import check_access_field, check_access_format
from katana_asgi.config.log_checks import (
    check_exclusion,
    check_log_config,
    check_log_file,
    check_name,
)
from katana_asgi.config.setting import setting

__all__ = ["AccessLogSettings", "RequestIdSettings"]


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class AccessLogSettings:
    """Access log."""

    theme = "Access log"

    access_log_format: str = setting(
        "auto",
        "text",
        'short, common, combined, json, or a format with gunicorn\'s names: %(h)s "%(r)s" %(s)s '
        "%(D)s. auto is short on standard output, combined elsewhere.",
        aliases=("--access-logformat",),
        metavar="FORMAT",
        check=check_access_format,
    )
    access_log_file: str = setting(
        "-",
        "path",
        "Destination: - (standard output), a file, which SIGUSR1 reopens, or a syslog: syslog:, "
        "syslog:/PATH, syslog://HOST:PORT.",
        aliases=("--access-logfile",),
        metavar="FILE",
        check=check_log_file,
    )
    access_log_fields: tuple[str, ...] = setting(
        (),
        "list",
        "Keys of a JSON line, in this order, instead of the default ones.",
        metavar="NAMES",
        check=check_access_field,
    )
    access_log_redact_headers: tuple[str, ...] = setting(
        ("authorization", "proxy-authorization", "cookie", "set-cookie"),
        "list",
        "Headers whose values are redacted in the access log.",
        metavar="NAMES",
        check=check_name,
    )
    access_log_redact_query: tuple[str, ...] = setting(
        (),
        "list",
        "Query parameters whose values are redacted in the access log.",
        metavar="NAMES",
        check=check_name,
    )
    access_log_sample: float = setting(
        1.0,
        "fraction",
        "Fraction of requests to log; those with a status of 400 and above are always logged.",
        metavar="FRACTION",
    )
    access_log_exclude: tuple[str, ...] = setting(
        (),
        "list",
        "Paths that are not logged; /static/* covers every path that starts with /static/.",
        metavar="PATHS",
        check=check_exclusion,
    )


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class RequestIdSettings:
    """Log format and request ids."""

    theme = "Log format and request ids"

    log_format: str = setting(
        "auto",
        "choice",
        "Log lines: text, time (text with a time in front) or json. auto is time, or text where a "
        "journal or a container's log adds the time.",
        choices=("auto", "text", "time", "json"),
    )
    log_config: str | dict[str, Any] | RawConfigParser | None = setting(  # noqa: RUF009 - it makes a dataclass field
        None,
        "log-config",
        "Configuration file for Python's logging: .json, .toml, .yaml (yaml extra), .ini or .conf.",
        metavar="FILE",
        check=check_log_config,
    )
    request_id: str = setting(
        "off",
        "choice",
        "Request ids: off, generate a new one for each request, or trust the X-Request-ID of "
        "peers in --forwarded-allow-ips.",
        choices=("off", "generate", "trust"),
    )
    server_timing: bool = setting(
        False,
        "boolean",
        "Add a Server-Timing header: the time the application took to start its response.",
    )
