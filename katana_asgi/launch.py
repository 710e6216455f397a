"""From a checked configuration to a running service, and to its exit status."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from katana_asgi.errors import StartupError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from katana_asgi.config.model import Config

__all__ = ["launch"]

NO_METRICS: Final = (
    "setting admin_bind: needs prometheus_client; use pip install 'katana-asgi[metrics]'"
)
"""Said by the supervisor itself: its first worker would have to fail for it."""


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
        if config.admin_bind and find_spec("prometheus_client") is None:
            logging.getLogger("katana_asgi.error").error("%s", NO_METRICS)
            return 2
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
