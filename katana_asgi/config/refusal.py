"""How a bad value is reported: one line that names the place, the value and what is allowed.

A check knows the value and what is allowed and raises ``NotAllowed``; whoever knows where the
value came from puts that in front with ``at``.
"""

from __future__ import annotations

from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from katana_asgi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["NotAllowed", "at", "shown", "suggestion"]

LONGEST_SHOWN: Final = 80
"""Characters of a value that a message repeats: a line stays a line."""


class NotAllowed(ConfigurationError):
    """A value that a setting cannot have; ``allowed`` completes "use …"."""

    def __init__(self, value: object, allowed: str, problem: str = "is not allowed") -> None:
        super().__init__(f"{shown(value)} {problem}; use {allowed}")


def shown(value: object) -> str:
    """``value`` as a message repeats it: on one line, cut where it is long."""
    try:
        text = " ".join(repr(value).splitlines())  # the repr of a foreign object may have lines
    except ValueError:  # an integer of thousands of digits
        text = "the number"
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"


@contextmanager
def at(origin: str) -> Iterator[None]:
    """Put ``origin``, such as "flag --workers", in front of a ``ConfigurationError``."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{origin}: {error}") from None


def suggestion(name: str, known: Iterable[str], otherwise: str, prefix: str = "") -> str:
    """ "did you mean X?", ``prefix`` before X, where a known name is near; else ``otherwise``."""
    near = get_close_matches(name, list(known), n=1)
    return f"did you mean {prefix}{near[0]}?" if near else otherwise
