"""Samples of what the threads of this process do, taken on demand by a thread of its own.

A sample is a stack in collapsed form, ``thread;outer (file:line);inner (file:line)``; the line
is where the function begins, so that a function is one frame in a graph.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

__all__ = ["sample"]


def sample(seconds: float, rate: float, pause: Callable[[float], bool]) -> Counter[str]:
    """Look at all other threads ``rate`` times a second; how often each stack was seen.

    ``pause`` waits for the given seconds and returns true to end early.
    """
    seen: Counter[str] = Counter()
    labels: dict[CodeType, str] = {}
    names: dict[int | None, str] = {}
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        _look(seen, names, labels)
        if pause(min(1 / rate, end - now)):
            break
    return seen


def _look(seen: Counter[str], names: dict[int | None, str], labels: dict[CodeType, str]) -> None:
    """Take one sample; a function of its own, so that no frame is held between two."""
    frames = sys._current_frames()
    if not frames.keys() <= names.keys():
        names.update((thread.ident, thread.name) for thread in threading.enumerate())
    own = threading.get_ident()
    for ident, frame in frames.items():
        if ident != own:
            name = names.setdefault(ident, "unknown").replace(";", ",")
            seen[";".join([name, *_stack(frame, labels)])] += 1


def _stack(frame: FrameType | None, labels: dict[CodeType, str]) -> list[str]:
    stack = []
    while frame is not None:
        code = frame.f_code
        label = labels.get(code)
        if label is None:
            label = labels[code] = _label(code)
        stack.append(label)
        frame = frame.f_back
    return stack[::-1]


def _label(code: CodeType) -> str:
    place = "/".join(code.co_filename.replace("\\", "/").split("/")[-2:])
    return f"{code.co_qualname} ({place}:{code.co_firstlineno})".replace(";", ",")
