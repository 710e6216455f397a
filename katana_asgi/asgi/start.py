"""Starting a task with its first step run at once, not in a later turn of the loop.

Most calls of an application never suspend: request in, response out. Run at once they cost no
scheduling at all, and no turn of latency. The task is the same object for the whole call, so
anyio scopes, task groups and timeouts that are opened in the first step can be closed later.

From Python 3.12 on the standard library does this (``eager_start``). For 3.11 ``_LateTask``
does: a task that becomes a real one only when its coroutine suspends. Delete it with 3.11.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context
    from types import TracebackType

    Watcher: TypeAlias = Callable[[asyncio.Task[None]], object]

__all__ = ["start", "start_later", "waits_for_thread"]

Work: TypeAlias = Coroutine[Any, Any, None]


def start_later(
    work: Work, loop: asyncio.AbstractEventLoop, variables: Context
) -> asyncio.Task[None]:
    """Run ``work`` in a task from the next turn of the loop on; safe within another task."""
    return asyncio.Task(work, loop=loop, context=variables)


def waits_for_thread(task: asyncio.Task[None]) -> bool:
    """Whether a task waits for what runs in an executor, which no cancellation reaches."""
    awaited: Any = task
    while isinstance(awaited, asyncio.Task):
        awaited = getattr(awaited, "_fut_waiter", None)  # as asyncio's own tools read it
    # Of a future that stands for one of concurrent.futures; the names have not changed since 3.4.
    calls = getattr(awaited, "_callbacks", None) or ()
    return any(getattr(each[0], "__qualname__", "").startswith("_chain_future") for each in calls)


if sys.version_info >= (3, 12):

    def start(
        work: Work, loop: asyncio.AbstractEventLoop, variables: Context
    ) -> asyncio.Task[None]:
        """Run ``work`` in a task, its first step now; later where a task is running already."""
        eager = asyncio.current_task(loop) is None
        return asyncio.Task(work, loop=loop, context=variables, eager_start=eager)

else:
    from asyncio.tasks import (  # type: ignore[attr-defined] # the first is not in typeshed
        _current_tasks,
        _enter_task,
        _leave_task,
    )

    def start(
        work: Work, loop: asyncio.AbstractEventLoop, variables: Context
    ) -> asyncio.Task[None]:
        """Run ``work`` in a task, its first step now; later where a task is running already."""
        if _current_tasks.get(loop) is not None:  # C keeps this dictionary; 3.11 has no C function
            return start_later(work, loop, variables)
        task = _LateTask(work, loop, variables)
        _enter_task(loop, task)
        try:
            awaited = variables.run(next, work.__await__(), _DONE)
        finally:
            _leave_task(loop, task)
        if awaited is not _DONE:
            task.become_real(_Suspended(work, awaited))
        elif task.watchers:
            task.become_real(_nothing())
        return task

    async def _nothing() -> None:
        """The rest of a coroutine that has ended."""

    _DONE: Final = object()

    class _LateTask(asyncio.Task[None]):
        """A task before and after its first suspension.

        The base class is initialised by ``become_real``. Until then the object is the current
        task and stands in for one: what a coroutine may ask of its own task is answered here.
        """

        __slots__ = ("_cancels", "_name", "_real", "_variables", "_where", "_work", "watchers")

        def __init__(self, work: Work, loop: asyncio.AbstractEventLoop, variables: Context) -> None:
            self._work = work
            self._where = loop
            self._variables = variables
            self._real = False
            self._name: object = "Exchange"
            self._cancels: tuple[Any, ...] = ()
            self.watchers: list[tuple[Watcher, Context]] | None = None

        def become_real(self, rest: Work) -> None:
            """Let the base class take over, with the rest of the coroutine."""
            self._real = True
            super().__init__(rest, loop=self._where, name=str(self._name), context=self._variables)
            for message in self._cancels:
                super().cancel(message)
            for watcher, context in self.watchers or ():
                super().add_done_callback(watcher, context=context)

        def get_coro(self) -> Any:
            return self._work

        def get_loop(self) -> asyncio.AbstractEventLoop:
            return self._where

        def get_name(self) -> str:
            return super().get_name() if self._real else str(self._name)

        def set_name(self, value: object) -> None:
            if self._real:
                super().set_name(value)
            else:
                self._name = value

        def cancel(self, msg: Any = None) -> bool:
            if self._real:
                return super().cancel(msg)
            self._cancels += (msg,)
            return True

        def cancelling(self) -> int:
            return super().cancelling() if self._real else len(self._cancels)

        def uncancel(self) -> int:
            if self._real:
                return super().uncancel()
            self._cancels = self._cancels[:-1]
            return len(self._cancels)

        def add_done_callback(  # type: ignore[override] # Future's own type is the narrower one
            self, fn: Watcher, /, *, context: Context | None = None
        ) -> None:
            if self._real:
                super().add_done_callback(fn, context=context)
            else:
                self.watchers = [*(self.watchers or ()), (fn, context or copy_context())]

        def __repr__(self) -> str:
            return super().__repr__() if self._real else f"<Task running coro={self._work!r}>"

    class _Suspended(Coroutine[Any, Any, None]):
        """The rest of a coroutine: first hands over what it waits for, then is the coroutine."""

        __slots__ = ("_awaited", "_pending", "_work")

        def __init__(self, work: Work, awaited: Any) -> None:
            self._work = work
            self._awaited = awaited
            self._pending = True

        def send(self, value: Any) -> Any:
            if self._pending:
                self._pending = False
                return self._awaited
            self._awaited = None
            return self._work.send(value)

        def throw(
            self,
            typ: type[BaseException] | BaseException,
            val: BaseException | object = None,
            tb: TracebackType | None = None,
            /,
        ) -> Any:
            error = typ if isinstance(typ, BaseException) else typ(val) if val else typ()
            awaited, self._awaited = self._awaited, None
            if self._pending:
                self._pending = False
                # As for any task that waits: first what it waits for is cancelled.
                if (
                    isinstance(error, asyncio.CancelledError)
                    and awaited is not None
                    and awaited.cancel(*error.args)
                ):
                    return awaited
            return self._work.throw(error.with_traceback(tb))

        def close(self) -> None:
            self._work.close()

        def __await__(self) -> Any:
            return self._work.__await__()

        def __getattr__(self, name: str) -> Any:
            # cr_await, cr_frame, cr_running and the like, which debuggers and anyio look at.
            return getattr(self._work, name)
