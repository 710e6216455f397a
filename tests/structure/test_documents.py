"""Links between documents lead somewhere, pages show files as they are, and the site builds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec

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

EXAMPLES = (ROOT / "examples" / "deployment", ROOT / "examples" / "monitoring")

IMPORTED = {"grafana.json"}
"""Files that people import rather than read."""

EXPECTED = {
    "index.html",
    "guide/start/index.html",
    "reference/api/index.html",
    "changes/index.html",
}

HALF_MERGED = re.compile(rb"^(?:<{7}|>{7}) ", re.MULTILINE)

find_links = re.compile(r"\]\(([^)\s]+)\)").findall

find_files_shown = re.compile(
    r"\(\.\./\.\./examples/(\w+/[^)]+)\)\):\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE
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


def test_every_file_of_deployment_and_monitoring_is_shown_as_it_is_on_one_page():
    shown = [
        (name, block)
        for page in (ROOT / "docs" / "deployment").glob("*.md")
        for name, block in find_files_shown(page.read_text(encoding="utf-8"))
    ]
    files = {
        f"{folder.name}/{path.name}": path.read_text(encoding="utf-8")
        for folder in EXAMPLES
        for path in folder.iterdir()
        if path.name not in IMPORTED
    }
    assert len(shown) == len(files)
    assert dict(shown) == files


@pytest.mark.skipif(find_spec("mkdocs") is None, reason="mkdocs is not installed")
def test_the_site_builds_and_every_page_of_it_can_be_reached(tmp_path):
    """Strictly: a page that is in no menu, a link or an anchor that is not there is an error."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    assert {place for place in EXPECTED if not (tmp_path / place).is_file()} == set()


def test_the_site_fetches_nothing_from_elsewhere():
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "\n  font: false\n" in settings
    assert not re.search(r"^extra_(css|javascript):", settings, re.MULTILINE)


def test_no_file_is_left_half_merged():
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    marked = [
        name
        for name in kept.stdout.splitlines()
        if (ROOT / name).is_file() and HALF_MERGED.search((ROOT / name).read_bytes())
    ]
    assert marked == []
