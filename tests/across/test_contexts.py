"""Tasks, context variables and anyio inside an application, from its very first step on.

Applications take for granted that a call has a task of its own, that this is one object from
beginning to end, and that scopes opened before the first wait can be closed after it.
"""

from __future__ import annotations

import asyncio
import functools
from contextvars import ContextVar

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from tests.applications import Probe, content_of, get, respond
from tests.support import talking, within

variable: ContextVar[str] = ContextVar("variable", default="unset")


async def checked(http, check, requests: int = 2) -> list:
    """Call ``check`` in requests on one connection; the results.

    They are sent one by one, then pipelined: the second of a pipeline begins in another way.
    """
    results = []

    async def app(scope, receive, send):
        results.append(await check(scope, receive, send))
        await respond(send, b"ok")

    async with talking(app, http=http) as client:
        for _ in range(requests):
            await client.send(get())
            assert (await client.response()).status == 200, results
        await client.send(get() * requests)
        for _ in range(requests):
            assert (await client.response()).status == 200, results
    assert len(results) == 2 * requests
    return results


# -- the task


async def test_a_call_has_one_task_of_its_own_from_first_to_last_step(http):
    tasks = []

    async def check(scope, receive, send):
        first = asyncio.current_task()
        assert isinstance(first, asyncio.Task)
        tasks.append(first)  # kept, so that no two can have the same identity by chance
        await asyncio.sleep(0)
        assert asyncio.current_task() is first
        await receive()
        assert asyncio.current_task() is first
        assert first in asyncio.all_tasks()
        assert first.get_loop() is asyncio.get_running_loop()
        return first.cancelling()

    assert await checked(http, check) == [0] * 4
    assert len(set(tasks)) == 4


async def test_a_task_can_be_watched_and_named_before_and_after_its_first_wait(http):
    done: asyncio.Queue = asyncio.Queue()

    async def check(scope, receive, send):
        task = asyncio.current_task()
        task.add_done_callback(lambda task: done.put_nowait(("early", task)))
        task.set_name("early")
        assert task.get_name() == "early"
        assert not task.done()
        assert repr(task)
        await asyncio.sleep(0)
        assert task.get_name() == "early"
        task.add_done_callback(lambda task: done.put_nowait(("late", task)))
        return task

    tasks = await checked(http, check)
    for task in tasks:
        assert await within(done.get()) == ("early", task)
        assert await within(done.get()) == ("late", task)
        assert task.done()


async def test_a_task_that_never_waited_can_be_watched(http):
    done: asyncio.Queue = asyncio.Queue()

    async def check(scope, receive, send):
        asyncio.current_task().add_done_callback(done.put_nowait)

    await checked(http, check)
    for _ in range(4):
        assert (await within(done.get())).done()


async def test_no_task_is_left_current_for_the_next_event(http):
    """What the loop calls after an application must not believe to run within its task."""

    async def check(scope, receive, send):
        loop = asyncio.get_running_loop()
        found = loop.create_future()
        loop.call_soon(lambda: found.set_result(asyncio.current_task(loop)))
        return await found

    assert await checked(http, check) == [None] * 4


async def test_a_task_that_cancels_itself_is_cancelled_at_its_next_wait(http):
    async def check(scope, receive, send):
        task = asyncio.current_task()
        assert task.cancel()
        assert task.cancelling() == 1
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        assert task.uncancel() == 0
        await asyncio.sleep(0)

    await checked(http, check)


async def test_a_cancellation_that_is_not_caught_is_500(http):
    async def app(scope, receive, send):
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    async with talking(app, http=http) as client:
        await client.send(get())
        assert (await client.response()).status == 500


# -- asyncio's scopes


async def test_a_task_group_of_the_first_step_can_be_left_later(http):
    async def check(scope, receive, send):
        async def double(number):
            await asyncio.sleep(0)
            return 2 * number

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(double(number)) for number in range(3)]
        return [task.result() for task in tasks]

    assert await checked(http, check) == [[0, 2, 4]] * 4


async def test_a_task_group_cancels_its_parent_when_a_child_fails(http):
    async def check(scope, receive, send):
        async def fail():
            raise KeyError("child")

        async def wait_beside():
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await asyncio.Event().wait()

        with pytest.raises(ExceptionGroup) as raised:
            await wait_beside()
        assert raised.group_contains(KeyError)
        return asyncio.current_task().cancelling()

    assert await checked(http, check) == [0] * 4


@pytest.mark.parametrize("delay", [0, 0.01])
async def test_a_timeout_of_the_first_step_expires_as_a_timeout(http, delay):
    async def check(scope, receive, send):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(delay):
                await asyncio.Event().wait()
        return asyncio.current_task().cancelling()

    assert await checked(http, check) == [0] * 4


async def test_a_timeout_of_the_first_step_cancels_what_the_call_waits_for(http):
    async def check(scope, receive, send):
        child = asyncio.create_task(asyncio.Event().wait())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await child
        return child.cancelled()

    assert await checked(http, check) == [True] * 4


async def test_wait_for_and_shield_work_in_the_first_step(http):
    async def check(scope, receive, send):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.sleep(0.05)), 0)
        message = await within(receive())
        return message["type"]

    assert await checked(http, check) == ["http.request"] * 4


async def test_receive_may_run_in_another_task(http):
    async def check(scope, receive, send):
        message = await asyncio.create_task(receive())
        waiting = asyncio.create_task(receive())
        done, _ = await asyncio.wait(
            {waiting, asyncio.create_task(asyncio.sleep(0))}, return_when=asyncio.FIRST_COMPLETED
        )
        assert waiting not in done
        waiting.cancel()
        return message["type"]

    assert await checked(http, check) == ["http.request"] * 4


