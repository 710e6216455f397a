"""From a format to functions that make a batch of lines; nothing is parsed per record.

Both are one list comprehension, compiled once. The first makes of an outcome the pieces of its
line that do not depend on the moment. The second, where the format has something that does,
puts time, duration and request id between them. What is no number is looked up in a memo that
lives as long as the batch.
"""

from __future__ import annotations

import os
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.config.access_format import JSON_FIELDS, Atom, parse_atom, parse_format
from katana_asgi.observe.access_values import (
    Found,
    Redaction,
    Values,
    clock_time,
    iso_moment,
    note,
    phrase,
)
from katana_asgi.observe.escapes import as_json, as_text
from katana_asgi.observe.record import NAMES, NO_HEAD, PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from katana_asgi.config.access_format import Part
    from katana_asgi.observe.record import Outcome

    _Render = Callable[[Collection[Outcome], float], list[Any]]
    _Vary = Callable[[Sequence[Any], list[Any], float], list[str]]

__all__ = ["AccessFormat"]

_NUMBERS: Final = {
    "s": "{status}",
    "status": "{status}",
    "b": "{sent or nothing}",
    "B": "{sent}",
    "bytes_out": "{sent}",
    "bytes_in": "{received}",
    "messages_in": "{messages[0] if messages else nothing}",
    "messages_out": "{messages[1] if messages else nothing}",
    "note": "{note(remark, messages, received, sent) if remark else empty}",
}
"""Names whose value is an expression over the outcome, the same in text and in JSON."""

_OUTCOME: Final = ", ".join(NAMES)

_DURATIONS: Final = {
    "T": "{int(ended - began)}",
    "M": "{int((ended - began) * 1e3)}",
    "D": "{int((ended - began) * 1e6)}",
    "L": "{durations[int((ended - began) * 1e6 + 0.5)]}",
    "duration": "{durations[int((ended - began) * 1e6 + 0.5)]}",
}
"""The same over the rest of a record."""

_VARYING: Final = frozenset({*_DURATIONS, "time", "request_id"})

MAX_DURATIONS: Final = 8192
"""Against a memo of durations, which is kept, as unlimited memory."""


class _Memo(dict[Any, str]):
    """Values as they stand in a line, by the member of a record that they are made of."""

    def __init__(self, make: Callable[[Any], object], encode: Callable[[object], str]) -> None:
        super().__init__()
        self._make = make
        self._encode = encode

    def __missing__(self, key: Any) -> str:
        value = self[key] = self._encode(self._make(key))
        return value


