"""Responses as header blocks: what does not change is encoded once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from katana_asgi.codec import encode_fields
from katana_asgi.codec.hpack import NAME_CODES, encode_status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from katana_asgi.http.default_fields import DefaultFields
    from katana_asgi.http.message import Field, ResponseFields
    from katana_asgi.http.refusal import Refusal
    from katana_asgi.routes.static import StaticResponse

__all__ = ["DefaultBlocks", "field_block", "refusal_block", "response_block", "static_block"]

ROOM: Final = "http2"

_CONNECTION_SPECIFIC: Final = frozenset({b"connection", b"upgrade"})
"""Fields of refusals that HTTP/2 does not have (RFC 9113 §8.2.2)."""

_CONTENT_LENGTH: Final = NAME_CODES[b"content-length"]
_SIZES: Final = [bytes((size,)) for size in range(24)]
"""Of a number's digits, as RFC 7541 §5.2 has them."""


class HeaderBlock(bytes):
    """Encoded response fields; the type tells them from what another version has kept."""

    __slots__ = ()


class DefaultBlocks:
    """The default fields, encoded once a second; one per worker and kind of listener.

    ``variants`` are the blocks by what the application has sent itself (``ResponseFields.own``),
    another object each time the fields change.
    """

    __slots__ = ("_fields", "_without", "variants")

    def __init__(self, fields: DefaultFields, without: frozenset[bytes] = frozenset()) -> None:
        self._fields = fields
        self._without = without
        self._refresh()
        fields.listeners.append(self._refresh)

    def _refresh(self) -> None:
        self.variants = tuple(
            [field_block(self._fields.pairs(own, self._without)) for own in range(4)]
        )

    def without(self, names: frozenset[bytes]) -> bytes:
        """The block but for the fields named."""
        return field_block(self._fields.pairs(0, self._without | names))


def field_block(fields: Iterable[Field]) -> bytes:
    """A block of fields only."""
    return encode_fields(fields, NAME_CODES)


def response_block(
    status: int, fields: ResponseFields, length: int | None, defaults: DefaultBlocks
) -> bytes:
    """The block of an application's response; ``length`` is announced where it is given."""
    wire = fields.wire
    if type(wire) is not HeaderBlock:
        wire = fields.wire = HeaderBlock(encode_fields(fields.pairs, NAME_CODES))
    last = defaults.variants[fields.own]
    if length is None:
        return b"".join((encode_status(status), wire, last))
    digits = b"%d" % length
    return b"".join(
        (encode_status(status), _CONTENT_LENGTH, _SIZES[len(digits)], digits, wire, last)
    )


def refusal_block(refusal: Refusal, defaults: DefaultBlocks) -> bytes:
    """The block of a response of the server's own."""
    pairs = [pair for pair in refusal.pairs if pair[0] not in _CONNECTION_SPECIFIC]
    return encode_status(refusal.status) + field_block(pairs) + defaults.variants[0]


class _Rendered:
    """What was made of one static response; the part that never changes is kept apart."""

    __slots__ = ("first", "stamp", "whole")

    def __init__(self, response: StaticResponse) -> None:
        self.first = encode_status(response.status) + field_block(response.pairs)
        self.stamp: object = None  # the default blocks that ``whole`` was made with
        self.whole = b""


def static_block(response: StaticResponse, defaults: DefaultBlocks) -> bytes:
    """The block of a static response."""
    rendered: _Rendered | None = response.rendered.get(ROOM)
    if rendered is None:
        rendered = response.rendered[ROOM] = _Rendered(response)
    if rendered.stamp is not defaults.variants:
        rendered.stamp = defaults.variants
        own = response.own
        last = defaults.without(own) if own else defaults.variants[0]
        rendered.whole = rendered.first + last
    return rendered.whole
