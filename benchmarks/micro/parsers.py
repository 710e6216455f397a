"""Request heads of four sizes to ``RequestHead``: by each back end, and by the memo.

``repeated`` is a head that came before, ``new target`` one whose fields did and whose request
line did not, as from a client that asks for other things.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

from benchmarks.messages import REQUESTS
from benchmarks.micro.clock import Micro
from katana_asgi.http1.limits import HeadLimits
from katana_asgi.http1.parser import head_parser

__all__ = ["parsers"]

LIMITS = HeadLimits(16384, 65536, 128)


def parsers() -> Iterator[Micro]:
    """Yield the cases."""
    for size in ("plain", "medium", "browser", "large"):
        head = REQUESTS[size].first()
        for http in ("httptools", "h11"):
            parse = head_parser(http, LIMITS, memo=False)
            name = f"{http}, {size}, {len(head)} bytes"
            yield Micro("parser", name, partial(parse, head))
        memo = head_parser("httptools", LIMITS, memo=True)
        yield Micro("memo", f"repeated, {size}", partial(memo, head))
        yield Micro("memo", f"new target, {size}", numbered(head))


def numbered(head: bytes) -> Callable[[], object]:
    """Return a call that parses the head with another target each time."""
    parse = head_parser("httptools", LIMITS, memo=True)
    rest = head.partition(b" / ")[2]
    numbers = count()

    def call() -> object:
        return parse(b"GET /users/%d %b" % (next(numbers), rest))

    return call
