"""How many connections may be there, and who makes room."""

from __future__ import annotations

import resource
from types import SimpleNamespace

import pytest

from katana_asgi.net import admission as admission_module
from katana_asgi.net.admission import Admission, free_descriptors


class Peer:
    """A connection: idle or answered since a point in time, or busy."""

    def __init__(self, clock, idle_since=None, answered_since=None) -> None:
        self._clock = clock
        self.idle_since = idle_since
        self.answered_since = answered_since
        self.told = False
        self.aborted = False

    def shutdown(self) -> None:
        self.told = True
        self.idle_since = None

    def abort(self) -> None:
        self.aborted = True

    def gone(self) -> None:
        self._clock.watched.discard(self)


@pytest.fixture
def clock():
    return SimpleNamespace(watched=set())


@pytest.fixture
def time(monkeypatch):
    """A hand-set time for the pauses between searches."""
    now = SimpleNamespace(value=1000.0)
    monkeypatch.setattr(admission_module, "monotonic", lambda: now.value)
    monkeypatch.setattr(admission_module, "thread_time", lambda: now.value)
    return now


@pytest.fixture
def few_descriptors(monkeypatch):
    """None to spare beside the connections."""
    monkeypatch.setattr(admission_module, "free_descriptors", lambda: 0)


def admission_of(clock, most, per_client=0, exempt=()) -> Admission:
    return Admission(clock, most, per_client, lambda host: host in exempt)


def come(clock, *idle_since) -> list[Peer]:
    peers = [Peer(clock, since) for since in idle_since]
    clock.watched.update(peers)
    return peers


def test_below_the_limit_there_is_room(clock):
    come(clock, None, None)
    assert admission_of(clock, 3).has_room()


def test_the_one_that_waits_longest_makes_room(clock):
    peers = come(clock, 5.0, 3.0, None, 4.0)
    assert admission_of(clock, 4).has_room()
    assert [peer.told for peer in peers] == [False, True, False, False]


def test_of_many_one_in_a_hundred_makes_room_at_once(clock):
    peers = come(clock, *map(float, range(1000)))
    assert admission_of(clock, 1000).has_room()
    assert [peer.told for peer in peers] == [True] * 11 + [False] * 989


def test_those_that_make_room_count_no_more(clock):
    peers = come(clock, *map(float, range(200)))
    admission = admission_of(clock, 200)
    for _ in range(3):  # three made room at once, none of them is gone yet
        assert admission.has_room()
        come(clock, None)
    assert sum(peer.told for peer in peers) == 3
    assert admission.has_room()
    assert sum(peer.told for peer in peers) == 6


def test_where_nobody_is_idle_there_is_no_room(clock, time):
    peers = come(clock, None, None)
    admission = admission_of(clock, 2)
    assert not admission.has_room()
    peers[0].gone()
    assert admission.has_room()


def test_those_that_are_turned_away_do_not_take_room(clock, time):
    come(clock, None)
    (turned_away,) = come(clock, None)
    admission = admission_of(clock, 2)
    assert admission.turns_away(turned_away)
    assert admission.has_room()


def test_not_all_that_are_turned_away_can_be_told(clock, time, few_descriptors):
    admission = admission_of(clock, 100)
    come(clock, *[None] * 100)
    told = [admission.turns_away(come(clock, None)[0]) for _ in range(20)]
    assert told == [True] * 6 + [False] * 14


def test_with_descriptors_to_spare_also_a_small_limit_tells_many(clock, time, monkeypatch):
    monkeypatch.setattr(admission_module, "free_descriptors", lambda: 2002)
    admission = admission_of(clock, 2)
    come(clock, *[None] * 2)
    told = [admission.turns_away(come(clock, None)[0]) for _ in range(600)]
    assert told == [True] * (2 * 256 + 1) + [False] * (600 - 2 * 256 - 1)


def test_where_nobody_is_idle_the_one_that_was_answered_longest_ago_makes_room(clock):
    answered = [Peer(clock, answered_since=since) for since in (5.0, 3.0, 4.0)]
    clock.watched.update(answered, come(clock, None))
    assert admission_of(clock, 4).has_room()
    assert [peer.aborted for peer in answered] == [False, True, False]


