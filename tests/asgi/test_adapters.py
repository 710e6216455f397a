"""Applications of other interfaces, told apart and adapted."""

from __future__ import annotations

import functools
import inspect

import pytest

from katana_asgi.asgi.adapters import adapt


async def asgi3(scope, receive, send):
    await send({"kind": 3})


class Asgi3:
    async def __call__(self, scope, receive, send):
        await send({"kind": 3})

    async def method(self, scope, receive, send):
        await send({"kind": 3})

    @classmethod
    async def of_class(cls, scope, receive, send):
        await send({"kind": 3})


def asgi2(scope):
    async def instance(receive, send):
        await send({"kind": 2})

    return instance


class Asgi2:
    def __init__(self, scope):
        pass

    async def __call__(self, receive, send):
        await send({"kind": 2})


def wsgi(environ, start_response):
    return [b"wsgi"]


async def with_default(scope, receive, send, more=None):
    await send({"kind": 3})


async def with_stars(*arguments, **more):
    await arguments[2]({"kind": 3})


async def kind_of(application) -> int:
    """What the adapted application sends when it is called as ASGI 3."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        raise AssertionError("not to be called")

    await application({"type": "http"}, receive, send)
    return sent[0]["kind"]


@pytest.mark.parametrize(
    "application",
    [
        asgi3,
        Asgi3(),
        Asgi3().method,
        Asgi3.of_class,
        functools.partial(asgi3),
        functools.partial(lambda extra, *rest: asgi3(*rest), 1),
        with_default,
        with_stars,
    ],
)
@pytest.mark.parametrize("interface", ["auto", "asgi3"])
async def test_asgi_3_is_taken_as_it_is(application, interface):
    assert adapt(application, interface) is application
    assert await kind_of(adapt(application, interface)) == 3


@pytest.mark.parametrize("application", [asgi2, Asgi2, functools.partial(asgi2)])
@pytest.mark.parametrize("interface", ["auto", "asgi2"])
async def test_asgi_2_is_called_twice(application, interface):
    assert await kind_of(adapt(application, interface)) == 2


@pytest.mark.parametrize("interface", ["auto", "wsgi"])
def test_wsgi_is_wrapped(interface):
    pytest.importorskip("a2wsgi", reason="the wsgi extra is not installed")
    adapted = adapt(wsgi, interface)
    assert adapted is not wsgi
    assert inspect.iscoroutinefunction(adapted)


async def test_the_user_has_the_last_word():
    assert adapt(asgi2, "asgi3") is asgi2
    assert await kind_of(adapt(lambda *arguments: asgi2(*arguments), "asgi2")) == 2
