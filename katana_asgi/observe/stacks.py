"""The stacks of all threads and asyncio tasks as text, and a signal that writes them.

``SIGURG`` is the signal: ignored by default, so that sending it to the wrong process does no
harm. The part about threads is written by C code, even when Python code does not run.
"""

from __future__ import annotations

import asyncio
import faulthandler
import io
import signal
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = [
    "dump_on_signal",
    "make_room_for_signals",
    "task_stacks",
    "thread_stack",
    "thread_stacks",
]

SIGNAL_STACK: Final = 1024 * 1024
"""Bytes of the stack that signal handlers run on. Each of the signals that arrive at once puts
the registers of the processor there, up to 11 KiB, and faulthandler makes room for one or two:
the third would write into the heap. Pages that are not used cost nothing."""

_stacks: Final[list[Any]] = []


def make_room_for_signals() -> None:
    """Give the main thread a larger stack for signal handlers; call it after ``faulthandler``."""
    if sys.platform != "linux" or _stacks:
        return
    import ctypes
    import mmap

    class Stack(ctypes.Structure):
        _fields_ = (
            ("address", ctypes.c_void_p),
            ("flags", ctypes.c_int),
            ("size", ctypes.c_size_t),
        )

    with suppress(OSError, AttributeError, ValueError):
        memory = mmap.mmap(-1, SIGNAL_STACK)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        stack = Stack(start, 0, SIGNAL_STACK)
        if ctypes.CDLL(None).sigaltstack(ctypes.byref(stack), None) == 0:
            _stacks.append(memory)  # for as long as the process lives


def thread_stack(ident: int) -> str:
    """The stack of one thread, empty where it has ended."""
    frame = sys._current_frames().get(ident)
    return "".join(traceback.format_stack(frame)) if frame is not None else ""


def thread_stacks() -> str:
    """The stacks of all threads of this process, but for the one that asks."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    own = threading.get_ident()
    return "\n".join(
        f"Thread {names.get(ident, 'unknown')} ({ident}):\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()
        if ident != own
    )


def task_stacks(loop: asyncio.AbstractEventLoop) -> str:
    """The tasks of ``loop`` and where each of them waits; from any thread."""
    tasks = asyncio.all_tasks(loop)
    text = io.StringIO()
    print(f"{len(tasks)} tasks", file=text)
    for task in tasks:
        with suppress(RuntimeError):  # it moved while it was looked at
            task.print_stack(file=text)
    return text.getvalue()


@contextmanager
def dump_on_signal(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Within the block SIGURG writes all stacks and the tasks of ``loop`` to standard error.

    Does nothing outside the main thread and where the system has no such signal.
    """
    number = getattr(signal, "SIGURG", None)
    main = threading.current_thread() is threading.main_thread()
    try:
        descriptor = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # there is none, or it is no file
        descriptor = -1
    if number is None or not main or descriptor < 0:
        yield
        return

    def write_tasks(_number: int, _frame: FrameType | None) -> None:
        # A thread, because the stream's lock may be held by what the signal interrupted.
        threading.Thread(target=_write, args=(loop,), daemon=True).start()

    before: Any = signal.signal(number, write_tasks)
    faulthandler.register(number, file=descriptor, all_threads=True, chain=True)
    make_room_for_signals()
    try:
        yield
    finally:
        faulthandler.unregister(number)
        signal.signal(number, signal.SIG_DFL if before is None else before)


def _write(loop: asyncio.AbstractEventLoop) -> None:
    text = task_stacks(loop)
    with suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()
