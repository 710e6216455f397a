"""``python -m benchmarks micro``: measures every part and prints a table."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.micro.clock import Micro, nanoseconds

__all__ = ["main", "measure_all"]


def cases() -> Iterator[Micro]:
    """Yield every micro-benchmark."""
    from benchmarks.micro.connection import connection
    from benchmarks.micro.encoder import encoder
    from benchmarks.micro.parsers import parsers
    from benchmarks.micro.route_table import route_table

    yield from parsers()
    yield from route_table()
    yield from encoder()
    yield from connection()


def measure_all() -> list[dict[str, Any]]:
    """Measure every case, showing each; nothing where the server is not installed."""
    if importlib.util.find_spec("katana_asgi") is None:
        print("micro-benchmarks: skipped, the package katana_asgi is not installed")
        return []
    measured = []
    for case in cases():
        took = nanoseconds(case.call) / case.operations
        print(f"  {case.group:<12} {case.name:<44} {took:>12,.0f} ns", flush=True)
        measured.append({"group": case.group, "name": case.name, "nanoseconds": took})
    return measured


def main() -> int:
    """Measure and print; return the exit status."""
    print("micro-benchmarks, nanoseconds for one operation, the least of several timings")
    return 0 if measure_all() else 1


if __name__ == "__main__":
    sys.exit(main())
