"""The loop of a worker, and that it ends whatever was left on it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from katana_asgi.errors import StartupError
from katana_asgi.worker.loop import loop_factory, loop_name, run_to_end

FACTORIES = pytest.mark.parametrize("name", ["asyncio", "uvloop"])


@FACTORIES
def test_a_loop_is_made_by_name(name):
    loop = loop_factory(name)()
    assert loop_name(loop) == name
    loop.close()


def test_a_loop_is_made_by_a_factory_of_the_application(tmp_path):
    (tmp_path / "own_loops.py").write_text("from asyncio import SelectorEventLoop as make\n")
    loop = loop_factory("own_loops:make", str(tmp_path))()
    assert type(loop) is asyncio.SelectorEventLoop
    loop.close()
    with pytest.raises(StartupError, match="attribute 'none' not found in 'own_loops'"):
        loop_factory("own_loops:none", str(tmp_path))


@FACTORIES
def test_what_the_work_left_behind_is_ended(name):
    events = []

    async def forgotten():
        try:
            await asyncio.Event().wait()
        finally:
            events.append("task")

    async def numbers():
        try:
            yield 1
        finally:
            events.append("generator")

    async def work():
        generator = numbers()
        await anext(generator)
        kept.append(generator)
        kept.append(asyncio.ensure_future(forgotten()))
        await asyncio.sleep(0)

    kept = []
    run_to_end(work, loop_factory(name))
    assert sorted(events) == ["generator", "task"]


@FACTORIES
def test_a_task_that_does_not_end_is_left_behind_and_named(name, caplog):
    async def stubborn():
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async def work():
        kept.append(asyncio.ensure_future(stubborn()))
        await asyncio.sleep(0)

    kept = []
    run_to_end(work, loop_factory(name))
    assert "stubborn" in caplog.text


@FACTORIES
def test_what_the_work_raises_comes_out(name):
    async def work():
        raise KeyError("from within")

    with pytest.raises(KeyError, match="from within"):
        run_to_end(work, loop_factory(name))
