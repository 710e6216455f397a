"""Which kind of connection a listener makes: what settings ask for, and nothing besides.

Chosen once per listener, so that no request tests for what is not asked for.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from katana_asgi.http1.connection import Http1Connection
from katana_asgi.http1.counted import CountedConnection
from katana_asgi.http1.measured import MeasuredConnection
from katana_asgi.http1.proxied import ProxiedConnection
from katana_asgi.net.proxy_header import ProxyHeaderReader

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.asgi.scope import Endpoint
    from katana_asgi.http1.settings import Http1Settings
    from katana_asgi.net.proxy_protocol import Origin
    from katana_asgi.observe.metrics import WorkerMetrics

__all__ = ["after_a_header", "connection_factory"]


def connection_factory(
    context: WorkerContext,
    settings: Http1Settings,
    server: Endpoint | bool,
    metrics: WorkerMetrics | None,
) -> Callable[[], asyncio.Protocol]:
    """A factory of connections to ``server``; ``False``: to what their sockets say."""
    plain: Callable[..., Http1Connection]
    proxied: Callable[..., Http1Connection]
    if metrics is not None:
        plain = proxied = partial(MeasuredConnection, metrics)
    else:
        plain = CountedConnection if settings.limit_keep_alive_requests else Http1Connection
        proxied = ProxiedConnection
    scheme = context.scheme
    if settings.proxy_trusts is None:
        return partial(plain, context, settings, server, scheme)
    return after_a_header(
        context,
        settings,
        partial(plain, context, settings, False, scheme),
        partial(proxied, context, settings, False, scheme),
    )


def after_a_header(
    context: WorkerContext,
    settings: Http1Settings,
    plain: Callable[[], Http1Connection],
    proxied: Callable[[], Http1Connection],
) -> Callable[[], asyncio.Protocol]:
    """A factory of protocols that read a PROXY header first, where the peer is trusted.

    ``plain`` and ``proxied`` make the connections of peers without a header and with one.
    """
    trusts = settings.proxy_trusts
    assert trusts is not None  # noqa: S101 - the caller has looked

    def successor(origin: Origin | None) -> asyncio.Protocol:
        if origin is None:
            return plain()
        connection = proxied()
        connection.take_origin(origin)
        return connection

    return partial(
        ProxyHeaderReader,
        context.clock,
        settings.timeout_proxy_header,
        trusts,
        successor,
        context.connection_closed,
    )
