"""Listens to what the application sends, passes it on, and keeps what may be stored.

Nothing is delayed: each message goes on when it comes. What turns out too large, incomplete
or not storable is dropped, and those who wait for it are told so at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from katana_asgi.cache.flights import Outcome
from katana_asgi.cache.policy import REASONS_OF_REQUEST, Terms, storage_terms, stored_fields
from katana_asgi.cache.stored import StoredResponse, merged_fields
from katana_asgi.codec import check_fields
from katana_asgi.http.dates import http_date
from katana_asgi.http.status import NO_CONTENT

if TYPE_CHECKING:
    from katana_asgi.asgi_types import Message, Send
    from katana_asgi.cache.flights import Flight
    from katana_asgi.cache.request import CacheRequest
    from katana_asgi.cache.response_cache import ResponseCache
    from katana_asgi.http.message import Field

__all__ = ["Recorder"]

_TAG_FIELDS: Final = (b"cache-tag", b"surrogate-key")

_ERRORS: Final = frozenset({500, 502, 503, 504})  # RFC 5861 §4

_PASS_FOR: Final = 120.0
"""Seconds for which requests do not wait for each other after a response that cannot be stored."""

_PASS_AFTER_ERROR: Final = 1.0

_PASSED_ON: Final = frozenset({"http.response.early_hint", "http.response.debug"})


class Recorder:
    """One call of the application, for one request that no stored response answered.

    ``stale`` is what the call may confirm (304) or what may replace its error; ``answer`` then
    says so, and what the application sends goes nowhere.
    """

    __slots__ = (
        "_cache",
        "_content",
        "_detail",
        "_fields",
        "_flight",
        "_request",
        "_send",
        "_size",
        "_started",
        "_status",
        "_terms",
        "_validating",
        "answer",
        "client_left",
        "stale",
        "started",
    )

    def __init__(
        self,
        cache: ResponseCache,
        request: CacheRequest,
        flight: Flight,
        send: Send,
        stale: StoredResponse | None,
        detail: str,
        *,
        validating: bool,
    ) -> None:
        self._cache = cache
        self._request = request
        self._flight = flight
        self._send = send
        self._detail = detail
        self._validating = validating
        self._started = cache.monotonic()
        self._terms: Terms | None = None
        self._status = 0
        self._fields: list[Field] = []
        self._content: list[bytes] = []
        self._size = 0
        self.stale = stale
        self.answer: StoredResponse | None = None
        self.started = False
        self.client_left = False

    async def send(self, message: Message) -> None:
        """Take one message of the application."""
        if self.answer is not None:
            return
        kind = message["type"]
        if kind == "http.response.start" and not self.started:
            await self._start(message)
        elif kind == "http.response.body" and self.started:
            await self._body(message)
        else:
            if kind not in _PASSED_ON:
                self._give_up(_PASS_FOR)
            await self._forward(message)

    async def _start(self, message: Message) -> None:
        status = message["status"]
        fields = _checked(message.get("headers", ()))
        stale = self.stale
        if stale is not None and status == 304 and self._validating:
            self._confirm(stale, fields)
            return
        if stale is not None and status in _ERRORS and stale.may_replace_error(self._now()):
            self.answer = stale
            self._give_up(_PASS_AFTER_ERROR)
            return
        self.started = True
        terms = self._terms_of(status, fields, trailers=message.get("trailers", False))
        stored = ""
        if isinstance(terms, Terms):
            self._terms = terms
            self._status = status
            self._fields = fields
            stored = "; stored"
        else:
            self._unstorable(status, terms)
        shown = [field for field in fields if field[0] not in _TAG_FIELDS]
        shown += self._cache.status_field(f"{self._detail}; fwd-status={status}{stored}")
        await self._forward({**message, "headers": shown})

    def _terms_of(self, status: int, fields: list[Field], *, trailers: bool) -> Terms | str:
        if trailers:
            return "trailers"
        if self._request.unkeyed or self._request.head:
            return "request"
        delay = self._now() - self._started
        return storage_terms(self._request, status, fields, self._cache.wall(), delay)

    def _unstorable(self, status: int, reason: str) -> None:
        """Let the others go: their requests need calls of their own."""
        partial = self._request.conditional and not self._validating
        if partial or reason in REASONS_OF_REQUEST:
            # This says nothing about other requests for the same key.
            self._cache.flights.release(self._flight, Outcome.VANISHED)
            return
        if self.stale is not None and status < 500:
            self._cache.store.discard(self._request.key, self.stale)
        self._give_up(_PASS_AFTER_ERROR if status >= 500 else _PASS_FOR)

    def _confirm(self, stale: StoredResponse, fields: list[Field]) -> None:
        """The stored response is still right: RFC 9111 §4.3.4."""
        update = stored_fields(fields)
        if not any(name == b"date" for name, _ in update):
            update.append((b"date", http_date(self._cache.wall())))
        merged = merged_fields(stale.fields, update)
        terms = storage_terms(
            self._request, stale.status, merged, self._cache.wall(), self._now() - self._started
        )
        tags = _tags(fields) or stale.tags
        kept = terms if isinstance(terms, Terms) else stale.terms._replace(lifetime=0, age=0)
        fresh = StoredResponse(
            self._request, stale.status, merged, stale.content, kept, self._now(), tags
        )
        self._cache.store.discard(self._request.key, stale)
        outcome = Outcome.NOT_STORABLE
        if isinstance(terms, Terms) and not self._flight.spoiled:
            self._cache.store.add(self._request.key, fresh)
            outcome = Outcome.STORED
        self.answer = fresh
        self._cache.flights.release(self._flight, outcome)

    async def _body(self, message: Message) -> None:
        more = message.get("more_body", False)
        if self._terms is not None:
            body = message.get("body", b"")
            self._size += len(body)
            if self._size > self._cache.most_of_one:
                self._give_up(_PASS_FOR)
            elif body:
                self._content.append(bytes(body))
            if not more and self._terms is not None:
                self._keep(self._terms)  # before the client, which may be slow, has all of it
        await self._forward(message)

    def _keep(self, terms: Terms) -> None:
        content = b"".join(self._content)
        fields = [field for field in stored_fields(self._fields) if field[0] not in _TAG_FIELDS]
        known = dict(fields)
        promised = known.get(b"content-length")
        if self._status in NO_CONTENT:
            # What came with it all the same would be taken for the next response.
            content = b""
            fields = [field for field in fields if field[0] != b"content-length"]
        elif promised is None:
            fields.append((b"content-length", b"%d" % len(content)))
        elif promised != b"%d" % len(content):
            self._give_up(_PASS_AFTER_ERROR)
            return
        if b"date" not in known:
            # The first response's, as all others were made of it; Age says the rest.
            fields.append((b"date", http_date(self._cache.wall())))
        response = StoredResponse(
            self._request, self._status, fields, content, terms, self._now(), _tags(self._fields)
        )
        self._terms = None
        if self._flight.spoiled or not self._cache.store.add(self._request.key, response):
            self._cache.flights.release(self._flight, Outcome.NOT_STORABLE)
            return
        self._cache.counts.stored += 1
        self._cache.flights.release(self._flight, Outcome.STORED)

    def _give_up(self, pass_for: float) -> None:
        """Do not store what comes, and let others make calls of their own."""
        self._terms = None
        self._content.clear()
        self._cache.store.pass_for(self._request.key, pass_for)
        self._cache.flights.release(self._flight, Outcome.NOT_STORABLE)

    async def _forward(self, message: Message) -> None:
        if self.client_left:
            return
        try:
            await self._send(message)
        except OSError:
            if self._terms is None:
                raise
            self.client_left = True  # the response is still worth its completion

    def failed(self) -> bool:
        """The application raised: whether a stored response stands in for its answer."""
        stale = self.stale
        self._give_up(_PASS_AFTER_ERROR)
        if self.started or stale is None or not stale.may_replace_error(self._now()):
            return False
        self.answer = stale
        return True

    def _now(self) -> float:
        return self._cache.monotonic()


def _checked(headers: Any) -> list[Field]:
    """The fields as a server sends them, which raises ``LocalProtocolError`` as a server does.

    It does not see what a refresh or a validation brings, and what is stored is sent as it is.
    """
    given = list(headers)
    check_fields(given)
    fields = []
    lengths = 0
    for name, value in given:
        lowered = name.lower()
        lengths += lowered == b"content-length"
        if lowered != b"content-length" or lengths == 1:  # if there are more, they are equal
            fields.append((lowered, value.strip(b" \t")))
    return fields


def _tags(fields: Any) -> frozenset[bytes]:
    """The words of Cache-Tag, separated by commas, and of Surrogate-Key, by spaces."""
    return frozenset(
        word
        for name, value in fields
        if name in _TAG_FIELDS
        for word in value.replace(b",", b" ").split()
    )
