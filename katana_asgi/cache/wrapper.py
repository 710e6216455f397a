"""An application around the application that answers from the cache where it can.

::

    request ── not GET or HEAD ──────────────── call ── success invalidates
       │
       ├─ fresh ─────────────────────────────── answer
       ├─ stale, may be served meanwhile ────── answer, refresh in the background
       ├─ another request fetches it ────────── wait for it, at most ``lock_timeout``
       └─ call, with the validators of what is stale
             ├─ 304 ─────────────────────────── answer from the store, fresh again
             ├─ error, stale may replace it ─── answer from the store
             └─ pass on, store where the application allows it
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from katana_asgi.cache.flights import Outcome
from katana_asgi.cache.invalidation import Invalidation, publish
from katana_asgi.cache.recorder import Recorder
from katana_asgi.cache.request import CONDITIONAL, CacheRequest, cache_key, note_outcome
from katana_asgi.cache.stored import CachedAnswer

if TYPE_CHECKING:
    from katana_asgi.asgi_types import ASGIApplication, Message, Receive, Scope, Send
    from katana_asgi.cache.response_cache import ResponseCache
    from katana_asgi.cache.stored import StoredResponse
    from katana_asgi.http.message import Field

__all__ = ["Cached"]

logger = logging.getLogger("katana_asgi.error")

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110 §9.2.1

_MOST_REFRESHES: Final = 8
"""Background calls at a time, against a burst of stale keys that starves requests."""

_MOST_OTHERS: Final = 2
"""Variants that a request waits for which turn out to be for others, against a long queue."""


class Cached:
    """An application whose storable responses are stored in ``cache``."""

    def __init__(self, application: ASGIApplication, cache: ResponseCache) -> None:
        self._application = application
        self._cache = cache
        self.refreshing: dict[bytes, asyncio.Task[None]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, from the cache or by a call of the application."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            self.close()
            return
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        request = CacheRequest.of(scope)
        if not request.readable:
            note_outcome(scope, "bypass")
            await self._pass(scope, receive, send, request)
            return
        answer = self._cache.answer(request)
        if answer is not None:
            note_outcome(scope, "hit")
            await _send_answer(send, answer)
            return
        stale = self._cache.store.find(request)
        now = self._cache.monotonic()
        if (
            stale is not None
            and stale.may_revalidate_later(request, now)
            and not request.unkeyed  # it must not choose what others get
        ):
            self._cache.counts.stale_hits += 1
            note_outcome(scope, "stale")
            self._refresh(scope, request, stale)
            await self._send_stored(send, stale, request, "hit; detail=stale-while-revalidate")
        elif b"only-if-cached" in request.directives:  # RFC 9111 §5.2.1.7
            note_outcome(scope, "miss")
            await _send_answer(send, CachedAnswer(504, [(b"content-length", b"0")], b""))
        else:
            await self._fetch(scope, receive, send, request, stale)

    def close(self) -> None:
        """End the calls in the background."""
        for task in self.refreshing.values():
            task.cancel()

    async def _pass(
        self, scope: Scope, receive: Receive, send: Send, request: CacheRequest
    ) -> None:
        """Let the application answer; an unsafe method that succeeds invalidates."""
        self._cache.counts.bypassed += 1
        unsafe = request.method not in _SAFE
        bypass = "fwd=method" if request.method not in ("GET", "HEAD") else "fwd=bypass"

        async def passing(message: Message) -> None:
            if message["type"] == "http.response.start":
                if unsafe and 200 <= message["status"] < 400:
                    _invalidate_after(request, message.get("headers", ()))
                field = self._cache.status_field(bypass)
                if field:
                    message = {**message, "headers": [*message.get("headers", ()), *field]}
            await send(message)

        await self._application(scope, receive, passing)

    async def _fetch(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        request: CacheRequest,
        stale: StoredResponse | None,
    ) -> None:
        """Answer by another request's response, or make the call."""
        cache = self._cache
        answer, leads = await self._collapse(request, shareable=_is_shareable(request, stale))
        if answer is not None:
            cache.counts.collapsed += 1
            note_outcome(scope, "collapsed")
            await _send_answer(send, answer)
            return
        stale = cache.store.find(request)
        note_outcome(scope, "miss")
        asked = scope
        validators = []
        if stale is not None and not request.head and not request.unkeyed:
            validators = stale.validators()
        if validators:
            scope = {**scope, "headers": _with_validators(scope["headers"], validators)}
        cache.counts.misses += 1
        # What a client's own condition brings may be less than the others wait for.
        leads = leads and (bool(validators) or not request.conditional)
        flight = cache.flights.begin(request.key, leads=leads)
        recorder = Recorder(
            cache,
            request,
            flight,
            send,
            stale,
            self._reason(request, stale),
            validating=bool(validators),
        )
        await self._call(scope, receive, recorder, flight)
        if recorder.answer is not None:
            detail, outcome = "hit; detail=validated", "revalidated"
            if recorder.answer is stale:
                cache.counts.stale_hits += 1
                detail, outcome = "hit; detail=stale-if-error", "stale"
            note_outcome(asked, outcome)
            await self._send_stored(send, recorder.answer, request, detail)

    async def _collapse(
        self, request: CacheRequest, *, shareable: bool
    ) -> tuple[CachedAnswer | None, bool]:
        """The answer that another request's call brought, or whether to lead a call."""
        cache = self._cache
        deadline = cache.monotonic() + cache.lock_timeout
        others = 0
        while shareable and not cache.store.passes(request.key):
            leader = cache.flights.leader(request.key)
            if leader is None:
                return None, True
            outcome = await leader.wait(deadline - cache.monotonic())
            answer = cache.answer(request, "hit; collapsed")
            if answer is not None:
                return answer, False
            if outcome is Outcome.STORED and others < _MOST_OTHERS:
                others += 1  # it was stored for requests that say something else
            elif outcome is not Outcome.VANISHED:
                break  # too slow, or not storable
        return None, False

    async def _call(self, scope: Scope, receive: Receive, recorder: Recorder, flight: Any) -> None:
        try:
            await self._application(scope, receive, recorder.send)
        except Exception as error:
            if recorder.failed():
                logger.error(
                    "Exception in ASGI application; a stale response replaces it", exc_info=error
                )
            else:
                raise
        finally:
            self._cache.flights.end(flight)

    def _refresh(self, scope: Scope, request: CacheRequest, stale: StoredResponse) -> None:
        """Fetch in the background what a stale response was served for."""
        key = request.key
        if key in self.refreshing or len(self.refreshing) >= _MOST_REFRESHES:
            return
        headers = _with_validators(scope["headers"], stale.validators())
        scope = {**scope, "method": "GET", "headers": headers}
        plain = CacheRequest.of(scope)
        self.refreshing[key] = asyncio.create_task(self._refreshed(scope, plain, stale))

    async def _refreshed(self, scope: Scope, request: CacheRequest, stale: StoredResponse) -> None:
        cache = self._cache
        flight = cache.flights.begin(request.key, leads=False)
        recorder = Recorder(
            cache, request, flight, _to_no_one, stale, "", validating=bool(stale.validators())
        )
        try:
            await self._application(scope, _receive_nothing(), recorder.send)
            cache.counts.refreshed += 1
        except Exception as error:
            logger.error("Exception in ASGI application, refreshing the cache", exc_info=error)
        finally:
            cache.flights.end(flight)
            del self.refreshing[request.key]

    def _reason(self, request: CacheRequest, stale: StoredResponse | None) -> str:
        if request.unkeyed:
            return "fwd=bypass"
        if stale is not None:
            return "fwd=request" if request.demanding else "fwd=stale"
        return "fwd=vary-miss" if self._cache.store.has_variants(request.key) else "fwd=uri-miss"

    async def _send_stored(
        self, send: Send, stored: StoredResponse, request: CacheRequest, detail: str
    ) -> None:
        now = self._cache.monotonic()
        answer = stored.answer(request, now, self._cache.wall())
        await _send_answer(send, self._cache.with_status(answer, detail))


