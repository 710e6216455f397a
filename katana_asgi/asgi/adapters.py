"""Applications of other interfaces as ASGI 3 applications (setting ``interface``)."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

from katana_asgi.errors import StartupError

if TYPE_CHECKING:
    from katana_asgi.asgi_types import ASGIApplication, Receive, Scope, Send

__all__ = ["adapt"]


def adapt(application: Any, interface: str) -> ASGIApplication:
    """Make ``application`` an ASGI 3 callable.

    ``interface`` "auto" tells the interfaces apart by how many arguments a call takes: three
    (ASGI 3), one (ASGI 2) or two (WSGI).

    Raises ``StartupError`` for WSGI where the package a2wsgi is not installed.
    """
    if interface == "auto":
        interface = _detect(application)
    if interface == "asgi2":
        return _asgi2(application)
    if interface == "wsgi":
        return _wsgi(application)
    adapted: ASGIApplication = application  # the user says it is one
    return adapted


def _detect(application: Any) -> str:
    try:
        parameters = inspect.signature(application).parameters.values()
    except (TypeError, ValueError):
        return "asgi3"
    positional = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    required = sum(parameter.default is parameter.empty for parameter in positional)
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return "asgi3"
    if required == 1 and len(positional) < 3:
        return "asgi2"
    if required == 2 and len(positional) == 2:
        return "wsgi"
    return "asgi3"


def _asgi2(application: Any) -> ASGIApplication:
    async def asgi3(scope: Scope, receive: Receive, send: Send) -> None:
        await application(scope)(receive, send)

    return asgi3


def _wsgi(application: Any) -> ASGIApplication:
    try:
        from a2wsgi import WSGIMiddleware
    except ImportError:
        raise StartupError(
            "interface wsgi needs the package a2wsgi: pip install 'katana-asgi[wsgi]'"
        ) from None
    adapted: Any = WSGIMiddleware(application)  # its types name the messages one by one
    return cast("ASGIApplication", adapted)
