"""A short run of the fuzz targets: their corpus, mutations of it, and what a fuzzer makes of it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from tests.amounts import FULL
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS
from tests.support import ROOT, TIMEOUT

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 3.0 if FULL else 0.5
"""For the mutations of each target; ``make fuzz`` has more time."""

FUZZED = list(TARGETS) if FULL else ["chunks", "header_blocks"]
"""For the fuzzer itself, which ``make fuzz`` runs on all: one of HTTP/1.1 and one of HTTP/2."""

WORDS = [b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b";", b"=", b"%", b"0", b"\xff"]


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_breaks_no_promise(target):
    inputs = seeds(target)
    assert inputs
    for data in inputs:
        TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_mutations_of_the_corpus_break_no_promise(target):
    chance = random.Random(target)
    inputs = seeds(target)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        data = mutated(inputs, chance)
        try:
            TARGETS[target](data)
        except BaseException as error:
            error.add_note(f"for {data!r}")
            raise


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed here")
@pytest.mark.parametrize("target", FUZZED)
def test_a_fuzzer_finds_nothing_in_a_moment(target, tmp_path: Path):
    """Guided by coverage, as ``make fuzz`` does it for longer."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", target, "2" if FULL else "1"],
        cwd=tmp_path,  # where it keeps what reached something new
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=12 * TIMEOUT,
    )
    assert run.returncode == 0, run.stderr[-4000:].decode("utf-8", "replace")
    assert b"stat::number_of_executed_units:" in run.stderr


def mutated(inputs: list[bytes], chance: random.Random) -> bytes:
    """One or two inputs, changed in a few places."""
    data = chance.choice(inputs)
    if chance.random() < 0.3:
        data += chance.choice(inputs)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(data))
        kind = chance.randrange(5)
        if kind == 0:
            data = data[:at] + data[at + chance.randint(1, 4) :]
        elif kind == 1:
            data = data[:at] + chance.choice(WORDS) + data[at:]
        elif kind == 2:
            data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        elif kind == 3:
            end = min(len(data), at + chance.randint(1, 12))
            data = data[:end] + data[at:end] + data[end:]
        else:
            data = data[:at]
    return data
