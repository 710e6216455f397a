"""``Lifespan`` by itself: what it sends, what it keeps, how it ends."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from katana_asgi.asgi.lifespan import Lifespan
from katana_asgi.errors import StartupError
from tests.support import within

variable: ContextVar[str] = ContextVar("variable", default="unset")


async def polite(scope, receive, send):
    assert (await receive())["type"] == "lifespan.startup"
    scope["state"]["started"] = True
    variable.set("startup")
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    scope["state"]["stopped"] = True
    await send({"type": "lifespan.shutdown.complete"})


@pytest.mark.parametrize("mode", ["auto", "on"])
async def test_startup_and_shutdown_run_in_one_task_with_one_state(mode):
    lifespan = Lifespan(polite, mode)
    await within(lifespan.startup())
    assert lifespan.state == {"started": True}
    assert lifespan.variables[variable] == "startup"
    assert variable.get() == "unset"
    await within(lifespan.shutdown())
    assert lifespan.state == {"started": True, "stopped": True}


async def test_variables_set_after_startup_are_no_part_of_it():
    async def late(scope, receive, send):
        await receive()
        variable.set("in time")
        await send({"type": "lifespan.startup.complete"})
        variable.set("too late")
        await receive()

    lifespan = Lifespan(late, "on")
    await within(lifespan.startup())
    assert lifespan.variables[variable] == "in time"
    await within(lifespan.shutdown())


async def test_startup_may_be_completed_from_a_child_task():
    async def nested(scope, receive, send):
        await receive()
        variable.set("parent")
        await asyncio.create_task(send({"type": "lifespan.startup.complete"}))
        await receive()

    lifespan = Lifespan(nested, "on")
    await within(lifespan.startup())
    assert lifespan.variables[variable] == "parent"
    await within(lifespan.shutdown())


async def test_mode_off_does_nothing():
    async def app(scope, receive, send):
        raise AssertionError("not to be called")

    lifespan = Lifespan(app, "off")
    await lifespan.startup()
    await lifespan.shutdown()
    assert lifespan.state == {}


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(1), KeyboardInterrupt()])
async def test_whatever_is_raised_is_no_support_in_mode_auto_and_a_failure_in_mode_on(error):
    async def app(scope, receive, send):
        raise error

    lifespan = Lifespan(app, "auto")
    await within(lifespan.startup())
    await within(lifespan.shutdown())
    with pytest.raises(StartupError) as raised:
        await within(Lifespan(app, "on").startup())
    assert raised.value.status == 3


@pytest.mark.parametrize("mode", ["auto", "on"])
async def test_a_failure_that_is_announced_counts_in_both_modes(mode):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(StartupError, match="no database"):
        await within(Lifespan(app, mode).startup())


async def test_shutdown_before_startup_is_nothing():
    await within(Lifespan(polite, "auto").shutdown())


async def test_shutdown_waits_for_the_application_to_return():
    order = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        await asyncio.sleep(0)
        order.append("returned")

    lifespan = Lifespan(app, "on")
    await within(lifespan.startup())
    await within(lifespan.shutdown())
    assert order == ["returned"]


async def test_cancel_gives_up_on_an_application_that_stays():
    ended = asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    lifespan = Lifespan(app, "on")
    await within(lifespan.startup())
    lifespan.cancel()
    await within(ended.wait())
    await within(lifespan.shutdown())


@pytest.mark.parametrize(
    ("when", "said"), [("startup", True), ("shutdown", True), ("startup", False)]
)
async def test_an_exception_that_the_application_has_reported_is_not_reported_again(
    when, said, caplog
):
    """Starlette sends the traceback as the message, and then raises."""

    async def reporting(scope, receive, send):
        await receive()
        if when == "shutdown":
            await send({"type": "lifespan.startup.complete"})
            await receive()
        message = "Traceback: ...\nRuntimeError: no database" if said else "no"
        await send({"type": f"lifespan.{when}.failed", "message": message})
        raise RuntimeError("no database")

    lifespan = Lifespan(reporting, "auto")
    if when == "startup":
        with pytest.raises(StartupError):
            await within(lifespan.startup())
    else:
        await within(lifespan.startup())
    await within(lifespan.shutdown())
    assert any(each.exc_info for each in caplog.records) is not said
