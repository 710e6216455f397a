"""Applications of other interfaces as ASGI 3 applications (setting ``interface``)."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

from katana_asgi.asgi.exchange import WANTS_RAISE
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
        from katana_asgi.asgi.wsgi import EndingMiddleware
    except ImportError:
        raise StartupError(
            "interface wsgi needs the package a2wsgi: pip install 'katana-asgi[wsgi]'"
        ) from None
    adapted: Any = EndingMiddleware(application)  # its types name the messages one by one
    return _with_proper_names(cast("ASGIApplication", adapted))


def _with_proper_names(application: ASGIApplication) -> ASGIApplication:
    """Drop the headers whose WSGI variables would be those of other things.

    WSGI names have no hyphens, so ``X_Remote_User`` would be added to what a proxy says in
    X-Remote-User, and ``Content_Length`` be taken for the length. ``Proxy`` would be
    HTTP_PROXY, where many libraries read the proxy for their own requests (CVE-2016-5385).
    """

    async def properly_named(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[WANTS_RAISE] = True  # or a thread that streams would never end
            headers = [
                header
                for header in scope["headers"]
                if b"_" not in header[0] and header[0] != b"proxy"
            ]
            scope = {**scope, "headers": headers}
        await application(scope, receive, send)

    return properly_named
