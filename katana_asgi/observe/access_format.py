"""From a format to a function that makes a line of a record; nothing is parsed per record.

The function is one f-string over the members of a record, compiled once.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.codec import field_value, printable
from katana_asgi.config.access_format import JSON_FIELDS, Atom, parse_atom, parse_format
from katana_asgi.http.status import LAST
from katana_asgi.observe.access_values import (
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
    from collections.abc import Callable, Sequence

    from katana_asgi.config.access_format import Part

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
"""Names whose value is an expression over the record, the same in text and in JSON."""

_DURATIONS: Final = {
    "T": "{int(duration)}",
    "M": "{int(duration * 1e3)}",
    "D": "{int(duration * 1e6)}",
    "L": "{duration:.6f}",
    "duration": "{duration:.6f}",
}
"""The same of how long an exchange took."""


_TARGET: Final = "(printable(head.target) or plain(head.target))"
"""The most frequent value of all, without a call of Python where nothing has to be escaped."""


class AccessFormat:
    """Makes lines of records; ``line`` takes the members of one.

    ``text`` is a format or the name of one, ``keys`` are those of JSON lines. ``reads_fields``
    says that a line needs fields of the request, ``reads_sent`` those of the response,
    ``reads_cache`` what the response cache did, ``reads_ids`` the request id, ``reads_moment``
    the time of day, and ``reads_duration`` how long the exchange took.
    """

    def __init__(
        self,
        text: str,
        keys: Sequence[str] = (),
        redaction: Redaction | None = None,
    ) -> None:
        self.values = Values(redaction or Redaction())
        self.reads_fields = False
        self._json = text == "json"
        self._plain: Callable[[object], str] = as_json if self._json else as_text
        self._names: dict[str, Any] = {
            "or_empty": _or_empty,
            "nothing": "null" if self._json else "-",
            "empty": "",
            "no_head": NO_HEAD,
            "protocols": PROTOCOLS,
            "iso_moment": iso_moment,
            "note": note,
            "phrases": [phrase(status).decode("ascii") for status in range(LAST + 1)],
            "printable": printable,
            "field_value": field_value,
            "plain": self._plain,
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
        self.reads_moment = not atoms.isdisjoint({"t", "time"})
        self.reads_duration = not atoms.isdisjoint(_DURATIONS)
        # String literals side by side: Python makes one f-string of them. They are our own
        # pieces; what a user wrote is in them as literals, by repr().
        line = " ".join(self._literal(part) for part in parts)
        source = f"lambda {', '.join(NAMES)}: ({line})"
        self.line: Callable[..., str] = eval(source, self._names)  # noqa: S307 - see above

    def _literal(self, part: Part) -> str:
        return repr(part) if isinstance(part, str) else self._piece(part)

    def _piece(self, atom: Atom) -> str:
        """The literal of a value that never changes, or an f-string."""
        quote = "'\"'" if self._json else "''"
        match atom.name:
            case "e":
                return repr(self._plain(os.environ.get(atom.argument)))
            case "p":
                return repr(self._plain(f"<{os.getpid()}>"))
            case "pid":
                return repr(self._plain(os.getpid()))
            case "l":
                return repr(self._plain(None))
            case "time" | "m" | "method" | "H" | "protocol":
                # Tokens (RFC 9110 §9.1) and digits: there is nothing to escape.
                return f'{quote} f"{self._expression(atom)}" {quote}'
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
                return self._address(values.host)
            case "client":
                return self._address(values.client)
            case "t":
                return self._made("int(moment)", clock_time)
            case "time":
                return "{iso_moment(moment)}"
            case "request":
                return self._request("(head.method if messages is None else 'WebSocket')")
            case "phrase":
                return "{phrases[status]}"
            case "o":
                return self._made("fields", values.response_field(atom.argument))
            case "request_id":
                return "{plain(request_id) if request_id else nothing}"
            case "remark":
                return "{plain(remark or None)}"
            case "cache":
                return "{plain(cache)}"
            case "tls":
                return "{plain(scheme in ('https', 'wss'))}"
        return self._of_head(atom)

    def _of_head(self, atom: Atom) -> str:
        values = self.values
        match atom.name:
            case "m" | "method":
                return "{head.method}"
            case "H" | "protocol":
                return "{protocols[head.version]}"
            case "r" if not self._json:
                return self._request("head.method")
            case "r":
                return self._made("head", values.request_line)
            case "target":
                return f"{{{self._target()}}}"
            case "U" | "path":
                return "{plain(head.raw_path)}"
            case "q" | "query":
                made = self._call(values.query, "head")
                return f"{{plain({made})}}" if self._json else f"{{or_empty({made})}}"
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

    def _address(self, make: Callable[[Any], object]) -> str:
        """There is nothing to escape: it was parsed, or comes from the kernel."""
        made = self._call(make, "client")
        return f"{{plain({made})}}" if self._json else f"{{{made} or '-'}}"

    def _request(self, method: str) -> str:
        """The request line; a dash where none was understood."""
        line = f"{method} + ' ' + {self._target()} + ' ' + protocols[head.version]"
        return f"{{'-' if head is no_head else {line}}}"

    def _target(self) -> str:
        redaction = self.values.redaction
        if redaction.changes_targets:
            return f"plain({self._call(redaction.target, 'head.target')})"
        return "plain(head.target)" if self._json else _TARGET

    def _of_field(self, name: bytes, make: Callable[[Any], object] | None = None) -> str:
        self.reads_fields = True
        value = f"field_value(head.fields, {name!r})"
        make = make or self.values.request_field(name)
        return f"{{plain({value if make is None else self._call(make, value)})}}"

    def _made(self, argument: str, make: Callable[[Any], object]) -> str:
        """What ``make`` makes of a part of the record, as it stands in a line of text or JSON."""
        return f"{{plain({self._call(make, argument)})}}"

    def _call(self, make: Callable[[Any], object], argument: str) -> str:
        name = f"make{len(self._names)}"
        self._names[name] = make
        return f"{name}({argument})"


def _or_empty(value: object) -> str:
    return as_text(value) if value else ""
