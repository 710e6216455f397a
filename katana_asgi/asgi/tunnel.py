"""Bytes both ways after an upgrade or an extended CONNECT, whatever carries them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ByteStream", "TunnelEnd"]


class ByteStream(Protocol):
    """What a protocol that was upgraded to can do."""

    deadline: float
    """When ``TunnelEnd.deadline_passed`` is due, on the event loop's clock."""

    @property
    def write_paused(self) -> bool:
        """Whether more is buffered than the peer takes: await ``drain()`` before writing more."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def writelines(self, parts: Sequence[bytes]) -> None:
        """Send several pieces at once, without joining them."""

    def pause_reading(self) -> None:
        """Take nothing more from the peer for now."""

    def resume_reading(self) -> None:
        """Take bytes from the peer again."""

    def end_writing(self) -> None:
        """Send what is buffered, then the end; go on reading where that can be had."""

    def close(self) -> None:
        """Send what is buffered, then end the connection."""

    def abort(self) -> None:
        """End the connection at once."""

    async def drain(self) -> None:
        """Wait until the peer takes data again, or has gone."""


class TunnelEnd(Protocol):
    """What hears of the bytes that came through."""

    def bytes_received(self, data: bytes) -> None:
        """The next bytes from the peer."""

    def stream_writable(self) -> None:
        """The peer takes data again, after ``write_paused``."""

    def stream_ended(self) -> None:
        """The peer sends no more."""

    def stream_lost(self) -> None:
        """The connection is gone; comes once, last."""

    def deadline_passed(self) -> None:
        """The stream's ``deadline`` lies in the past; comes at every tick until it is moved."""

    def shutdown(self) -> None:
        """The worker drains: come to an end."""
