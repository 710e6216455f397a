"""What is answered before the application is called, whatever the protocol version.

In this order: static routes, small files that are in memory, stored responses. It stands where a
table of static routes alone would, and answers with the same kind of response. Whatever it leaves
(files to be read, responses to be fetched) is left to the wrappers around the application, which
ask the same files and the same cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from katana_asgi.cache.response_cache import ResponseCache
from katana_asgi.files.table import FileTable
from katana_asgi.routes.static import StaticResponse
from katana_asgi.routes.table import RouteTable

if TYPE_CHECKING:
    from katana_asgi.cache.stored import CachedAnswer
    from katana_asgi.config.model import Config
    from katana_asgi.files.response import FileResponse
    from katana_asgi.http.message import RequestHead
    from katana_asgi.routes.variants import Variants

__all__ = ["Answers", "cached_response", "file_response", "routes_of"]

_OWN: Final = frozenset({b"date", b"server"})
"""Default fields that a response may replace."""


class Answers:
    """The files and the response cache of a worker, beside its static routes."""

    __slots__ = ("_at_once", "_routes", "_scheme", "cache", "files")

    def __init__(self, config: Config) -> None:
        self.files = FileTable(config.static_dir) if config.static_dir else None
        self.cache: ResponseCache | None = None
        if config.cache:
            self.cache = ResponseCache(
                config.cache,
                most_of_one=config.cache_max_object,
                lock_timeout=config.cache_lock_timeout,
                status_field=config.cache_status,
            )
        self._routes: RouteTable | None = None
        # What these add to each response, or see of each request, is around the application; and a
        # root path is part of the path that files and cache know.
        self._at_once = not (
            config.otel
            or config.root_path
            or config.server_timing
            or config.request_id != "off"
            or config.log_level == "trace"
        )
        # Where a PROXY header may change the scheme of single connections, it is not known here.
        self._scheme = "" if config.proxy_protocol else config.scheme

    @classmethod
    def of(cls, config: Config) -> Self | None:
        """The files and the cache that the settings ask for; ``None`` where they ask for none."""
        return cls(config) if config.static_dir or config.cache else None

    def find(self, head: RequestHead) -> Variants | Answers | None:
        """What may answer the path of ``head``."""
        if self._routes is not None:
            found = self._routes.find(head)
            if found is not None:
                return found
        return self if self._at_once else None

    def match(self, head: RequestHead, *, simple: bool) -> StaticResponse | None:
        """The response to ``head``, or ``None`` where the application has to be called."""
        found = self.find(head)
        return None if found is None else found.respond(head, simple=simple)

    def respond(self, head: RequestHead, *, simple: bool) -> StaticResponse | None:
        """The response of a file or of the cache; ``simple`` as for static routes."""
        if not simple or head.method not in ("GET", "HEAD"):
            return None
        if self.files is not None:
            found = self.files.find(head.raw_path)
            if found is not None:
                mount, rest = found
                response = mount.remembered(head.method, rest, head.fields)
                return None if response is None else file_response(response)
        # What proxies say of a request is part of its key: its scope has that.
        if self.cache is None or head.forwarded or not self._scheme:
            return None
        answer = self.cache.lookup(
            head.method, self._scheme, head.raw_path, head.query, head.fields
        )
        return None if answer is None else cached_response(answer)

    def add_routes(self, routes: RouteTable) -> None:
        """The static routes, which come first."""
        self._routes = routes if routes else None


def routes_of(config: Config, answers: Answers | None) -> RouteTable | Answers | None:
    """What answers without the application; ``None`` where nothing does."""
    routes = RouteTable.from_config(config)
    if answers is None:
        return routes if routes else None
    answers.add_routes(routes)
    return answers


def file_response(response: FileResponse) -> StaticResponse:
    """The same response, made once for one that is shared."""
    made: StaticResponse | None = response.rendered
    if made is None:
        own = _OWN.intersection([name for name, _ in response.fields])
        content = response.content
        assert isinstance(content, bytes)  # noqa: S101 - it is in memory
        made = StaticResponse(response.status, tuple(response.fields), content, own, lasting=False)
        response.rendered = made
    return made


def cached_response(answer: CachedAnswer) -> StaticResponse:
    """The same answer, made once."""
    made: StaticResponse | None = answer.rendered
    if made is None:
        own = _OWN.intersection([name for name, _ in answer.fields])
        made = StaticResponse(
            answer.status, tuple(answer.fields), answer.content, own, lasting=False, cache="hit"
        )
        answer.rendered = made
    return made
