"""What says which Pythons are supported says the same everywhere."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.support import ROOT

yaml = pytest.importorskip("yaml")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

VERSIONS = [
    version
    for classifier in PROJECT["project"]["classifiers"]
    for version in re.findall(r"Python :: (3\.\d+)$", classifier)
]


def workflow(name: str) -> dict:
    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))


def test_every_python_of_the_classifiers_is_tested_and_has_wheels() -> None:
    assert VERSIONS[0] == PROJECT["project"]["requires-python"].removeprefix(">=")
    assert workflow("tests.yml")["jobs"]["tests"]["strategy"]["matrix"]["python"] == VERSIONS
    wheels = PROJECT["tool"]["cibuildwheel"]["build"].split()
    assert wheels == [f"cp{version.replace('.', '')}-*" for version in VERSIONS]


def test_every_python_of_the_classifiers_is_named_in_the_documents() -> None:
    span = f"{VERSIONS[0]} to {VERSIONS[-1]}"
    for page in ("README.md", "docs/reference/compatibility.md"):
        assert span in (ROOT / page).read_text(encoding="utf-8"), page


def test_workflows_use_targets_that_there_are() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in (ROOT / ".github" / "workflows").iterdir():
        used = set(re.findall(r"\bmake ([\w-]+)", path.read_text(encoding="utf-8")))
        assert used
        assert used <= targets, path.name


def test_extras_of_the_readme_are_those_of_the_project() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(
        r"^\| `(\w+)` \|", readme.partition("## Extras")[2].partition("## ")[0], re.M
    )
    extras = PROJECT["project"]["optional-dependencies"]
    assert sorted(listed) == sorted(extras)
    named = set(re.findall(r"\[([\w,]+)\]", extras["all"][0])[0].split(","))
    assert named == set(extras) - {"standard", "all"}
