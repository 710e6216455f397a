"""The load generator against a tiny server, and the framing of responses that it relies on."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from benchmarks.instructions import compare, version
from benchmarks.loadgen import SECOND, ClosedLoop, ConstantRate, Generator, Load, exchange
from benchmarks.loads import Shot, file_of, wrk
from benchmarks.messages import DIFFERENT, REQUESTS, load_requests, save_requests
from benchmarks.processes import core_seconds, descendants, usage
from benchmarks.profile import calls_of
from benchmarks.responses import Framing, fields_of
from benchmarks.scenarios import Generator as Kind

GET = REQUESTS["plain"].first()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


class Answering(asyncio.Protocol):
    """Answers each read; notes how many connections there were and what was asked."""

    def __init__(self, answers: list[bytes], seen: list[bytes]) -> None:
        self.answers = answers
        self.seen = seen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.seen.append(b"")

    def data_received(self, data: bytes) -> None:
        self.seen.append(data)
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        self.transport.write(answer)
        if b"Connection: close" in answer:
            self.transport.close()


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serve the answers in turn (the last again and again); yield the port and what was asked."""
    seen: list[bytes] = []
    left = list(answers)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(left, seen), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], seen


async def generated(load: Load) -> Generator:
    """Run a load beside the server of the test."""
    generator = Generator(load)
    await asyncio.to_thread(generator.run)
    return generator


async def test_a_closed_loop_keeps_its_connections_and_times_every_request() -> None:
    async with answering(ANSWER) as (port, seen):
        load = Load(port=port, messages=[GET], connections=3, seconds=20, requests=60)
        generator = await generated(load)
    assert generator.outcome.errors == {}
    assert generator.outcome.requests == len(generator.samples) >= 60
    assert seen.count(b"") == 3
    assert min(generator.samples) > 0


async def test_churn_opens_a_connection_for_each_request() -> None:
    async with answering(CLOSING) as (port, seen):
        load = Load(port=port, messages=[GET], connections=2, seconds=20, reuse=1, requests=20)
        generator = await generated(load)
    assert generator.outcome.errors == {}
    assert seen.count(b"") >= 20


async def test_a_pool_is_shared_and_replaced() -> None:
    async with answering(ANSWER) as (port, seen):
        load = Load(
            port=port, messages=[GET], connections=2, seconds=20, callers=8, reuse=5, requests=40
        )
        generator = await generated(load)
    assert generator.outcome.errors == {}
    assert seen.count(b"") >= 40 // 5


async def test_requests_that_differ_are_sent_in_turn_and_again() -> None:
    requests = REQUESTS["varied"].some(3)
    async with answering(ANSWER) as (port, seen):
        await generated(Load(port=port, messages=requests, seconds=20, requests=7))
    asked = [data for data in seen if data]
    assert asked[:7] == [*requests, *requests, requests[0]]
    async with answering(ANSWER) as (port, seen):
        await generated(Load(port=port, messages=requests, first=5, seconds=20, requests=2))
    assert [data for data in seen if data][:2] == [requests[2], requests[0]]


async def test_an_open_loop_sends_what_is_due_and_no_more() -> None:
    async with answering(ANSWER) as (port, _):
        load = Load(port=port, messages=[GET], connections=4, seconds=0.2, rate=200)
        generator = await generated(load)
    assert generator.outcome.errors == {}
    assert 0 < len(generator.samples) <= 41


async def test_other_statuses_and_lost_connections_are_errors() -> None:
    refused = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
    cut = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhello"
    async with answering(refused, cut, ANSWER) as (port, _):
        generator = await generated(Load(port=port, messages=[GET], seconds=20, requests=5))
    assert generator.outcome.errors == {"status": 1, "read": 1}


async def test_a_server_that_is_not_there_is_an_error_and_no_endless_loop() -> None:
    async with answering(ANSWER) as (port, _):
        pass
    generator = await generated(Load(port=port, messages=[GET], seconds=0.05, reuse=1))
    assert generator.outcome.errors["connect"] > 0
    assert generator.outcome.requests == 0


