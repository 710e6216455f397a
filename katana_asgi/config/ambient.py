"""Environment variables that are not settings but look like some, or are another server's.

Only names that are ours may stop a start. Everything else is reported in one line for each kind,
because platforms, Kubernetes and other programs set variables that the user cannot rename.
"""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from katana_asgi.config.setting import PREFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

__all__ = [
    "PORT_VARIABLE",
    "is_service_link",
    "notes_on_variables",
    "platform_port",
    "unused_sockets",
]

PORT_VARIABLE: Final = "PORT"
"""The variable in which platforms such as Heroku, Cloud Run or Render say where to listen."""

MOST_NAMED: Final = 5
"""Variables that one line names; a Kubernetes service alone has seven."""

NEAR: Final = 0.75
"""How alike a name must be to be taken for a misspelt setting; most are another program's."""

FOREIGN: Final = {
    "uvicorn": ("UVICORN_",),
    "granian": ("GRANIAN_",),
    "gunicorn": ("GUNICORN_CMD_ARGS",),
}
"""Servers, and how the names of their variables begin."""

_match_link_value: Final = re.compile(r"(?:tcp|udp|sctp)://\S+:[0-9]+").fullmatch
_match_link_name: Final = re.compile(
    r".+_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?"
    r"|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
).fullmatch


def is_service_link(variable: str, text: str) -> bool:
    """Whether Kubernetes, or Docker, put this variable there for a service of that name."""
    return variable.endswith("_PORT") and _match_link_value(text) is not None


def platform_port(text: str | None) -> str | None:
    """The port that ``PORT`` names; ``None`` where it is not set or is a service link."""
    return text.strip() if text and text.strip() and not _match_link_value(text) else None


def notes_on_variables(settings: Collection[str], further: Collection[str]) -> Iterator[str]:
    """A line for each kind of variable that is not read.

    ``settings`` are the variables of settings, ``further`` other variables of ours.
    """
    links: list[str] = []
    unknown: list[str] = []
    for variable, text in sorted(os.environ.items()):
        if variable.startswith(PREFIX) and variable not in further:
            if is_service_link(variable, text):
                links.append(variable)
            elif variable not in settings:
                (links if _match_link_name(variable) else unknown).append(variable)
    if links:
        yield f"Kubernetes service links are not settings and were ignored: {_listed(links)}"
    yield from _notes_on_unknown(unknown, settings)
    yield from _notes_on_servers(os.environ, settings)


def unused_sockets(places: Mapping[str, object]) -> str:
    """A note on sockets that a service manager passed, where ``places`` use none; else empty.

    ``places`` are the settings ``bind`` and ``fd``.
    """
    count = os.environ.get("LISTEN_FDS", "")
    ours = os.environ.get("LISTEN_PID") == str(os.getpid())
    if not (ours and count.isdecimal() and int(count)):
        return ""
    bind = places["bind"]
    if places["fd"] is not None or "fd:" in str(bind) or "systemd" in str(bind):
        return ""
    were = "socket was" if count == "1" else "sockets were"
    return f"LISTEN_FDS: {count} {were} passed but not used; use --bind systemd"


def _notes_on_unknown(unknown: list[str], settings: Collection[str]) -> Iterator[str]:
    # Without the prefix, which would make any two of them look alike.
    names = [variable.removeprefix(PREFIX) for variable in settings]
    foreign = []
    for variable in unknown:
        near = get_close_matches(variable.removeprefix(PREFIX), names, n=1, cutoff=NEAR)
        if near:
            yield (
                f"variable {_printable(variable)} is not a setting and was ignored; "
                f"did you mean {PREFIX}{near[0]}?"
            )
        else:
            foreign.append(variable)
    if foreign:
        yield f"variables that are not settings were ignored: {_listed(foreign)}"


def _notes_on_servers(environment: Mapping[str, str], settings: Collection[str]) -> Iterator[str]:
    for server, prefixes in FOREIGN.items():
        found = sorted(name for name in environment if name.startswith(prefixes))
        if found:
            ours = [f"{PREFIX}{name.partition('_')[2]}" for name in found]
            ours = [name for name in ours if name in settings]
            use = f"; use {_listed(ours)}" if ours else ""
            yield f"variables of {server} are not read: {_listed(found)}{use}"


def _listed(variables: list[str]) -> str:
    named = ", ".join(map(_printable, variables[:MOST_NAMED]))
    more = len(variables) - MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def _printable(variable: str) -> str:
    """Whoever set it could put anything into its name."""
    return ascii(variable)[1:-1]
