"""uvicorn's names and values that differ from ours, and what each of them means here.

``TAKEN`` are the names that are no settings of katana-asgi; the command line takes them as flags
and ``Config`` as keywords. ``SYNONYMS`` are values of settings that both servers have. A value
that changes nothing here is answered with a note, once, when the server starts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from katana_asgi.config.refusal import shown
from katana_asgi.errors import ConfigurationError

__all__ = ["SYNONYMS", "TAKEN", "Synonym", "Taken", "substitute", "translate"]


class Taken(NamedTuple):
    """A name of uvicorn's that is not a setting of ours.

    ``ours`` is the setting it sets; without one it has no effect. ``silent`` are values that need
    no note. ``flag`` is false for what only programs can give; ``switch`` flags have no value.
    """

    ours: str = ""
    note: str = ""
    silent: tuple[object, ...] = ()
    flag: bool = True
    switch: bool = False


TAKEN: Final[Mapping[str, Taken]] = {
    "reload_dirs": Taken("reload_dir", flag=False),
    "reload_includes": Taken("reload_include", flag=False),
    "reload_excludes": Taken("reload_exclude", flag=False),
    "headers": Taken("header", flag=False),
    "h11_max_incomplete_event_size": Taken("limit_header_size"),
    "timeout_worker_healthcheck": Taken(
        note="workers send heartbeats; timeout-worker replaces one whose event loop is blocked",
        silent=(5, "5"),
    ),
    "ssl_version": Taken(
        note="ssl-minimum-version sets the oldest version that is spoken", silent=(17, "17", 2, "2")
    ),
    "timeout_notify": Taken(note="callbacks are not called", silent=(30,), flag=False),
    "callback_notify": Taken(note="it is not called", flag=False),
}
"""By keyword. A name that becomes a setting of ours is no longer read from here."""

REFUSED: Final = {
    "ssl_context_factory": "use ssl_certfile, ssl_keyfile and the other ssl settings",
}
"""Keywords that cannot be ignored without serving something else than was asked for."""


class Synonym(NamedTuple):
    """Another value of a setting. ``note`` says what is different; empty: nothing is."""

    value: str
    note: str = ""


_OWN_WEBSOCKET: Final = Synonym("auto", "the server's own WebSocket implementation is used")
_OWN_PARSER: Final = Synonym("auto", "the parser is chosen as with auto")

SYNONYMS: Final[Mapping[str, Mapping[str, Synonym]]] = {
    "ws": dict.fromkeys(("websockets", "websockets-sansio", "wsproto"), _OWN_WEBSOCKET),
    "http": {"zttp": _OWN_PARSER},
    "loop": {
        "none": Synonym("auto"),
        "zuvloop": Synonym("auto", "the event loop is chosen as with auto"),
    },
    "log_level": {"warn": Synonym("warning"), "fatal": Synonym("critical")},
    "http2": {
        "true": Synonym("auto"),
        "1": Synonym("auto"),
        "false": Synonym("off"),
        "0": Synonym("off"),
    },
}
"""By setting and value."""

_match_relative: Final = re.compile(r"[\w.~-]+(?:/[\w.~-]+)*/?").fullmatch
_match_name: Final = re.compile(
    r"(?=.*[a-z])[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", re.IGNORECASE
).fullmatch

_LEVELS: Final = (
    (logging.CRITICAL, "critical"),
    (logging.ERROR, "error"),
    (logging.WARNING, "warning"),
    (logging.INFO, "info"),
    (logging.DEBUG, "debug"),
)


def translate(name: str, value: Any, origin: str) -> tuple[str, Any, str]:
    """The setting that a name and a value of uvicorn's mean, its value, and a note.

    The setting is empty where there is none of ours, and so is the note where nothing is
    different. A name that ``TAKEN`` does not have stays as it is. Raises ``ConfigurationError``.
    """
    if name in REFUSED:
        if value is not None:
            raise ConfigurationError(f"{origin}: is not supported; {REFUSED[name]}")
        return "", None, ""
    taken = TAKEN.get(name)
    if taken is None:
        return name, *substitute(name, value, origin)
    if taken.ours:
        return taken.ours, value, ""
    silent = value is None or value in taken.silent
    return "", None, "" if silent else f"{origin}: has no effect here: {taken.note}"


def substitute(name: str, value: Any, origin: str) -> tuple[Any, str]:
    """What ``value`` means for the setting ``name``, and a note or nothing."""
    if name == "log_level" and isinstance(value, int) and not isinstance(value, bool):
        return _level(value), ""
    if name == "ssl_cert_reqs" and isinstance(value, int):
        return str(int(value)), ""
    if name in ("http", "ws") and (isinstance(value, type) or ":" in str(value)):
        return "auto", f"{origin}: {shown(value)} means auto: protocol classes are not used"
    if name == "root_path" and _match_relative(str(value)):
        return f"/{value}", f"{origin}: {shown(value)} means '/{value}'"
    if name == "forwarded_allow_ips" and isinstance(value, str | list | tuple):
        return _proxies(value, origin)
    word = str(value).strip().lower() if isinstance(value, str | bool) else ""
    synonym = SYNONYMS.get(name, {}).get(word)
    if synonym is None:
        return value, ""
    note = f"{origin}: {shown(value)} means {synonym.value}: {synonym.note}"
    return synonym.value, note if synonym.note else ""


def _proxies(value: str | list[Any] | tuple[Any, ...], origin: str) -> tuple[Any, str]:
    """The proxies that can be told by their address; a path is that of a Unix socket."""
    entries = value.split(",") if isinstance(value, str) else value
    kept: list[Any] = []
    names: list[str] = []
    for entry in entries:
        text = entry.strip() if isinstance(entry, str) else entry
        if isinstance(text, str) and text.startswith("/"):
            kept.append("unix")
        elif isinstance(text, str) and text != "unix" and _match_name(text):
            names.append(text)
        elif text != "":
            kept.append(text)
    if not names:
        return (value if kept == list(entries) else tuple(kept)), ""
    return tuple(kept), f"{origin}: {shown(', '.join(names))} is no address, so it trusts nothing"


def _level(number: int) -> str:
    """The name of a level of ``logging``; one between two names shows what the lower one does."""
    return next((name for level, name in _LEVELS if level <= number), "trace")
