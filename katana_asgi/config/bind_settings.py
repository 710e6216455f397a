"""Where to listen, beyond one host and port: several places, each written as one word.

A table, not a program; ``model.py`` says how fields become settings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from katana_asgi.config.refusal import NotAllowed
from katana_asgi.config.setting import setting

__all__ = ["BindSettings"]

_match_tcp: Final = re.compile(r"(?:\[[^\[\]\s]+\]|[^\[\]:\s/@]*):([0-9]{1,5})").fullmatch
_match_other: Final = re.compile(r"unix:@?[^\0]+|fd://[0-9]{1,9}|systemd(?::[^\0:]+)?").fullmatch
_match_mode: Final = re.compile(r"0?[0-7]{3}").fullmatch


def check_bind(member: str) -> None:
    """An address with a port, a Unix socket, or a descriptor that is there already."""
    if _match_other(member):
        return
    match = _match_tcp(member)
    if match is None or int(match[1]) > 65535:
        allowed = (
            "HOST:PORT, [IPV6]:PORT, unix:PATH, unix:@NAME, fd://NUMBER, systemd or systemd:NAME"
        )
        raise NotAllowed(member, allowed)


def check_mode(value: str) -> None:
    """Permissions as chmod takes them."""
    if _match_mode(value) is None:
        raise NotAllowed(value, "three octal digits, such as 660")


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class BindSettings:
    """Addresses to listen on, and how."""

    theme = "Addresses"

    bind: tuple[str, ...] = setting(
        (),
        "binds",
        "Address to listen on instead of host and port; repeatable: HOST:PORT, [IPV6]:PORT, "
        "unix:PATH, unix:@NAME, fd://NUMBER, systemd or systemd:NAME.",
        metavar="ADDRESS",
        check=check_bind,
    )
    uds_mode: str = setting(
        "666",
        "text",
        "Permissions of the Unix socket file, in octal.",
        check=check_mode,
    )
    reuse_port: bool = setting(
        False,
        "boolean",
        "Share the port with other instances that also set this (SO_REUSEPORT); without it, a "
        "port in use is an error.",
    )