async def test_send_may_run_in_another_task(http):
    async def app(scope, receive, send):
        async with asyncio.TaskGroup() as group:
            group.create_task(respond(send, b"child"))

    async with talking(app, http=http) as client:
        for _ in range(2):
            await client.send(get())
            assert (await client.response()).body == b"child"


async def test_locks_are_shared_between_requests(http):
    lock = asyncio.Lock()

    async def check(scope, receive, send):
        async with lock:
            await asyncio.sleep(0)
        return lock.locked()

    assert await checked(http, check) == [False] * 4


async def test_async_generators_can_be_left_half_used(http):
    closed = []

    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    async def check(scope, receive, send):
        generator = numbers()
        assert await anext(generator) == 1
        await generator.aclose()

    await checked(http, check)
    assert closed == [True] * 4


# -- context variables


async def test_a_variable_lasts_through_a_call_and_no_longer(http):
    async def check(scope, receive, send):
        before = variable.get()
        token = variable.set("first step")
        await asyncio.sleep(0)
        assert variable.get() == "first step"
        variable.reset(token)  # fails in another context than that of the set
        variable.set("last step")
        await receive()
        assert variable.get() == "last step"
        return before

    assert await checked(http, check) == ["unset"] * 4


async def test_children_see_the_variables_of_their_parent_and_keep_their_own(http):
    async def check(scope, receive, send):
        async def child():
            seen = variable.get()
            variable.set("child")
            return seen

        variable.set("parent")
        seen = await asyncio.create_task(child())
        return seen, variable.get()

    assert await checked(http, check) == [("parent", "parent")] * 4


async def test_variables_reach_threads(http):
    async def check(scope, receive, send):
        variable.set("parent")
        return await asyncio.to_thread(variable.get), await anyio.to_thread.run_sync(variable.get)

    assert await checked(http, check) == [("parent", "parent")] * 4


async def test_wrapped_applications_share_variables_both_ways(http):
    """As pure ASGI middleware does."""

    async def inner(scope, receive, send):
        seen = variable.get()
        variable.set("inner")
        await respond(send, seen.encode())

    async def outer(scope, receive, send):
        variable.set("outer")
        await inner(scope, receive, send)
        after.append(variable.get())

    after = []
    async with talking(outer, http=http) as client:
        for _ in range(2):
            await client.send(get())
            assert (await client.response()).body == b"outer"
    assert after == ["inner", "inner"]


# -- anyio


async def test_an_anyio_task_group_of_the_first_step_can_be_left_later(http):
    async def check(scope, receive, send):
        results = []

        async def add(number):
            await anyio.sleep(0)
            results.append(number)

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(add, number)
        return sorted(results)

    assert await checked(http, check) == [[0, 1, 2]] * 4


async def test_an_anyio_task_group_can_be_cancelled_from_within(http):
    """The way Starlette's streaming responses end."""

    async def check(scope, receive, send):
        async def stop(after):
            await after()
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(stop, functools.partial(anyio.sleep, 0))
            await stop(receive)
            await anyio.sleep_forever()
        return group.cancel_scope.cancel_called

    assert await checked(http, check) == [True] * 4


@pytest.mark.parametrize("delay", [0, 0.01])
async def test_anyio_scopes_of_the_first_step_time_out(http, delay):
    async def check(scope, receive, send):
        with anyio.move_on_after(delay) as move_on:
            await anyio.sleep_forever()
        with pytest.raises(TimeoutError), anyio.fail_after(delay):
            await anyio.sleep_forever()
        return move_on.cancelled_caught

    assert await checked(http, check) == [True] * 4


async def test_anyio_scopes_can_be_shielded_and_nested(http):
    async def check(scope, receive, send):
        steps = []
        with anyio.CancelScope() as outer:
            outer.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0)
                steps.append("shielded")
            await anyio.sleep(0)
            steps.append("not reached")
        return steps

    assert await checked(http, check) == [["shielded"]] * 4


async def test_anyio_knows_its_task(http):
    async def check(scope, receive, send):
        before = anyio.get_current_task().id
        await anyio.sleep(0)
        return before == anyio.get_current_task().id

    assert await checked(http, check) == [True] * 4


async def test_anyio_threads_can_call_back(http):
    async def check(scope, receive, send):
        def work():
            return anyio.from_thread.run(content_of, receive)

        return await anyio.to_thread.run_sync(work)

    assert await checked(http, check) == [b""] * 4


async def test_anyio_streams_and_events_connect_tasks(http):
    async def check(scope, receive, send):
        sender, receiver = anyio.create_memory_object_stream[int](0)
        event = anyio.Event()

        async def produce():
            async with sender:
                for number in range(3):
                    await sender.send(number)
            event.set()

        async with receiver, anyio.create_task_group() as group:
            group.start_soon(produce)
            numbers = [number async for number in receiver]
            await event.wait()
        return numbers

    assert await checked(http, check) == [[0, 1, 2]] * 4


async def test_a_failure_in_an_anyio_group_is_500_and_logged(http, caplog):
    async def app(scope, receive, send):
        async def fail():
            raise KeyError("child")

        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            await anyio.sleep_forever()

    probe = Probe(app)
    async with talking(probe, http=http) as client:
        await client.send(get())
        assert (await client.response()).status == 500
        assert isinstance(await probe.end(), ExceptionGroup)
    assert "KeyError: 'child'" in caplog.text
