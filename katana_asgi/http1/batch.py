"""Static responses to requests that came in one read, to leave in one write.

A client that pipelines tends to send the same requests again: a connection remembers the last
read that was answered this way, and its whole answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from katana_asgi.http.message import RequestHead
    from katana_asgi.routes.static import CachedResponse

__all__ = ["Batch"]


class Batch:
    """Responses in the order of their requests."""

    __slots__ = ("_data", "_stamp", "answers", "heads", "size", "whole")

    def __init__(self) -> None:
        self.heads: list[RequestHead] = []
        self.answers: list[CachedResponse] = []
        self._stamp: bytes | None = None
        self._data = b""
        self.size = 0  # bytes of the answers
        self.whole = True  # it has the answers to everything that came in the read

    def add(self, head: RequestHead, answer: CachedResponse) -> None:
        """Put a response behind the others."""
        self.heads.append(head)
        self.answers.append(answer)
        self.size += len(answer.data)

    def render(self, default_fields: bytes) -> bytes:
        """All responses, with these default fields; kept until the fields change."""
        if self._stamp is not default_fields:
            for answer in self.answers:
                if answer.stamp is not default_fields:
                    answer.refresh(default_fields)
            self._data = b"".join([answer.data for answer in self.answers])
            self._stamp = default_fields
        return self._data
