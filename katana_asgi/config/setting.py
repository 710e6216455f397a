"""What a setting is: one field of the settings model, with everything derived from it.

``setting()`` declares a field; ``Setting`` is how sources, command line and documents see it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, dataclass, field
from typing import Any, Final, Literal, TypeAlias

__all__ = ["Kind", "Setting", "setting"]

Kind: TypeAlias = Literal[
    "application",  # "MODULE:ATTRIBUTE", or from Python the application itself
    "text",  # one line of text
    "integer",
    "boolean",  # --name / --no-name
    "choice",  # one of ``choices``
    "switch",  # --name / --no-name, or one of ``choices``: "off", "on" and more
    "processes",  # a number, or "auto": as many as there are processors
    "loop",  # one of ``choices``, or "MODULE:FACTORY"
    "duration",  # seconds as float; "500ms", "30s", "5m", "1h" accepted
    "size",  # bytes as int; "16KiB", "1MiB", "64kB" accepted
    "fraction",  # 0 to 1 as float; "5%" accepted
    "path",  # a file or directory
    "log-config",  # a file, or from Python a dict, a parser or an open file
    "list",  # comma-separated text
    "field",  # "Name:Value", repeatable
    "binds",  # places to listen, repeatable
    "route",  # "PATH=BODY", repeatable
    "file-route",  # "PATH=FILE", repeatable
    "static-dir",  # "PATH=DIRECTORY", repeatable
    "certificate",  # "HOST=CERT:KEY", repeatable
]

PREFIX: Final = "KATANA_"

Check: TypeAlias = Callable[[Any], None]
"""A check of one value, or of each member where there are several; raises ``NotAllowed``."""


def setting(
    default: Any,
    kind: Kind,
    meaning: str,
    *,
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    aliases: tuple[str, ...] = (),
    environment: tuple[str, ...] = (),
    keys: tuple[str, ...] = (),
    metavar: str | None = None,
    unlimited: bool = False,
    check: Check | None = None,
) -> Any:
    """Declare a field together with everything the sources and the documents need."""
    return field(
        default=default,
        metadata={
            "kind": kind,
            "help": meaning,
            "choices": choices,
            "minimum": minimum,
            "maximum": maximum,
            "aliases": aliases,  # further flags, such as "-w"
            "environment": environment,  # further environment variables, such as WEB_CONCURRENCY
            "keys": keys,  # further file keys, such as "static-routes"
            "metavar": metavar,
            "unlimited": unlimited,  # 0 is no limit; Python may say None
            "check": check,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: where it is read from, what it may be, what it means."""

    name: str
    theme: str
    default: Any
    kind: Kind
    help: str
    choices: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    aliases: tuple[str, ...]
    environment: tuple[str, ...]
    keys: tuple[str, ...]
    metavar: str | None
    unlimited: bool
    check: Check | None

    @classmethod
    def of(cls, declared: Field[Any], theme: str) -> Setting:
        """The setting that a field of the model declares."""
        return cls(
            name=declared.name, theme=theme, default=declared.default, **dict(declared.metadata)
        )

    @property
    def flag(self) -> str:
        """``--timeout-keep-alive``."""
        return f"--{self.key}"

    @property
    def variable(self) -> str:
        """``KATANA_TIMEOUT_KEEP_ALIVE``."""
        return PREFIX + self.name.upper()

    @property
    def key(self) -> str:
        """``timeout-keep-alive``, the key in a file."""
        return self.name.replace("_", "-")

    @property
    def repeatable(self) -> bool:
        """Whether the flag may be given more than once, each a member of the value."""
        return self.kind in (
            "binds",
            "field",
            "route",
            "file-route",
            "static-dir",
            "certificate",
        )
