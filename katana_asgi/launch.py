"""From a checked configuration to a running service, and to its exit status."""

from __future__ import annotations

import logging
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from katana_asgi.config.extras import check_extras
from katana_asgi.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from katana_asgi.config.model import Config

__all__ = ["launch", "refuse_in_loop"]


def launch(config: Config, reload: Callable[[], Config] | None = None) -> int:
    """Serve in this process, or with more than one worker under a supervisor.

    ``reload`` reads the settings again, where that can be done. Returns the exit status of the
    service. Raises ``ConfigurationError`` for certificates that cannot be used and for a library
    that is missing, and nothing else for what a user can get wrong.
    """
    check_extras(config)
    if config.ssl_certfile is not None:
        from katana_asgi.net.certificates import certificate_notes

        config = config.replace(notes=(*config.notes, *certificate_notes(config)))
    # Imported here: a supervisor has no use for an event loop, one worker none for a supervisor.
    from katana_asgi.observe.logs import configure_logging, log_notes
    from katana_asgi.supervisor import identity

    # What takes the place of a supervisor is one, whatever the settings have become.
    supervised = config.workers > 1 or config.supervise or config.reload or identity.is_successor()
    try:
        identity.check_descriptors()
        if not supervised:
            identity.prepare_process(config)
            return _serve_alone(config)
        from katana_asgi.supervisor.reload import ReloadSupervisor
        from katana_asgi.supervisor.supervisor import Supervisor

        # Made before anything else: a supervisor notes the directory it was started in.
        supervisor = (
            ReloadSupervisor(config) if config.reload else Supervisor(config, reload=reload)
        )
        identity.prepare_process(config)
        configure_logging(config, forget=True)  # in that directory
        log_notes(config)
        with _shared(config):
            return supervisor.run()
    except StartupError as error:
        configure_logging(config)
        logging.getLogger("katana_asgi.error").error("%s", error)
        return error.status


def refuse_in_loop() -> None:
    """Raise ``RuntimeError`` where an event loop is running, which a service cannot wait for.

    Called by ``run``; a worker that imports a module which calls ``run`` has such a loop.
    """
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    caller = sys._getframe(2)
    name = caller.f_globals.get("__name__")
    if caller.f_code.co_name == "<module>" and name != "__main__":
        raise RuntimeError(
            f"run() was called while {name} was imported; put the call below "
            "if __name__ == '__main__':"
        )
    raise RuntimeError(
        "run() cannot be called from a running event loop; use await katana_asgi.serve(app)"
    )


def _shared(config: Config) -> AbstractContextManager[None]:
    """What all workers of a service share besides its sockets."""
    if config.scheme == "http":
        return nullcontext()
    from katana_asgi.net.tls_prepared import prepared

    return prepared(config)


def _serve_alone(config: Config) -> int:
    from katana_asgi.net.sockets import bind_sockets, remove_unix_socket
    from katana_asgi.supervisor import identity
    from katana_asgi.worker.worker import run_worker

    sockets = None
    if config.user or config.group or config.pid_file:
        # A low port needs the privileges that are given up before the application comes, and
        # a second instance by mistake must not take the PID file.
        sockets = bind_sockets(config, 1)
    try:
        identity.write_pid_file(config.pid_file)
        identity.become(config)
        identity.set_title("server", config)
        identity.bind_to_cpu(1, config)
        return run_worker(config, sockets)
    finally:
        for sock in sockets or ():
            remove_unix_socket(sock)
        identity.remove_pid_file(config.pid_file)
