"""What the content of single settings must look like, beyond their type and range.

Each check takes the value, or one member where a setting has several, and raises
``NotAllowed``. Checks that need the file system look, they change nothing.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import stat
from typing import Final

from katana_asgi.config.refusal import NotAllowed, shown
from katana_asgi.errors import ConfigurationError

__all__ = [
    "check_application",
    "check_directory",
    "check_field",
    "check_file_route",
    "check_forwarded_field",
    "check_host",
    "check_origin",
    "check_proxy",
    "check_readable",
    "check_root_path",
]

_match_reference: Final = re.compile(r"[^\s:/\\.]+(?:\.[^\s:/\\.]+)*:(\S+)").fullmatch
_match_name: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch  # RFC 9110 §5.6.2
_match_value: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch  # RFC 9110 §5.5
_match_origin: Final = re.compile(r"null|[A-Za-z][A-Za-z0-9+.\-]*://[!-.0-9:->@-~]+").fullmatch
_match_path: Final = re.compile(r"/[^\x00-\x1f\x7f?#]*").fullmatch

_EFFECTIVE: Final = os.access in os.supports_effective_ids
"""Files are opened with the effective user, so that is the one to ask for."""

_FORWARDED_FIELDS: Final = ("for", "proto", "host", "port", "prefix", "forwarded", "all", "none")

_SERVERS_OWN: Final = frozenset(
    {"connection", "content-length", "keep-alive", "trailer", "transfer-encoding", "upgrade"}
)
"""Framing and persistence are the server's (RFC 9110 §7.6.1, §8.6)."""


def check_application(value: object) -> None:
    """Text must be ``MODULE:ATTRIBUTE``; empty is no application yet; else a callable."""
    if isinstance(value, str):
        match = _match_reference(value)
        file = value.partition(":")[0].endswith(".py")  # the name of a file, not of a module
        if value and (file or not (match and all(map(str.isidentifier, match[1].split("."))))):
            meant = _meant(value)
            if meant:
                raise ConfigurationError(f"{shown(value)} is not allowed; did you mean {meant}?")
            raise NotAllowed(value, "MODULE:ATTRIBUTE, such as main:app")
    elif not callable(value):
        raise NotAllowed(value, "an ASGI application or its name, MODULE:ATTRIBUTE")


def _meant(value: str) -> str:
    """The right form of what was probably meant; empty where that cannot be known."""
    module, _, attribute = value.partition(":")
    if module.endswith(".py") or "/" in module:
        module = module.removesuffix(".py").strip("./").replace("/", ".")
    called = attribute.endswith(")")
    attribute = attribute.partition("(")[0]
    usual = "application" if module.endswith(("wsgi", "asgi")) else "app"
    package, _, last = module.rpartition(".")
    example = f"{module}:{attribute or usual}"
    if example == value or _match_reference(example) is None:
        return ""
    if called:
        return f"{example} --factory"
    if package and not attribute and last in ("app", "application"):
        return f"{package}:{last} or {example}"
    return example


def check_host(value: str) -> None:
    """An address or a name, without what else a URL has."""
    host, colon, port = value.rpartition(":")
    if colon and ":" not in host.removeprefix("[").split("]")[0] and port.isdecimal():
        raise NotAllowed(value, f"host {host} and port {port}, or bind {value}")
    if "/" in value or (value.startswith("[") and not value.endswith("]")):
        raise NotAllowed(value, "an address or a host name, such as 0.0.0.0, ::1 or localhost")


def check_root_path(value: str) -> None:
    """A path prefix starts with a slash; empty is none."""
    if value and _match_path(value) is None:
        raise NotAllowed(value, "a path that starts with a slash, such as /api")


def check_directory(value: str) -> None:
    """An existing directory; empty is the current one."""
    if value and not os.path.isdir(value):
        raise NotAllowed(value, "an existing directory", "is not a directory")


def check_readable(value: str) -> None:
    """A file that this process may read."""
    problem = ""
    try:
        if stat.S_ISDIR(os.stat(value).st_mode):
            problem = os.strerror(errno.EISDIR)
        elif not os.access(value, os.R_OK, effective_ids=_EFFECTIVE):
            problem = os.strerror(errno.EACCES)
    except OSError as error:
        problem = str(error.strerror)
    if problem:  # looked at, not opened: opening a pipe would wait for its writer
        raise NotAllowed(value, "a readable file", f"cannot be read ({problem})")


def check_field(member: tuple[str, str]) -> None:
    """A field line (RFC 9110 §5) that does not meddle with framing."""
    name, value = member
    if _match_name(name) is None:
        raise NotAllowed(name, "letters, digits and hyphens", "is not a field name")
    if name.lower() in _SERVERS_OWN:
        raise NotAllowed(name, "another field", "is set by the server")
    if _match_value(value) is None:
        raise NotAllowed(
            value, "Latin-1 text without control characters", f"is not a value for field {name}"
        )


def check_file_route(member: tuple[str, str]) -> None:
    """A path and a readable file."""
    path, file = member
    if _match_path(path) is None:
        raise NotAllowed(path, "a path that starts with a slash, without ? and #")
    check_readable(file)


def check_origin(member: str) -> None:
    """An origin as browsers serialise it (RFC 6454 §6.2): no path, ASCII host."""
    if _match_origin(member) is None:
        raise NotAllowed(member, "an origin without a path, such as https://example.org, or null")


def check_proxy(member: str) -> None:
    """An address, a network, ``unix`` or ``*``."""
    if member in ("*", "unix"):
        return
    try:
        if "%" in member:  # a zone is the matter of one machine, and of its listener
            raise ValueError(member)
        if "/" in member:
            ipaddress.ip_network(member)
        else:
            ipaddress.ip_address(member)
    except ValueError:
        allowed = "an address, a network without host bits (10.0.0.0/8), unix or *"
        raise NotAllowed(member, allowed) from None


def check_forwarded_field(member: str) -> None:
    """The name of a forwarding field, ``all`` or ``none``."""
    if member not in _FORWARDED_FIELDS:
        raise NotAllowed(member, ", ".join(_FORWARDED_FIELDS[:-1]) + " or none")
