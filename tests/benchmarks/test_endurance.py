"""The endurance run: a few seconds of it, and what it would say of a service with faults."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from benchmarks.endurance.__main__ import run
from benchmarks.endurance.outcomes import Again, Outcomes, Wrong
from benchmarks.endurance.report import Course, SiteReport, faults_of, render, unexpected
from benchmarks.endurance.service import Sample
from tests.patience import TIMEOUT

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux")


@pytest.mark.timeout(18 * TIMEOUT)  # it waits for whole processes, again and again
async def test_a_service_endures_a_few_seconds_of_everything():
    sites, faults = await run(4.0, rate=120.0)
    assert faults == []
    assert {site.name for site in sites} == {"plain", "TLS"}
    for site in sites:
        protocols = {kind.split()[0] for kind in site.outcomes.right}
        assert protocols == {"HTTP/1.1", "HTTP/2", "WebSocket"}
        assert site.done
        assert site.course.end
        assert site.access_lines
    assert "| all |" in render(sites, 4.0, 1, faults)


def site_with(outcomes: Outcomes, **more: object) -> SiteReport:
    settings = {"lines": [], "access_lines": [], "faults": [], "course": Course(), **more}
    return SiteReport("plain", outcomes, done=Counter(), crowds={}, **settings)


def test_what_a_killed_worker_had_in_hand_is_no_fault_of_the_service():
    outcomes = Outcomes()
    outcomes.answered("HTTP/1.1 echo", 0.1)
    outcomes.about_to_kill(7)
    outcomes.failed("HTTP/1.1 echo", EOFError(), 7)
    outcomes.failed("HTTP/1.1 echo", EOFError(), None)  # nobody knows, soon after
    outcomes.failed("HTTP/1.1 pipelined", Again(), 8)
    assert faults_of(site_with(outcomes), 10.0) == []
    assert (outcomes.killed.total(), outcomes.again.total()) == (2, 1)


def test_clients_that_did_not_run_themselves_are_counted_apart():
    outcomes = Outcomes()
    outcomes.answered("HTTP/1.1 echo", 0.1)
    outcomes.did_not_run(5.0)
    outcomes.failed("HTTP/1.1 echo", EOFError(), 7)
    assert faults_of(site_with(outcomes), 10.0) == []
    assert outcomes.late.total() == 1


def test_every_other_loss_is_one():
    outcomes = Outcomes()
    outcomes.answered("HTTP/1.1 echo", 0.1)
    outcomes.failed("HTTP/2 echo", ConnectionResetError("reset"), 8)
    outcomes.failed("HTTP/2 echo", Wrong("3 bytes"), 8)
    told = faults_of(site_with(outcomes), 10.0)
    assert told[:2] == [
        "plain: 1 wrong answers",
        "plain: 1 requests lost, of which no worker was killed",
    ]
    assert "lost on 8: ConnectionResetError" in told[2]


def test_lines_of_the_log_are_expected_or_told():
    lines = [
        "INFO:     Worker 1 [7] is ready after 0.1 s",
        "ERROR:    Worker 1 [7] died (SIGKILL) after 9.1 s; replacing it now",
        "WARNING:  The supervisor did not run for 3.1 s",
    ]
    strange = [
        "ERROR:    Worker 1 [7] died (SIGSEGV) after 9.1 s; replacing it now",
        "Traceback (most recent call last):",
        "/x.py:3: ResourceWarning: unclosed <socket.socket>",
        "RuntimeWarning: coroutine 'x' was never awaited",
    ]
    assert unexpected([*lines, *strange]) == strange


def test_descriptors_and_memory_that_stay_are_faults():
    outcomes = Outcomes()
    outcomes.answered("HTTP/1.1 echo", 0.1)
    course = Course(
        start=[Sample("supervisor", 1, 2**24, 20), Sample("worker 1", 2, 2**24, 20)],
        end=[Sample("supervisor", 1, 2**25, 20), Sample("worker 1", 3, 2**24, 60)],
    )
    flat, grown = [Sample("worker 1", 2, 2**24, 20)], [Sample("worker 1", 2, 2**25, 20)]
    course.samples = [(float(number), flat if number < 6 else grown) for number in range(8)]
    told = faults_of(site_with(outcomes, course=course), 600.0)
    assert told == [
        "plain: the supervisor's memory grew by 16.0 MiB",
        "plain: worker 1 [3]: 60 descriptors at the end, 20 at the start",
        "plain: the memory of workers grew from 16.0 MiB to 32.0 MiB",
    ]