def test_one_that_is_idle_makes_room_before_one_that_was_answered(clock):
    (idle,) = come(clock, 5.0)
    answered = Peer(clock, answered_since=1.0)
    clock.watched.add(answered)
    assert admission_of(clock, 2).has_room()
    assert (idle.told, answered.aborted) == (True, False)


def test_one_that_makes_room_is_not_asked_again(clock, time):
    """A reader of a PROXY header is idle until it is gone, also when it was told to end."""
    (waiting,) = come(clock, 5.0)
    waiting.shutdown = lambda: None
    admission = admission_of(clock, 1)
    assert admission.has_room()
    come(clock, None)
    assert not admission.has_room()


def test_when_too_many_do_not_go_at_once_the_first_of_them_have_to(clock, few_descriptors):
    """Closed connections stay while a peer takes its last bytes: that must not add up."""
    peers = come(clock, *map(float, range(20)))
    admission = admission_of(clock, 20)
    for _ in range(5):
        assert admission.has_room()
        come(clock, None)
    told = [peer for peer in peers if peer.told]
    assert [peer.aborted for peer in told] == [True, True, False, False, False]


def test_a_search_in_vain_is_not_repeated_at_once(clock, time, monkeypatch):
    """However many come, looking for idle connections must not take all the time."""
    searches = 0

    class Busy:
        answered_since = None

        @property
        def idle_since(self):
            nonlocal searches
            searches += 1
            time.value += 0.005

    clock.watched.add(Busy())
    admission = admission_of(clock, 1)
    assert not admission.has_room()
    assert not admission.has_room()
    assert searches == 1
    time.value += 0.1
    assert not admission.has_room()
    assert searches == 2


def test_without_a_setting_it_is_a_share_of_the_free_descriptors(clock):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = free_descriptors()
    assert 0 < free < soft
    assert admission_of(clock, 0).most == int(free * 0.9)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        assert free_descriptors() < 512
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# -- for one client


def test_a_client_has_as_many_as_are_allowed_and_again_when_some_have_gone(clock):
    admission = admission_of(clock, 10, per_client=2)
    first, second, third, fourth = (Peer(clock) for _ in range(4))
    assert admission.enters(first, "192.0.2.1") <= 0
    assert admission.enters(second, "192.0.2.1") <= 0
    assert admission.enters(third, "192.0.2.1") == 1
    assert admission.enters(Peer(clock), "192.0.2.2") <= 0
    admission.left(third)
    admission.left(first)
    assert admission.enters(fourth, "192.0.2.1") <= 0


def test_exempt_clients_never_have_too_many(clock):
    admission = admission_of(clock, 10, per_client=1, exempt=("127.0.0.1",))
    assert [admission.enters(Peer(clock), "127.0.0.1") for _ in range(5)] == [0] * 5


def test_an_upgraded_connection_still_counts_until_it_leaves(clock):
    admission = admission_of(clock, 10, per_client=1)
    before, after = Peer(clock), Peer(clock)
    admission.enters(before, "192.0.2.1")
    admission.passes_on(before, after)
    admission.left(before)
    assert admission.enters(Peer(clock), "192.0.2.1") == 1
    admission.left(after)


def test_a_connection_that_did_not_enter_may_leave(clock):
    admission_of(clock, 10, per_client=1).left(Peer(clock))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::1%eth1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_an_ipv6_client_is_its_network(clock, one, other, same):
    admission = admission_of(clock, 10, per_client=1)
    admission.enters(Peer(clock), one)
    assert (admission.enters(Peer(clock), other) > 0) is same


def test_nothing_is_kept_of_clients_that_have_gone(clock):
    admission = admission_of(clock, 10, per_client=1)
    for number in range(100):
        peer = Peer(clock)
        admission.enters(peer, f"192.0.2.{number}")
        admission.left(peer)
    assert not admission.clients
    assert not admission.entered
