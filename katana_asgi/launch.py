"""From a checked configuration to a running service, and to its exit status."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING

from katana_asgi.errors import StartupError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from katana_asgi.config.model import Config

__all__ = ["launch"]


def launch(config: Config) -> int:
    """Serve in this process, or with more than one worker under a supervisor.

    Returns the exit status of the service. Raises ``ConfigurationError`` for certificates that
    cannot be used, and nothing else for what a user can get wrong.
    """
    # Imported here: a supervisor has no use for an event loop, one worker none for a supervisor.
    if config.workers > 1 or config.reload:
        from katana_asgi.observe.logs import configure_logging
        from katana_asgi.supervisor.reload import ReloadSupervisor
        from katana_asgi.supervisor.supervisor import Supervisor

        configure_logging(config)
        try:
            with _shared(config):
                return (ReloadSupervisor if config.reload else Supervisor)(config).run()
        except StartupError as error:
            logging.getLogger("katana_asgi.error").error("%s", error)
            return error.status
    from katana_asgi.worker.worker import run_worker

    return run_worker(config)


def _shared(config: Config) -> AbstractContextManager[None]:
    """What all workers of a service share besides its sockets."""
    if config.scheme == "http":
        return nullcontext()
    from katana_asgi.net.tls_prepared import prepared

    return prepared(config)
