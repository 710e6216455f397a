"""Which stream may send next (RFC 9218).

Only streams that have content and window are here; one that runs out of either leaves and comes
back, so that no choice looks at streams that cannot send. More urgent streams go first. Among
equally urgent ones, those that are not incremental are served one after the other in the order of
their numbers, incremental ones in turn, and where there are both kinds they alternate. Clients
that do not know the scheme, and proxies that mix the requests of many, are served in turn: in
strict order one large response would hold up all others.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IN_TURN", "Priorities", "Priority", "Scheduler", "parse_priority"]

DEFAULT_URGENCY: Final = 3
_LEVELS: Final = 8


class Priority(NamedTuple):
    """RFC 9218 §4: 0 is the most urgent; incremental content is of use in parts."""

    urgency: int = DEFAULT_URGENCY
    incremental: bool = False


IN_ORDER: Final = Priority()
IN_TURN: Final = Priority(incremental=True)

MAX_EARLY: Final = 16
"""Priorities kept of streams that are not open yet (RFC 9218 §7.1)."""


def parse_priority(value: bytes) -> Priority:
    """A Priority field value; what is malformed or unknown leaves the default (§4, §5)."""
    urgency, incremental = Priority()
    for member in value.split(b","):
        key, _, text = member.partition(b";")[0].strip(b" \t").partition(b"=")
        if key == b"u" and len(text) == 1 and text in b"01234567":
            urgency = int(text)
        elif key == b"i" and text in (b"", b"?1", b"?0"):
            incremental = text != b"?0"
    return Priority(urgency, incremental)


class Sender(Protocol):
    """A stream as it is scheduled."""

    id: int
    priority: Priority
    scheduled: bool


_by_id: Final[Callable[[Sender], int]] = attrgetter("id")


class _Level:
    """The streams of one urgency."""

    __slots__ = ("alternate", "in_order", "in_turn")

    def __init__(self) -> None:
        self.in_order: list[Sender] = []  # by number
        self.in_turn: deque[Sender] = deque()
        self.alternate = False


class Scheduler:
    """The streams of one connection that could send."""

    __slots__ = ("_levels", "_waiting")

    def __init__(self) -> None:
        self._levels: list[_Level | None] = [None] * _LEVELS
        self._waiting = 0

    def __bool__(self) -> bool:
        return self._waiting > 0

    def add(self, stream: Sender) -> None:
        """A stream has content and window; does nothing where it is known already."""
        if stream.scheduled:
            return
        stream.scheduled = True
        self._waiting += 1
        urgency, incremental = stream.priority
        level = self._levels[urgency]
        if level is None:
            level = self._levels[urgency] = _Level()
        if incremental:
            level.in_turn.append(stream)
        else:
            insort(level.in_order, stream, key=_by_id)

    def remove(self, stream: Sender) -> None:
        """A stream has nothing to send any more, or no window."""
        if not stream.scheduled:
            return
        stream.scheduled = False
        self._waiting -= 1
        urgency, incremental = stream.priority
        level = self._levels[urgency]
        assert level is not None  # noqa: S101 - it was made when the stream came
        (level.in_turn if incremental else level.in_order).remove(stream)

    def change(self, stream: Sender, priority: Priority) -> None:
        """Give a stream another priority."""
        scheduled = stream.scheduled
        self.remove(stream)
        stream.priority = priority
        if scheduled:
            self.add(stream)

    def next(self) -> Sender | None:
        """The stream that may send a frame now; it stays until it is removed."""
        if not self._waiting:
            return None
        for level in self._levels:
            if level is None:
                continue
            if level.in_order and not (level.in_turn and level.alternate):
                level.alternate = True
                return level.in_order[0]
            if level.in_turn:
                level.alternate = False
                stream = level.in_turn[0]
                level.in_turn.rotate(-1)
                return stream
        return None


class Priorities:
    """What a client has said about priorities, and what follows for a new stream."""

    __slots__ = ("_early", "aware")

    def __init__(self) -> None:
        self.aware = False  # the client knows RFC 9218
        self._early: dict[int, Priority] = {}  # by number, of streams that are not open yet

    def keep(self, stream: int, priority: Priority) -> None:
        """Remember a PRIORITY_UPDATE for a stream to come; only the latest few are."""
        self.aware = True
        self._early.pop(stream, None)
        self._early[stream] = priority
        if len(self._early) > MAX_EARLY:
            del self._early[next(iter(self._early))]

    def of(self, stream: int, field: bytes | None, mixed: bool) -> Priority:
        """The priority a new stream begins with; ``mixed``: a proxy mixes several clients."""
        priority = self._early.pop(stream, None) if self._early else None
        if field is not None:
            self.aware = True
            if priority is None:
                priority = parse_priority(field)
        if priority is None:
            return IN_ORDER if self.aware and not mixed else IN_TURN
        return priority if not mixed else Priority(priority.urgency, True)
