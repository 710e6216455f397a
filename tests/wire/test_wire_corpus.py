"""Every case of the wire corpus, on every back end, whole and in pieces.

A connection that must stay open proves it by serving one more request; one that must close
is read to its end, so an answer too many or a request too many cannot hide.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import pytest_asyncio
from corpus import CASES, Case, Seen, Step, variants
from peer import Peer
from recorder import Recorder, Request

from katana_asgi import StaticRoute
from katana_asgi.testing import running
from tests.http1.reads import BACK_ENDS
from tests.support import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from answers import Answer

AT_ONCE = 40
"""Connections open at the same time; more would only fill the accept queue."""

SETTINGS: dict[str, Any] = {
    "lifespan": "off",
    "http2": "off",  # the corpus is HTTP/1.1: the preface of HTTP/2 is one of its cases
    "proxy_headers": False,  # the client's port tells the connections apart
    "static_route": (StaticRoute(path="/static", body="static"),),
}

PROBE = b"GET /probe HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"


class WireServer(NamedTuple):
    """The server under test and what its application saw."""

    host: str
    port: int
    recorder: Recorder


class Outcome(NamedTuple):
    """What one connection came to."""

    answers: list[Answer]
    continues: int
    rest: bytes
    ended: bool
    reset: bool
    requests: list[Request]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire_servers() -> AsyncIterator[dict[str, WireServer]]:
    """One server for each back end, and for the whole module."""
    async with AsyncExitStack() as stack:
        servers = {}
        for back_end in BACK_ENDS:
            recorder = Recorder()
            server = await stack.enter_async_context(running(recorder, http=back_end, **SETTINGS))
            servers[back_end] = WireServer(server.host, server.port, recorder)
        yield servers


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_case_comes_out_right_whole_and_in_any_pieces_on_every_back_end(
    wire_servers: dict[str, WireServer], case: Case
) -> None:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(back_end: str, steps: tuple[Step, ...]) -> None:
        try:
            async with places:
                outcome = await play(wire_servers[back_end], case, steps)
            check(case, outcome)
        except AssertionError as error:
            error.add_note(f"on {back_end}, cut as {[_shown(step) for step in steps]}")
            raise

    async with asyncio.TaskGroup() as group:
        for back_end in wire_servers:
            for steps in (case.chunks, *variants(case)):
                group.create_task(one(back_end, steps))


def _shown(step: Step) -> Step:
    return step if isinstance(step, int) else step[:200]


def test_corpus_is_large_and_its_names_are_unique() -> None:
    names = Counter(case.name for case in CASES)
    assert [name for name, count in names.items() if count > 1] == []
    assert len(CASES) >= 1000


async def play(server: WireServer, case: Case, steps: tuple[Step, ...]) -> Outcome:
    """Run one connection to its end and tell what came of it."""
    peer = await Peer.connect(server.host, server.port)
    port = peer.port
    server.recorder.taken(port)
    try:
        async with asyncio.timeout(TIMEOUT):
            await peer.send(steps)
            if case.eof:
                peer.end()
            await finish(peer, case)
        ended = peer.ended
    except TimeoutError:
        raise AssertionError(f"stalled after {peer.data!r}") from None
    finally:
        peer.transport.abort()
    for _ in range(3):  # a request too many would start now
        await asyncio.sleep(0)
    answers, rest = peer.answers()
    final = [answer for answer in answers if answer.status >= 200]
    requests = server.recorder.taken(port)
    return Outcome(final, len(answers) - len(final), rest, ended, peer.reset, requests)


async def finish(peer: Peer, case: Case) -> None:
    """Wait for the end that the case asks for, or for the first wrong answer."""
    if case.closed is not True:
        await peer.until(lambda: len(finals(peer)) >= len(case.expect) or astray(peer, case))
    if case.closed is False:
        peer.write(PROBE)
    elif case.closed is None and not case.eof:
        peer.end()
    await peer.until(lambda: astray(peer, case))


def finals(peer: Peer) -> list[int]:
    """The statuses of the final answers so far."""
    return [answer.status for answer in peer.answers()[0] if answer.status >= 200]


def astray(peer: Peer, case: Case) -> bool:
    """Whether an answer so far is wrong: there is nothing more to wait for."""
    pairs = zip(finals(peer), case.expect, strict=False)
    return any(status not in allowed for status, allowed in pairs)


def check(case: Case, outcome: Outcome) -> None:
    """Compare what came of a case with what must."""
    answers, requests = list(outcome.answers), list(outcome.requests)
    seen = [request.scope["raw_path"] for request in requests]
    assert not any(case.never.encode() in path for path in seen), f"never to be seen: {seen}"
    wanted = [sorted(allowed) for allowed in case.expect]
    if case.closed is False:
        wanted.append([200])
    statuses = [answer.status for answer in answers]
    fitting = len(statuses) == len(wanted) and all(map(list.__contains__, wanted, statuses))
    assert fitting, f"wanted {wanted}: {describe(outcome)}"
    if case.closed is False:
        assert seen[-1:] == [b"/probe"], f"not usable any more: {describe(outcome)}"
        answers, requests = answers[:-1], requests[:-1]
    assert outcome.rest == b"", f"left over: {outcome.rest!r}"
    assert outcome.continues <= case.continues, f"{outcome.continues} times 100"
    if case.closed is True and answers and not case.eof:
        assert answers[-1].fields.get(b"connection") == b"close", "closed without saying so"
    assert case.reset or not outcome.reset, "reset: the answer may be lost on its way"
    check_contents(case, answers, requests)
    check_requests(case, requests)


def check_contents(case: Case, answers: list[Answer], requests: list[Request]) -> None:
    """Answers come in the order of their requests, each with its own content."""
    if case.contents is not None:
        assert [answer.content for answer in answers] == list(case.contents)
        return
    ours = [answer for answer in answers if b"x-method" in answer.fields]
    complete = [request for request in requests if request.complete]
    assert [answer.fields[b"x-method"].decode() for answer in ours] == [
        request.scope["method"] for request in complete
    ]
    assert [answer.content.decode() for answer in ours if answer.content] == [
        request.scope["path"] for request in complete if request.scope["method"] != "HEAD"
    ]


def check_requests(case: Case, requests: list[Request]) -> None:
    """The application saw what it must, and nothing of a refused request but its content."""
    complete = [request for request in requests if request.complete]
    broken = len(requests) - len(complete)
    assert broken <= case.late, f"{broken} requests were begun and broke off"
    if case.app is None:
        answered = sum(200 in allowed for allowed in case.expect)
        assert len(complete) <= answered
        return
    assert len(complete) == len(case.app)
    for request, seen in zip(complete, case.app, strict=True):
        assert describe_request(request, seen) == describe_seen(seen)


def describe_request(request: Request, seen: Seen) -> dict[str, Any]:
    """The parts of a request that a case looks at."""
    scope = request.scope
    whole = {
        "method": scope["method"],
        "path": scope["path"],
        "raw_path": scope["raw_path"],
        "query": scope["query_string"],
        "version": scope["http_version"],
        "headers": {
            name: [value for key, value in scope["headers"] if key == name] for name in seen.headers
        },
        "body": request.body,
    }
    return {key: whole[key] for key in describe_seen(seen)}


def describe_seen(seen: Seen) -> dict[str, Any]:
    """The parts of a request that a case names."""
    names = ("method", "path", "raw_path", "query", "version", "headers", "body")
    return {name: getattr(seen, name) for name in names if getattr(seen, name) is not None}


def describe(outcome: Outcome) -> str:
    """A line for a failed assertion."""
    return (
        f"answers {[answer.status for answer in outcome.answers]}, rest {outcome.rest[:80]!r}, "
        f"{'closed' if outcome.ended else 'open'}{' by a reset' if outcome.reset else ''}, "
        f"requests {[request.scope['raw_path'] for request in outcome.requests]}"
    )
