"""One stored response: how old it is, and what it answers a request with (RFC 9111 §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from katana_asgi.bounded import content_weight
from katana_asgi.cache.request import CONDITIONAL
from katana_asgi.http.codings import accepted_codings
from katana_asgi.http.conditional import failed_precondition, if_range_holds
from katana_asgi.http.dates import parse_http_date
from katana_asgi.http.ranges import content_range, select_spans, unsatisfied_range

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from katana_asgi.cache.policy import Terms
    from katana_asgi.cache.request import CacheRequest
    from katana_asgi.http.message import Field

__all__ = ["CachedAnswer", "StoredResponse", "merged_fields"]

_OF_304: Final = frozenset(
    {
        b"cache-control",
        b"cdn-cache-control",
        b"content-location",
        b"date",
        b"etag",
        b"expires",
        b"last-modified",
        b"vary",
    }
)
"""What a 304 says (RFC 9110 §15.4.5); Last-Modified for clients that know no tags."""

_NOT_UPDATED: Final = frozenset(
    {b"content-encoding", b"content-length", b"content-range", b"content-type"}
)
"""What a 304 does not change, because it describes the stored content (RFC 9111 §3.2)."""

_CODINGS: Final = (b"br", b"zstd", b"gzip", b"deflate")
"""Content codings by which Accept-Encoding is told apart; all others it may name are not in use."""

_OVERHEAD: Final = 3072
"""Bytes of an entry besides its content and its fields: objects, dictionaries, queues, and what
the protocol versions make of it."""

_PER_FIELD: Final = 224
"""Bytes of a field's two objects and their places in a list and a tuple."""

_PER_WORD: Final = 128
"""Bytes of a tag, or of a member of the variant, besides its text."""

_COPIES: Final = 5
"""Of a field's text: itself, and for each protocol version its rendered form and the head."""


class CachedAnswer:
    """A response that needs no application: status, fields and whole content.

    The answer to a plain request is the same object for as long as its Age is the same, so
    nothing in it may be changed, but ``rendered`` is free for what a connection makes of it.
    """

    __slots__ = ("content", "fields", "rendered", "status")

    def __init__(self, status: int, fields: list[Field], content: bytes) -> None:
        self.status = status
        self.fields = fields
        self.content = content
        self.rendered: Any = None


