"""The wire corpus: HTTP/1.1 cases as data, read from the TOML files beside this module.

A case is what a client sends, in order, and what must come of it: the answers, whether the
connection closes, and what the application saw. ``README.md`` explains the keys.
"""

from __future__ import annotations

import random
import tomllib
from dataclasses import dataclass, field, fields
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final, TypeAlias

__all__ = ["CASES", "Case", "Seen", "Step", "load", "variants"]

Step: TypeAlias = bytes | int
"""Bytes to send, or the status of an answer to wait for before sending more."""

SHORT: Final = 120
"""Cases up to this many bytes are cut at every byte boundary."""

RANDOM_CUTS: Final = 8
"""Longer cases are cut this many times, at seeded random places."""

MARKER: Final = "smuggled"
"""A request that carries this in its target must never reach the application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request as the application must have seen it; ``None`` is not looked at.

    ``headers`` maps a lower-cased name to all its values in order: ``[]`` says it is absent.
    """

    method: str | None = None
    path: str | None = None
    raw_path: bytes | None = None
    query: bytes | None = None
    version: str | None = None
    headers: dict[bytes, list[bytes]] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case; ``README.md`` says what each key means."""

    name: str
    section: str
    note: str = ""
    chunks: tuple[Step, ...]
    expect: tuple[frozenset[int], ...]
    closed: bool | None
    app: tuple[Seen, ...] | None = None
    contents: tuple[bytes, ...] | None = None
    never: str = MARKER
    late: bool = False
    eof: bool = False
    continues: int = 0
    reset: bool = False

    @property
    def size(self) -> int:
        """How many bytes the case sends."""
        return sum(len(step) for step in self.chunks if isinstance(step, bytes))


def load(path: Path) -> list[Case]:
    """Read the cases of one file.

    Raises ``ValueError`` for a case with unknown or missing keys.
    """
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    return [_case(table) for table in document["case"]]


def variants(case: Case) -> list[tuple[Step, ...]]:
    """The ways to cut a case into writes: joined, byte by byte, at each byte or at random."""
    parts = _segments(case.chunks)
    places = [
        (index, offset)
        for index, part in enumerate(parts)
        if isinstance(part, bytes)
        for offset in range(1, len(part))
    ]
    found = [parts] if parts != case.chunks else []
    if case.size <= SHORT:
        found.extend(_cut(parts, {place}) for place in places)
        found.append(_cut(parts, set(places)))
    else:
        chance = random.Random(case.name)
        found.extend(
            _cut(parts, set(chance.sample(places, count))) for count in range(1, RANDOM_CUTS + 1)
        )
    return found


def _segments(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Join the bytes between two waits into one write."""
    parts: list[Step] = []
    for is_bytes, group in groupby(steps, lambda step: isinstance(step, bytes)):
        if is_bytes:
            parts.append(b"".join(step for step in group if isinstance(step, bytes)))
        else:
            parts.extend(group)
    return tuple(parts)


def _cut(parts: tuple[Step, ...], places: set[tuple[int, int]]) -> tuple[Step, ...]:
    pieces: list[Step] = []
    for index, part in enumerate(parts):
        if not isinstance(part, bytes):
            pieces.append(part)
            continue
        offsets = sorted(offset for where, offset in places if where == index)
        edges = [0, *offsets, len(part)]
        pieces.extend(part[a:b] for a, b in pairwise(edges))
    return tuple(pieces)


def _case(table: dict[str, Any]) -> Case:
    unknown = table.keys() - {entry.name for entry in fields(Case)}
    if unknown:
        raise ValueError(f"case {table.get('name')!r}: unknown keys {sorted(unknown)}")
    values = dict(table)
    closed = values.pop("closed")
    app = values.pop("app", None)
    contents = values.pop("contents", None)
    return Case(
        chunks=tuple(_step(step) for step in values.pop("chunks")),
        expect=tuple(_statuses(status) for status in values.pop("expect")),
        closed=None if closed == "any" else bool(closed),
        app=None if app is None else tuple(_seen(entry) for entry in app),
        contents=None if contents is None else tuple(_bytes(entry) for entry in contents),
        **values,
    )


def _seen(table: dict[str, Any]) -> Seen:
    values = dict(table)
    headers = {
        _bytes(name): [_bytes(value) for value in ([entry] if isinstance(entry, str) else entry)]
        for name, entry in values.pop("headers", {}).items()
    }
    for name in ("raw_path", "query", "body"):
        if name in values:
            values[name] = _bytes(values[name])
    return Seen(headers=headers, **values)


def _step(value: Any) -> Step:
    if isinstance(value, dict) and "await" in value:
        return int(value["await"])
    return _bytes(value)


def _bytes(value: Any) -> bytes:
    """A string stands for its Latin-1 bytes; a table for a string repeated; a list for both."""
    if isinstance(value, str):
        return value.encode("latin-1")
    if isinstance(value, list):
        return b"".join(_bytes(part) for part in value)
    return _bytes(value["repeat"]) * int(value["times"])


def _statuses(value: int | list[int]) -> frozenset[int]:
    return frozenset([value] if isinstance(value, int) else value)


CASES: Final[list[Case]] = [
    case for path in sorted(Path(__file__).parent.glob("*.toml")) for case in load(path)
]
