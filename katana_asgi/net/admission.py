"""Who may connect: how many connections a worker keeps, in all and for one address.

When connections run short, those that have waited longest for a request are closed to make
room, then those that were answered longest ago and only wait for their peers to close. Where
there is neither, the newcomer is turned away; it is never left unanswered.
"""

from __future__ import annotations

import os
import sys
from ipaddress import IPv6Address, ip_address
from operator import attrgetter, itemgetter
from time import monotonic, thread_time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from katana_asgi.net.clock import Clock, Watched

__all__ = ["Admission", "free_descriptors"]

SHARE: Final = 0.9
"""Of the descriptors that are free at the start: the rest is the application's."""

PAUSE: Final = 20
"""Wait 20 times as long as a fruitless search took, so searching costs at most 5 % of the loop."""

CHEAP: Final = 0.002
"""Seconds that a search may take without a pause behind it: among few connections it is cheap."""

UNLIMITED: Final = 2**31

ROOM: Final = 100
"""Close one in so many, 1 %, per search, because each search visits every connection."""

LEAVING: Final = 20
"""One in so many may be on its way out, besides all that stay, before the first of them has to
go at once: peers that take their last bytes slowly must not use up the descriptors."""

TURNED_AWAY: Final = 256
"""Newcomers that are told at a time that there are too many connections, where the limit is far
below the descriptors: also a small service should refuse nobody without a word."""

_idle_since: Final = attrgetter("idle_since")
_answered_since: Final = attrgetter("answered_since")


def free_descriptors() -> int:
    """How many descriptors this process may open besides those it has."""
    if sys.platform == "win32":
        return UNLIMITED
    from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit

    soft, _ = getrlimit(RLIMIT_NOFILE)
    if soft == RLIM_INFINITY:
        return UNLIMITED
    return max(1, soft - len(os.listdir("/dev/fd")))


class Admission:
    """Counts the connections of one worker.

    ``most`` of them in all, 0 for a share of the descriptors; ``most_per_client`` for one
    client address, 0 for no limit. Addresses that are ``exempt`` do not count.
    """

    __slots__ = (
        "_clock",
        "_exempt",
        "_leaving",
        "_most_leaving",
        "_search_at",
        "at_all",
        "clients",
        "entered",
        "most",
        "most_per_client",
    )

    def __init__(
        self, clock: Clock, most: int, most_per_client: int, exempt: Callable[[str], bool]
    ) -> None:
        self._clock = clock
        free = free_descriptors()
        self.most = most or max(1, int(free * SHARE))
        # Those that are turned away stay for a moment, to be told; some of them at a time. Where
        # there are descriptors to spare these are many, and as many again before one is not told.
        spare = max(0, min(TURNED_AWAY, (free - self.most) // 4))
        self._most_leaving = max(self.most // LEAVING, spare) + 1
        self.at_all = self.most + self._most_leaving + (spare if most else 0)
        self.most_per_client = most_per_client
        self._exempt = exempt
        self._leaving: list[Watched] = []  # closed or turned away, not yet gone
        self._search_at = 0.0  # when to look for idle connections again, after finding none
        self.clients: dict[str, int] = {}  # connections by client
        self.entered: dict[Watched, str] = {}  # the client of each connection

    @property
    def counts_clients(self) -> bool:
        """Whether ``enters`` and ``left`` are of interest."""
        return self.most_per_client > 0

    def has_room(self) -> bool:
        """Whether one connection more may be kept; makes room for it where it can.

        Only worth a call where the clock watches ``most`` connections already.
        """
        watched = self._clock.watched
        leaving = self._leaving = [each for each in self._leaving if each in watched]
        for each in leaving[: -self._most_leaving]:
            each.abort()
        if len(watched) - len(leaving) < self.most:
            return True
        now = monotonic()
        if now < self._search_at:
            return False
        begin = thread_time()  # what others do on this machine meanwhile is no part of it
        found = self._longest(_idle_since)
        for each in found:
            each.shutdown()
        if not found:
            found = self._longest(_answered_since)
            for each in found:
                each.abort()
        if not found:
            spent = thread_time() - begin
            if spent > CHEAP:
                self._search_at = now + PAUSE * spent
        leaving += found
        return bool(found)

    def _longest(self, since_of: Callable[[Watched], float | None]) -> list[Watched]:
        """One in ``ROOM`` connections: those for which ``since_of`` is the longest ago."""
        staying = self._clock.watched.difference(self._leaving)
        found = [(since, each) for each in staying if (since := since_of(each)) is not None]
        found.sort(key=itemgetter(0))
        return [each for _, each in found[: self.most // ROOM + 1]]

    def admits(
        self, connection: Watched, client: tuple[str, int] | None, *, full: bool
    ) -> bool | None:
        """Whether a connection stays; ``None``: it does not, and is too much even to be told.

        ``full``: there are too many in all.
        """
        excess = 0
        if self.counts_clients and client is not None:
            excess = self.enters(connection, client[0])
        if excess <= 0 and not full:
            return True
        return False if excess <= self.most_per_client and self.turns_away(connection) else None

    def turns_away(self, connection: Watched) -> bool:
        """A connection does not stay; returns whether it can be told, or there are too many."""
        if len(self._clock.watched) > self.at_all:
            return False
        self._leaving.append(connection)
        return True

    def enters(self, connection: Watched, client: str) -> int:
        """Count a connection from ``client``; returns by how many these are too many."""
        group = _group(client)
        self.entered[connection] = group
        count = self.clients[group] = self.clients.get(group, 0) + 1
        return 0 if self._exempt(client) else count - self.most_per_client

    def passes_on(self, before: Watched, after: Watched) -> None:
        """A connection is another object from now on, as after an upgrade."""
        group = self.entered.pop(before, None)
        if group is not None:
            self.entered[after] = group

    def left(self, connection: Watched) -> None:
        """A connection has gone."""
        group = self.entered.pop(connection, None)
        if group is None:
            return
        count = self.clients[group] - 1
        if count:
            self.clients[group] = count
        else:
            del self.clients[group]


def _group(client: str) -> str:
    """Who counts as one client: an IPv4 address, or the /64 of an IPv6 address (one subscriber)."""
    if ":" not in client:
        return client
    address = ip_address(client.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return address.exploded[:19]