class StoredResponse:
    """A response with its terms; times are on the monotonic clock."""

    __slots__ = (
        "_born",
        "_coding",
        "_variant",
        "_whole",
        "_whole_age",
        "content",
        "etag",
        "fields",
        "modified",
        "status",
        "tags",
        "terms",
        "weight",
    )

    def __init__(
        self,
        request: CacheRequest,
        status: int,
        fields: list[Field],
        content: bytes,
        terms: Terms,
        stored_at: float,
        tags: frozenset[bytes] = frozenset(),
    ) -> None:
        known = dict(fields)
        self.status = status
        self.fields = fields
        self.content = content
        self.terms = terms
        self._born = stored_at - terms.age
        self._whole: CachedAnswer | None = None
        self._whole_age = -1
        self.tags = tags
        self.etag = known.get(b"etag", b"")
        self.modified = parse_http_date(known.get(b"last-modified", b""))
        self._coding = known.get(b"content-encoding", b"").lower()
        self._variant = tuple([(name, request.fields.get(name)) for name in terms.vary])
        text = sum(len(name) + len(value) for name, value in fields)
        words = [*tags, *(value for _, value in self._variant if value is not None)]
        self.weight = (
            _OVERHEAD
            + content_weight(len(content))
            + text * _COPIES
            + len(fields) * _PER_FIELD
            + sum(map(len, words))
            + (len(tags) + len(self._variant)) * _PER_WORD
            + len(request.key)
        )

    def matches(self, request: CacheRequest) -> bool:
        """Whether it was selected by what the request says too (RFC 9111 §4.1)."""
        if not self._variant:
            return True
        return self._fits(request.fields)

    def same_variant(self, other: StoredResponse) -> bool:
        """Whether both would answer the same requests."""
        fields = dict(other._variant)
        return self.terms.vary == other.terms.vary and self._fits(fields)

    def _fits(self, fields: Mapping[bytes, bytes | None]) -> bool:
        """Whether the fields that Vary names say what those of its own request said."""
        for name, value in self._variant:
            given = fields.get(name)
            if given == value:
                continue
            if name != b"accept-encoding" or given is None or value is None:
                return False
            # However it is spelt: else each spelling, and each coding that a client invents,
            # would be a variant.
            liked = accepted_codings(given, _CODINGS)
            if self._coding and self._coding not in liked:
                return False
            if liked != accepted_codings(value, _CODINGS):
                return False
        return True

    def age(self, now: float) -> int:
        """Seconds on the monotonic clock since the response was made, as far as is known."""
        return int(now - self._born)

    def serves(self, request: CacheRequest) -> bool:
        """Whether it may answer this request at all."""
        return self.terms.shared or not request.private

    def is_fresh(self, request: CacheRequest, now: float) -> bool:
        """Whether it answers the request as it is."""
        age = self.age(now)
        if request.accepts_age(age, self.terms.lifetime):
            return True
        return not self.terms.strict and request.accepts_stale(age, self.terms.lifetime)

    def may_revalidate_later(self, request: CacheRequest, now: float) -> bool:
        """Whether it answers while a fresh one is fetched (RFC 5861 §3)."""
        stale_for = self.age(now) - self.terms.lifetime
        return not request.demanding and 0 <= stale_for < self.terms.while_revalidate

    def may_replace_error(self, now: float) -> bool:
        """Whether it answers instead of an error (RFC 5861 §4)."""
        return self.age(now) - self.terms.lifetime < self.terms.if_error

    def validators(self) -> list[Field]:
        """The fields of a request that asks whether it is still right (RFC 9111 §4.3.1)."""
        fields = []
        if self.etag:
            fields.append((b"if-none-match", self.etag))
        if self.modified is not None:
            fields.append((b"if-modified-since", dict(self.fields)[b"last-modified"]))
        return fields

    def answer(self, request: CacheRequest, now: float, wall: float) -> CachedAnswer:
        """What the request gets: all of it, a part, or 304 and 412 by its conditions."""
        seconds = self.age(now)
        if request.plain:
            whole = self._whole
            if whole is None or seconds != self._whole_age:
                fields = [*self.fields, (b"age", b"%d" % seconds)]
                whole = self._whole = CachedAnswer(self.status, fields, self.content)
                self._whole_age = seconds
            return whole
        age = (b"age", b"%d" % seconds)
        status, fields, content = self.status, self.fields, self.content
        if status == 200 and request.conditional:
            conditions = [
                (name, value) for name, value in request.fields.items() if name in CONDITIONAL
            ]
            failed = failed_precondition(request.method, conditions, self.etag, self.modified)
            if failed == 304:
                kept = [field for field in fields if field[0] in _OF_304]
                return CachedAnswer(304, [*kept, age], b"")
            if failed:
                return CachedAnswer(412, [age, (b"content-length", b"0")], b"")
            if b"range" in request.fields and not request.head:
                return self._part(request, age, wall)
        return CachedAnswer(status, [*fields, age], b"" if request.head else content)

    def _part(self, request: CacheRequest, age: Field, wall: float) -> CachedAnswer:
        """One part; several are not worth it, so their request gets the whole."""
        whole = CachedAnswer(self.status, [*self.fields, age], self.content)
        condition = request.fields.get(b"if-range")
        if condition is not None and not if_range_holds(condition, self.etag, self.modified, wall):
            return whole
        length = len(self.content)
        spans = select_spans(request.fields[b"range"], length)
        if spans is None or len(spans) > 1:
            return whole
        if not spans:
            refusal = [(b"content-range", unsatisfied_range(length)), (b"content-length", b"0")]
            return CachedAnswer(416, [*refusal, age], b"")
        part = self.content[spans[0].first : spans[0].end]
        fields = [field for field in self.fields if field[0] != b"content-length"]
        fields.append((b"content-range", content_range(spans[0], length)))
        fields.append((b"content-length", b"%d" % len(part)))
        return CachedAnswer(206, [*fields, age], part)


def merged_fields(stored: Iterable[Field], update: Iterable[Field]) -> list[Field]:
    """The fields of a stored response, brought up to date by those of a 304."""
    new = [field for field in update if field[0] not in _NOT_UPDATED]
    names = {name for name, _ in new}
    return [*[field for field in stored if field[0] not in names], *new]