def _is_shareable(request: CacheRequest, stale: StoredResponse | None) -> bool:
    """Whether one call may answer this request and others."""
    if request.head or request.unkeyed:
        return False
    return not request.private or stale is not None  # what is stale was found to be for all


async def _send_answer(send: Send, answer: CachedAnswer) -> None:
    fields = answer.fields.copy()  # what receives a message may change it
    await send({"type": "http.response.start", "status": answer.status, "headers": fields})
    await send({"type": "http.response.body", "body": answer.content, "more_body": False})


async def _to_no_one(message: Message) -> None:
    """What a call in the background sends."""


def _receive_nothing() -> Receive:
    """A request without content whose client stays."""
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not messages:
            await asyncio.get_running_loop().create_future()
        return messages.pop()

    return receive


def _with_validators(headers: Any, validators: list[Field]) -> list[Field]:
    """The cache's own conditions in place of the client's, which are for what it has stored."""
    kept = [field for field in headers if field[0] not in CONDITIONAL and field[0] != b"range"]
    return [*kept, *validators]


def _invalidate_after(request: CacheRequest, fields: Any) -> None:
    """RFC 9111 §4.4: the target, and what a response of the same origin names."""
    keys = {request.key}
    origin = cache_key(request.scheme, request.host, b"", b"")
    for name, value in fields:
        if name.lower() in (b"location", b"content-location"):
            keys.add(_resolved(value, origin, request.key))
    for key in keys:
        if key.startswith(origin + b"/"):
            publish(Invalidation("key", key))


def _resolved(reference: bytes, origin: bytes, base: bytes) -> bytes:
    """The key of what a response points to."""
    from urllib.parse import urljoin  # only for what such a response points to

    try:
        joined = urljoin(base.decode("latin-1"), reference.decode("latin-1"))
    except ValueError:
        return base
    scheme, _, rest = joined.partition("#")[0].partition("://")
    host, slash, target = rest.partition("/")
    path, _, query = target.partition("?")
    return cache_key(
        scheme, host.encode("latin-1"), (slash + path).encode("latin-1"), query.encode("latin-1")
    )
