"""What a worker does about its memory, in a process of its own: it cannot be undone."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CHURN = """
import gc, resource
from katana_asgi.worker.memory import settle

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def reads():
    pieces = [bytes(bytearray(256 * 1024)) for _ in range(16)]

settle()
reads()
before = faults()
for _ in range(20):
    reads()
print(faults() - before, gc.get_freeze_count())
"""


def run(**environment: str) -> list[int]:
    """Page faults of twenty times sixteen reads of 256 KiB, and how many objects are frozen."""
    done = subprocess.run(
        [sys.executable, "-c", CHURN], env=environment, capture_output=True, check=True, text=True
    )
    return [int(word) for word in done.stdout.split()]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc's malloc")
def test_what_was_freed_is_not_faulted_in_again():
    faults, frozen = run(PYTHONPATH=":".join(sys.path))
    assert faults < 2000  # of 20,480 pages that were touched twice
    assert frozen > 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc's malloc")
def test_who_sets_malloc_himself_has_the_last_word():
    faults, _ = run(PYTHONPATH=":".join(sys.path), MALLOC_TRIM_THRESHOLD_="131072")
    assert faults > 10_000  # glibc 2.43 gives back nine of ten pages, 2.36 all of them
