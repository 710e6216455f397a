"""The requests of the benchmarks: as different as they say, the same in each run, and valid."""

from __future__ import annotations

import json

import h11
import pytest

from benchmarks.inside import CASES, CONNECTIONS, Case, serving
from benchmarks.messages import DIFFERENT, ORDER, REQUESTS

DIFFERING = sorted(name for name, request in REQUESTS.items() if not request.repeats)
BALANCED = ("proxied", "item", "proxied-static", "api")


def parsed(data: bytes) -> tuple[h11.Request, bytes]:
    """Return the one request that h11 finds, and its content."""
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(data)
    request = peer.next_event()
    assert isinstance(request, h11.Request)
    content = b""
    while isinstance(event := peer.next_event(), h11.Data):
        content += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert peer.trailing_data == (b"", False)
    return request, content


def fields_of(data: bytes) -> list[bytes]:
    """Return the field lines of a request."""
    return data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]


@pytest.mark.parametrize("name", [name for name in sorted(REQUESTS) if name != "pipelined"])
def test_every_request_is_valid(name: str) -> None:
    for data in REQUESTS[name].some()[::40]:
        request, content = parsed(data)
        names = [field for field, _ in request.headers]
        assert len(names) == len(set(names))
        assert bool(content) == (request.method == b"POST")


def test_requests_differ_where_they_say_so() -> None:
    assert set(DIFFERING) == {
        *("api", "browsing", "item", "proxied", "proxied-static", "varied"),
    }
    for name in DIFFERING:
        requests = REQUESTS[name].some()
        assert len(set(requests)) == len(requests) == DIFFERENT


@pytest.mark.parametrize("name", [*BALANCED, "varied"])
def test_at_least_a_third_of_the_fields_is_new_in_each_request(name: str) -> None:
    seen: set[bytes] = set()
    for data in REQUESTS[name].some():
        lines = fields_of(data)
        new = [line for line in lines if line not in seen]
        assert len(new) * 3 >= len(lines), data
        seen.update(new)


def test_a_balancer_sends_nineteen_fields_and_forwards_client_scheme_and_port() -> None:
    clients = set()
    for data in REQUESTS["proxied"].some():
        lines = fields_of(data)
        assert len(lines) >= 19
        named = dict(line.split(b": ", 1) for line in lines)
        assert named[b"X-Forwarded-Proto"] == b"https"
        assert named[b"X-Forwarded-Port"] == b"443"
        clients.add(named[b"X-Forwarded-For"])
    assert len(clients) > DIFFERENT * 0.99
    assert any(b":" in each for each in clients)
    assert any(b"." in each for each in clients)


def test_an_order_is_json_of_its_length_past_two_proxies_with_a_token() -> None:
    for data in REQUESTS["api"].some(100):
        request, content = parsed(data)
        assert len(content) == ORDER
        assert json.loads(content)["items"]
        fields = dict(request.headers)
        assert fields[b"x-forwarded-for"].count(b",") == 1
        assert fields[b"authorization"].startswith(b"Bearer ")


@pytest.mark.parametrize("name", DIFFERING)
def test_requests_are_the_same_in_each_run(name: str) -> None:
    assert REQUESTS[name].some(30) == REQUESTS[name].some(90)[:30]
    assert REQUESTS[name].first() == REQUESTS[name].some(1)[0]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_request_of_a_case_in_memory_is_answered(case: Case) -> None:
    count = CONNECTIONS + 3
    for inside in serving(**case.settings):
        case.check(case.send(inside, 0, count), count)
        case.check(case.send(inside, DIFFERENT - 1, count), count)
        logged = inside.log.read_bytes().count(b"\n")
        assert logged == (2 * count if "access_log" in case.settings else 0)
    reads = case.reads(0, count)
    assert (len(set(reads)) == 1) == REQUESTS[case.request].repeats
