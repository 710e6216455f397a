"""The static routes of a worker: from the head of a request to the response that answers it.

Exact paths and remembered values of placeholders share one dictionary, so that most requests,
hit or miss, cost one look-up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from katana_asgi.errors import ConfigurationError
from katana_asgi.routes.cache import RenderedValues
from katana_asgi.routes.definition import Definition
from katana_asgi.routes.files import read_file_route
from katana_asgi.routes.paths import ENCODED_SLASH, as_sent, decoded, parse_path
from katana_asgi.routes.template import Template
from katana_asgi.routes.variants import Variants

if TYPE_CHECKING:
    from collections.abc import Iterable

    from katana_asgi.config.model import Config, StaticRoute
    from katana_asgi.http.message import RequestHead
    from katana_asgi.routes.static import StaticResponse

__all__ = ["RouteTable"]


class RouteTable:
    """All static routes, checked. Raises ``ConfigurationError``.

    A path is matched as sent, or decoded where the target encodes what it need not; exact
    paths come before templates, templates with more literal text in front before others.
    """

    __slots__ = ("_count", "_decoded", "_known", "_rendered", "_templates")

    def __init__(self, routes: Iterable[StaticRoute]) -> None:
        self._known: dict[bytes, Variants] = {}
        self._decoded: dict[str, Variants] = {}
        self._templates: list[Template] = []
        self._count = 0
        for route in routes:
            self._add(route)
            self._count += 1
        self._templates.sort(key=_literal_lengths, reverse=True)
        self._rendered = RenderedValues(self._known)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The table of a configuration; the files of its file routes are read now."""
        from_files = [read_file_route(path, name) for path, name in config.static_file_route]
        return cls([*config.static_route, *from_files])

    def __len__(self) -> int:
        return self._count

    def find(self, head: RequestHead) -> Variants | None:
        """What answers the path of ``head``; ``None`` where the application does."""
        raw_path = head.raw_path
        variants = self._known.get(raw_path)
        if variants is None and (self._templates or len(raw_path) != len(head.path)):
            return self._search(head)  # another spelling, or one of many paths
        return variants

    def match(self, head: RequestHead, *, simple: bool) -> StaticResponse | None:
        """The response to ``head``, or ``None`` where the application has to answer.

        ``simple``: no content follows, and the request asks neither for 100 (Continue) nor for
        an upgrade. Others are the application's, unless an exclusive route refuses their method.
        """
        variants = self.find(head)
        return None if variants is None else variants.respond(head, simple=simple)

    def _search(self, head: RequestHead) -> Variants | None:
        """Look for other spellings of exact paths, then through the templates."""
        raw_path = head.raw_path
        if b"%" in raw_path and ENCODED_SLASH not in raw_path.lower():
            variants = self._decoded.get(head.path)
            if variants is not None:
                return variants
        for template in self._templates:
            content = template.content_for(raw_path)
            if content is not None:
                variants = Variants(template.definition, content)
                self._rendered.add(raw_path, variants, len(content))
                return variants
        return None

    def _add(self, route: StaticRoute) -> None:
        pattern = parse_path(route.path)
        definition = Definition(route)
        if pattern is not None:
            template = Template(definition, pattern)
            for other in self._templates:
                if (other.prefix, other.suffix) == (template.prefix, template.suffix):
                    raise _duplicate(route)
            self._templates.append(template)
            return
        variants = Variants(definition, definition.body)
        plain = decoded(route.path)
        # Some clients send what a URI must not hold, such as "|", as it is.
        spellings = {as_sent(route.path), route.path.encode("utf-8")}
        if plain in self._decoded or not self._known.keys().isdisjoint(spellings):
            raise _duplicate(route)
        self._known.update(dict.fromkeys(spellings, variants))
        if plain is not None:
            self._decoded[plain] = variants


def _literal_lengths(template: Template) -> tuple[int, int]:
    return len(template.prefix), len(template.suffix)


def _duplicate(route: StaticRoute) -> ConfigurationError:
    return ConfigurationError(f"static route {route.path!r}: another route has the same path")