async def test_one_exchange_returns_the_whole_response() -> None:
    async with answering(CHUNKED) as (port, _):
        assert await asyncio.to_thread(exchange, port, GET) == CHUNKED


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
async def test_wrk_sends_requests_that_differ_as_they_are_and_reports_what_happened() -> None:
    async with answering(ANSWER) as (port, seen):
        shot = Shot(generator=Kind(connections=2), request=REQUESTS["proxied"], seconds=1)
        turn = await asyncio.to_thread(wrk, shot, port)
    assert turn.errors == {}
    assert turn.requests > 0
    assert turn.latency["p50"] > 0
    assert turn.generator_seconds > 0
    asked = [data for data in seen if data]
    assert set(asked) <= set(REQUESTS["proxied"].some())
    assert len(set(asked)) == min(len(asked), DIFFERENT)


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
async def test_threads_of_wrk_begin_with_different_requests() -> None:
    async with answering(ANSWER) as (port, seen):
        kind = Kind(connections=2, threads=2)
        shot = Shot(generator=kind, request=REQUESTS["proxied"], seconds=1)
        await asyncio.to_thread(wrk, shot, port)
    first, second = [data for data in seen if data][:2]
    assert first != second


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
async def test_wrk_repeats_what_repeats() -> None:
    async with answering(ANSWER) as (port, seen):
        shot = Shot(generator=Kind(connections=1), request=REQUESTS["browser"], seconds=1)
        turn = await asyncio.to_thread(wrk, shot, port)
    assert turn.requests > 0
    assert {data for data in seen if data} == {REQUESTS["browser"].first()}


def test_a_file_of_requests_is_made_once_and_read_as_it_was_written(tmp_path: Path) -> None:
    requests = REQUESTS["api"].some(50)
    save_requests(requests, tmp_path / "requests")
    assert load_requests(tmp_path / "requests") == requests
    assert file_of(REQUESTS["plain"]) is file_of(REQUESTS["plain"])
    assert load_requests(file_of(REQUESTS["plain"])) == [GET]


def test_latency_at_a_constant_rate_counts_from_when_a_request_was_due() -> None:
    arrivals = ConstantRate(1000, start=0)
    # Nothing could be sent for 3.5 ms: the requests of that time are still due at their times.
    late = int(0.0035 * SECOND)
    assert [arrivals.due(late) for _ in range(5)] == [0, 1_000_000, 2_000_000, 3_000_000, None]
    assert arrivals.waiting(int(0.0065 * SECOND)) == 3


def test_callers_of_a_closed_loop_ask_again_only_when_answered() -> None:
    arrivals = ClosedLoop(2, start=5)
    assert [arrivals.due(9) for _ in range(3)] == [5, 5, None]
    arrivals.completed(11)
    assert arrivals.due(12) == 11


@pytest.mark.parametrize("answer", [ANSWER, CLOSING, CHUNKED])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_response_is_whole_with_its_last_byte_however_it_is_split(
    answer: bytes, size: int
) -> None:
    framing = Framing()
    for _ in range(3):
        pieces = [answer[at : at + size] for at in range(0, len(answer), size)]
        assert [framing.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        assert framing.status == 200
        assert framing.closes is (answer is CLOSING)
        framing.reset()


def test_the_end_of_the_connection_ends_a_response_without_framing() -> None:
    framing = Framing()
    assert not framing.feed(b"HTTP/1.1 200 OK\r\n\r\nhel")
    assert not framing.feed(b"lo")
    assert framing.feed(b"")
    assert framing.closes


def test_a_connection_that_ends_early_leaves_no_whole_response() -> None:
    framing = Framing()
    assert not framing.feed(ANSWER[:-1])
    assert not framing.feed(b"")


def test_a_status_is_read_anew_for_a_response_of_another_length() -> None:
    framing = Framing()
    assert framing.feed(ANSWER)
    framing.reset()
    assert framing.feed(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    assert framing.status == 404


def test_names_of_fields_are_lower_case() -> None:
    assert fields_of(b"HTTP/1.1 200 OK\r\nContent-Type: Text/Plain") == {
        b"content-type": b"text/plain"
    }


def test_the_usage_of_this_process_is_read() -> None:
    found = usage(os.getpid())
    assert os.getpid() in descendants(os.getpid())
    assert found.cpu_seconds > 0
    assert found.resident_bytes > 0
    assert found.processes >= 1
    assert core_seconds("0") > 0
    assert core_seconds("") == 0


def test_the_summary_of_strace_is_read() -> None:
    text = (
        "% time     seconds  usecs/call     calls    errors syscall\n"
        "------ ----------- ----------- --------- --------- ------------------\n"
        " 61.11    0.000500           5       100           write\n"
        " 38.89    0.000318           3        90        10 read\n"
        "------ ----------- ----------- --------- --------- ------------------\n"
        "100.00    0.000818           4       190        10 total\n"
    )
    assert calls_of(text) == {"write": 100, "read": 90}


def test_instructions_above_their_budget_fail_and_unknown_ones_do_not() -> None:
    stored = {version(): {"build": "another", "budgets": {"static": 1000, "varied": 1000}}}
    findings = compare({"static": 1200, "varied": 1400, "new": 5}, stored)
    assert [finding.failed for finding in findings] == [False, True, False]
    assert "ABOVE the limit of 1,300" in str(findings[1])
    assert "no budget" in str(findings[2])