class AccessFormat:
    """Makes lines of records.

    ``text`` is a format or the name of one, ``keys`` are those of JSON lines. ``reads_fields``
    says that a line needs fields of the request, ``reads_sent`` those of the response,
    ``reads_cache`` what the response cache did, ``reads_ids`` that it has the request id,
    ``timed`` that it tells durations or milliseconds:
    else the time of day is that of the batch. Where it has neither an id nor is timed, it does
    not vary:
    outcomes are all that it needs.
    """

    def __init__(
        self,
        text: str,
        keys: Sequence[str] = (),
        redaction: Redaction | None = None,
    ) -> None:
        self.values = Values(redaction or Redaction())
        self._json = text == "json"
        self._found = Found()
        self._memos: list[dict[Any, Any]] = [self._found]
        self._names: dict[str, Any] = {
            "nothing": "null" if self._json else "-",
            "empty": "",
            "no_head": NO_HEAD,
            "note": note,
            "durations": _Durations(),
            "found_in": self._found,
            "plain": as_json if self._json else as_text,
        }
        if self._json:
            parts: list[Part] = []
            for number, key in enumerate(keys or JSON_FIELDS):
                parts += (f"{', ' if number else '{'}{as_json(key)}: ", parse_atom(key))
            parts.append("}")
        else:
            parts = parse_format(text)
        atoms = {part.name for part in parts if isinstance(part, Atom)}
        self.reads_ids = "request_id" in atoms
        self.reads_sent = "o" in atoms
        self.reads_cache = "cache" in atoms
        self.timed = bool(atoms & {*_DURATIONS, "time"})
        self.varies = self.timed or self.reads_ids
        self._render, self._vary = self._compile(parts)
        self.reads_fields = bool(self._found.wanted)

    def lines(self, records: Sequence[Any], offset: float) -> list[str]:
        """A line for each ``Record``, or for each ``Outcome`` where the format does not vary.

        ``offset`` makes the time of day of ``perf_counter``, or is the time of day itself
        where the format is not timed.
        """
        outcomes = [record[0] for record in records] if self.varies else records
        lines = self._vary(records, self._render(outcomes, offset), offset)
        for memo in self._memos:
            memo.clear()
        return lines

    def _compile(self, parts: list[Part]) -> tuple[_Render, _Vary]:
        """The two functions. String literals side by side: Python makes one f-string of them."""
        if not self.varies:
            line = " ".join(self._literal(part) for part in parts)
            return self._evaluate_render(f"({line})"), _same
        pieces: list[str] = []
        line = ""
        for varies, group in groupby(parts, self._is_varying):
            literals = " ".join(self._literal(part) for part in group)
            if not varies:
                line += f' f"{{piece{len(pieces)}}}"'
                pieces.append(f"({literals}), ")
            else:
                line += f" {literals}"
        names = "".join(f"piece{number}, " for number in range(len(pieces)))
        vary = (
            f"records, made, offset: [{line} for ({names}), (_, ended, began, request_id) "
            "in zip(made, records)]"
        )
        return self._evaluate_render(f"({''.join(pieces)})"), self._evaluate(vary)

    def _evaluate_render(self, value: str) -> _Render:
        found = "for found in (found_in[head],)" if self._found.wanted else ""
        made: _Render = self._evaluate(
            f"outcomes, offset: [{value} for {_OUTCOME} in outcomes {found}]"
        )
        return made

    def _evaluate(self, source: str) -> Any:
        # Made of our own pieces; what a user wrote is in it as literals, by repr().
        return eval(f"lambda {source}", self._names)  # noqa: S307 - see above

    def _is_varying(self, part: Part) -> bool:
        return isinstance(part, Atom) and (
            part.name in _VARYING or (part.name == "t" and self.timed)
        )

    def _literal(self, part: Part) -> str:
        return repr(part) if isinstance(part, str) else self._piece(part)

    def _piece(self, atom: Atom) -> str:
        """The literal of a value that never changes, or an f-string."""
        encode = self._names["plain"]
        match atom.name:
            case "e":
                return repr(encode(os.environ.get(atom.argument)))
            case "p":
                return repr(encode(f"<{os.getpid()}>"))
            case "pid":
                return repr(encode(os.getpid()))
            case "l":
                return repr(encode(None))
            case "time":
                quote = "'\"'" if self._json else "''"
                return f'{quote} f"{self._expression(atom)}" {quote}'
            case "m" | "method" | "H" | "protocol":
                # Tokens (RFC 9110 §9.1): there is nothing to escape.
                quote = "'\"'" if self._json else "''"
                self._names["protocols"] = PROTOCOLS
                method = atom.name in ("m", "method")
                text = "{head.method}" if method else "{protocols[head.version]}"
                return f'{quote} f"{text}" {quote}'
        return f'f"{self._expression(atom)}"'

    def _expression(self, atom: Atom) -> str:
        """What changes with the record, as an f-string has it."""
        name = atom.name
        if name in _NUMBERS:
            return _NUMBERS[name]
        if name in _DURATIONS:
            return _DURATIONS[name]
        values = self.values
        match name:
            case "h":
                return self._of_client(values.host)
            case "client":
                return self._of_client(values.client)
            case "t":
                second = "int(ended + offset)" if self.timed else "int(offset)"
                return self._memo(second, clock_time, str if not self._json else as_json)
            case "time":
                return self._memo("int((ended + offset) * 1e3)", iso_moment, str)
            case "request":
                return self._request("(head.method if messages is None else 'WebSocket')")
            case "phrase":
                self._names["phrases"] = _Phrases()
                return "{phrases[status]}"
            case "o":
                return self._memo("fields", values.response_field(atom.argument))
            case "request_id":
                return "{plain(request_id) if request_id else nothing}"
            case "remark":
                return self._memo("remark", lambda remark: remark or None)
            case "cache":
                return self._memo("cache", lambda cache: cache)
            case "tls":
                return self._memo("scheme", lambda scheme: scheme in ("https", "wss"))
        return self._of_head(atom)

    def _of_head(self, atom: Atom) -> str:
        values = self.values
        match atom.name:
            case "r" if not self._json:
                return self._request("head.method")
            case "r":
                return self._memo("head", values.request_line)
            case "target":
                return self._target()
            case "U" | "path":
                return self._memo("head", lambda head: head.raw_path)
            case "q" | "query":
                encode = as_json if self._json else _or_empty
                return self._memo("head", values.query, encode)
            case "u":
                return self._of_field(b"authorization", values.user)
            case "trace_id":
                return self._of_field(b"traceparent", values.trace_id)
            case "i":
                return self._of_field(atom.argument.encode("ascii"))
            case "f" | "referer":
                return self._of_field(b"referer")
            case "a" | "user_agent":
                return self._of_field(b"user-agent")
            case "host":
                return self._of_field(b"host")
        raise KeyError(atom.name)

    def _request(self, method: str) -> str:
        """The request line; a dash where none was understood."""
        target = self._target()[1:-1]
        self._names["protocols"] = PROTOCOLS
        line = f"{method} + ' ' + {target} + ' ' + protocols[head.version]"
        return f"{{'-' if head is no_head else {line}}}"

    def _of_field(self, name: bytes, make: Callable[[Any], object] | None = None) -> str:
        """By its value, not by its head: most heads have the User-Agent of another."""
        self._found.wanted.add(name)
        return self._memo(f"found.get({name!r})", make or self.values.request_field(name))

    def _target(self) -> str:
        """The request target, by itself: it is the same object where a head comes again."""
        return self._memo("head.target", self.values.redaction.target)

    def _of_client(self, make: Callable[[Any], object]) -> str:
        """An address has nothing to escape: it was parsed, or comes from the kernel."""
        return self._memo("client", make, as_json if self._json else _or_dash)

    def _memo(
        self,
        key: str,
        make: Callable[[Any], object],
        encode: Callable[[object], str] | None = None,
    ) -> str:
        memo = _Memo(make, encode or (as_json if self._json else as_text))
        name = f"memo{len(self._memos)}"
        self._memos.append(memo)
        self._names[name] = memo
        return f"{{{name}[{key}]}}"


class _Durations(dict[int, str]):
    """Seconds, of microseconds: a float is slow to write, and many are the same."""

    def __missing__(self, duration: int) -> str:
        if len(self) >= MAX_DURATIONS:
            self.clear()
        value = self[duration] = f"{duration / 1e6:.6f}"
        return value


class _Phrases(dict[int, str]):
    """Reason phrases of the statuses seen; there are few."""

    def __missing__(self, status: int) -> str:
        value = self[status] = phrase(status).decode("ascii")
        return value


def _same(records: Sequence[Any], made: list[Any], offset: float) -> list[str]:
    """Instead of what puts lines together, where they need no more than an outcome."""
    return made


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)


def _or_empty(value: object) -> str:
    return as_text(value) if value else ""
