"""The tests that documents name exist: a promise without its test is none."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.http2 import wire_cases
from tests.support import ROOT
from tests.wire.corpus import CASES

DOCUMENTS = [
    "SECURITY.md",
    "docs/reference/files-and-cache.md",
    "docs/reference/robustness-balance.md",
    "docs/reference/robustness-clients.md",
    "docs/reference/robustness-http2.md",
    "docs/reference/robustness.md",
    "docs/reference/switching.md",
    "docs/reference/weaknesses.md",
]


@cache
def functions() -> set[str]:
    """The names of all tests, read only where they are asked for."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    return set(re.findall(r"^(?:async )?def (test_\w+)", "\n".join(texts), re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_test_that_a_document_names_exists(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+)`", text)
    assert named
    assert set(named) <= functions()
    cases = re.findall(r"`wire: ([^`]+)`", text)
    assert set(cases) <= {case.name for case in CASES}
    cases = re.findall(r"`http2: ([^`]+)`", text)
    assert set(cases) <= {case.name for case in (*wire_cases.CASES, *wire_cases.OPENING_CASES)}


def test_every_case_of_files_and_cache_names_its_tests():
    text = (ROOT / "docs/reference/files-and-cache.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    cases = [row for row in rows if not row.endswith("| test |")]
    assert cases
    assert [row for row in cases if not re.search(r"\| `test_\w+`[^|]* \|$", row)] == []


def test_every_promise_names_its_tests():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    promises = text.partition("<!-- promises:start -->")[2].partition("<!-- promises:end -->")[0]
    for promise in promises.split("\n- ")[1:]:
        assert "\n  Tests: `test_" in promise
