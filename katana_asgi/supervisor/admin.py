"""The slot of the process that serves the admin listener, as the supervisor sees it.

It starts and is replaced like a worker, hears what workers publish, and ends last, so that it
can say that the service is stopping.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from katana_asgi.net.admin_socket import admin_socket
from katana_asgi.supervisor.slot import Slot
from katana_asgi.worker.channel import ShutdownMode

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection

    from katana_asgi.config.model import Config
    from katana_asgi.supervisor.slot import WorkerProcess
    from katana_asgi.worker.channel import Channel, Message

__all__ = ["AdminSlot"]


def _run_admin(config: Config, sockets: list[socket.socket], channel: Channel) -> int:
    """Imported in the child: the supervisor never has an event loop."""
    from katana_asgi.worker import admin

    return admin.run_admin(config, sockets, channel)


class AdminSlot(Slot):
    """Number 0, one process; ``restarts`` counts the workers that had to be replaced."""

    def __init__(self, config: Config, now: float) -> None:
        """Bind the listener. Raises ``StartupError``."""
        super().__init__(0, [admin_socket(config)], now)
        self.name = "admin process"
        self.entry = _run_admin
        self.restarts = 0

    def pass_on(self, worker: WorkerProcess, message: Message) -> None:
        """Give the snapshot of a worker to the admin process."""
        self._tell(
            {
                "type": "worker",
                "pid": worker.pid,
                "number": worker.slot.number,
                "restarts": self.restarts,
                "snapshot": message.get("snapshot"),
            }
        )

    def ended(self, worker: WorkerProcess) -> None:
        """A worker has ended: it counts no more, what it has counted stays."""
        if worker.slot is not self:
            self._tell({"type": "ended", "pid": worker.pid})

    def stopping(self, processes: Collection[WorkerProcess]) -> None:
        """The service stops; the listener does when ``processes`` are no others than its own."""
        if all(each.slot is self for each in processes):
            for each in processes:
                each.tell_stop(ShutdownMode.PROMPT)
        else:
            self._tell({"type": "stopping"})

    def _tell(self, message: Message) -> None:
        if self.worker is not None:
            self.worker.channel.send(message)
