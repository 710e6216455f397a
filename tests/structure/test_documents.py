"""Links between documents lead somewhere, and pages show files as they are."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.support import ROOT

FOLDERS = ("docs", "benchmarks", "examples", "tests")

DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for path in [
        *ROOT.glob("*.md"),
        *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md")),
    ]
)

EXAMPLES = ROOT / "examples" / "deployment"

HALF_MERGED = re.compile(rb"^(?:<{7}|>{7}) ", re.MULTILINE)

find_links = re.compile(r"\]\(([^)\s]+)\)").findall

find_files_shown = re.compile(
    r"\(\.\./\.\./examples/deployment/([^)]+)\)\):\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE
).findall


def prose(text: str) -> str:
    """A document without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """What links can lead to: the headings as GitHub names them."""
    headings = re.findall(r"^#+ +(.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_to_files_and_headings(document):
    lost = []
    text = prose((ROOT / document).read_text(encoding="utf-8"))
    for link in find_links(re.sub(r"`[^`\n]*`", "", text)):
        place, _, anchor = link.partition("#")
        if re.match(r"https?:|mailto:", link):
            continue
        target = (ROOT / document).parent / place if place else ROOT / document
        found = target.exists() and (not anchor or anchor in anchors(target.read_text("utf-8")))
        if not found:
            lost.append(link)
    assert lost == []


def test_every_file_of_the_deployment_examples_is_shown_as_it_is_on_one_page():
    shown = [
        (name, block)
        for page in (ROOT / "docs" / "deployment").glob("*.md")
        for name, block in find_files_shown(page.read_text(encoding="utf-8"))
    ]
    assert sorted(name for name, _ in shown) == sorted(path.name for path in EXAMPLES.iterdir())
    for name, block in shown:
        assert block == (EXAMPLES / name).read_text(encoding="utf-8"), name


def test_no_file_is_left_half_merged():
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    marked = [
        name
        for name in kept.stdout.splitlines()
        if (ROOT / name).is_file() and HALF_MERGED.search((ROOT / name).read_bytes())
    ]
    assert marked == []
