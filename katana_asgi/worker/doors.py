"""How connections get into a worker: plain or through TLS, or only to be sent on to https."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from katana_asgi.net.backlog import backlog_for
from katana_asgi.net.listener import bound_unsent, listen
from katana_asgi.net.redirect_sockets import redirect_socket
from katana_asgi.net.tls_listener import Arrival, Arrivals, TlsListener
from katana_asgi.net.tls_proxied import ProxiedArrival
from katana_asgi.routes.redirect import redirect_to_https
from katana_asgi.worker.switchboard import Switchboard

if TYPE_CHECKING:
    import socket

    from katana_asgi.asgi.context import WorkerContext
    from katana_asgi.config.model import Config
    from katana_asgi.net.proxy_header import ConnectionFactory
    from katana_asgi.net.tls import Tls
    from katana_asgi.worker.balancing import Balancer

__all__ = ["Listener", "hsts_field", "listen_for_redirects", "open_door"]

HSTS: Final = "strict-transport-security"


class Listener(Protocol):
    """What accepts connections."""

    def close(self) -> None:
        """Accept no more."""


async def open_door(
    config: Config,
    context: WorkerContext,
    factory: ConnectionFactory,
    sock: socket.socket,
    tls: Tls | None,
    balanced: tuple[Balancer, int] | None = None,
) -> Listener:
    """Accept connections from a bound socket, through TLS where there is ``tls``.

    ``balanced`` is what may pass them on to other workers, and the number of the place.
    """
    bound_unsent(sock)
    if tls is None:
        if balanced is None:
            return await listen(context.loop, factory, sock, config.backlog)
        make = balanced[0].factory(balanced[1], factory)
        # One at a time: the next one is placed when this one counts.
        return await listen(context.loop, make, sock, config.backlog, at_once=1)
    arrivals = Arrivals(
        context.loop,
        tls.context,
        context.clock,
        context.admission,
        context.connection_closed,
        config.ssl_handshake_timeout,
        config.ssl_shutdown_timeout,
    )
    arrive = ProxiedArrival if config.proxy_protocol else Arrival
    backlog = backlog_for(sock, config.backlog)
    if balanced is None:
        return TlsListener(arrivals, factory, sock, backlog, arrive)
    balancer, number = balanced
    listener = TlsListener(arrivals, factory, sock, backlog, arrive, balancer.diverter(number))
    balancer.take_with(number, listener.take)
    return listener


async def listen_for_redirects(
    config: Config, context: WorkerContext, port: int
) -> tuple[Listener, socket.socket]:
    """Accept plain HTTP where ``redirect_bind`` says, and send it on to ``port``.

    Raises ``StartupError`` where the address cannot be bound.
    """
    switchboard = Switchboard(
        config,
        context,
        redirect=redirect_to_https(port),
        without=frozenset({HSTS.encode()}),  # RFC 6797 §7.2: not over plain HTTP
    )
    factory = switchboard.factory(False, "http")
    sock = redirect_socket(config)
    return await listen(context.loop, factory, sock, config.backlog), sock


def hsts_field(config: Config) -> list[tuple[str, str]]:
    """The field of every response that has come over TLS, where ``hsts`` asks for one."""
    return [(HSTS, config.hsts)] if config.hsts else []
