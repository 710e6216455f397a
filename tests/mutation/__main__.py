"""Faults put into a room on purpose, and how many of them its tests notice: ``make mutants``.

mutmut writes the mutants; ``session.py`` runs for each the tests that come by it. There are far
too many of them for an hour, so each room gets a random sample: the same seed is the same sample
as long as the code is the same. It all happens in a copy of the tree, ``build/mutation/``.

::

    python -m tests.mutation http1 codec --sample 200 --seed 1

A mutant that survives is shown as a difference in ``build/mutation/survivors-ROOM.txt``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
PLACE = ROOT / "build" / "mutation"
COPIED = ("katana_asgi", "tests", "examples", "pyproject.toml", "hatch_build.py")

ROOMS = ("http1", "asgi", "codec", "websocket")

LEAST = 85.0
"""Percent of a sample that has to be killed."""

TESTS = (
    "codec", "websocket", "http1", "asgi", "http", "properties", "across", "observe", "cache",
    "files", "wire",
)  # fmt: skip
"""Folders of tests that guard the rooms within one process."""

LEFT_OUT = (
    # They count memory, descriptors, calls or examples, which mutants cost, or start processes.
    "http1/test_states.py",
    "http1/test_flat_cost.py",
    "http1/test_reading_work.py",
    "across/test_bounded_memory.py",
    "across/test_websocket_leaks.py",
    "across/test_websocket_chaos.py",
    "codec/test_native_module.py",
    "observe/test_log_config.py",
)


def prepare() -> None:
    """Copy the tree and write the mutants; a file that has not changed keeps those it has."""
    ignore = shutil.ignore_patterns("__pycache__", "corpus")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, PLACE / name, dirs_exist_ok=True, ignore=ignore)
        else:
            shutil.copy2(ROOT / name, PLACE / name)
    os.chdir(PLACE)
    from mutmut.__main__ import create_mutants
    from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir

    Path("mutants").mkdir(exist_ok=True)
    for built in Path("mutants").rglob("*.so"):
        built.unlink()  # mutmut copies only what is not there yet
    with open("mutmut.log", "w", encoding="utf-8") as log:
        out, sys.stdout = sys.stdout, log
        try:
            copy_src_dir()
            copy_also_copy_files()
            create_mutants(os.cpu_count() or 1)
        finally:
            sys.stdout = out


def mutants_of(room: str) -> dict[str, Path]:
    """The names of all mutants of a room, and their files."""
    from mutmut.mutation.data import SourceFileMutationData

    names: dict[str, Path] = {}
    for path in sorted(Path("katana_asgi", room).glob("*.py")):
        data = SourceFileMutationData(path=path)
        data.load()
        names |= dict.fromkeys(data.exit_code_by_key, path)
    return names


def run(names: list[str], minutes: float, children: int) -> dict[str, dict[str, Any]]:
    """What became of the mutants that the time was enough for, by their names."""
    plan = {"mutants": names, "until": time.time() + 60 * minutes, "children": children}
    Path("mutants/plan.json").write_text(json.dumps(plan), "utf-8")
    results = Path("mutants/results.jsonl")
    results.write_text("", "utf-8")
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--timeout=60"]
    options += ["-p", "tests.mutation.session"]
    tests = [f"tests/{name}" for name in TESTS]
    tests += [f"--ignore=tests/{name}" for name in LEFT_OUT]
    with open("pytest.log", "w", encoding="utf-8") as log:
        subprocess.run(
            [sys.executable, "-m", "pytest", *options, "--hypothesis-seed=1", *tests],
            cwd="mutants",
            env={**os.environ, "TEST_AMOUNTS": "few", "PYTHONPATH": ""},
            stdout=log,
            stderr=log,
            check=False,
        )
    rows = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
    return {row["name"]: row for row in rows}


def report(room: str, sample: dict[str, Path], fates: dict[str, dict[str, Any]]) -> bool:
    """Count what became of a sample and write its survivors down; whether enough were killed."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    tried = {name: path for name, path in sample.items() if name in fates}
    alive = {name: path for name, path in tried.items() if fates[name]["fate"] != "killed"}
    texts = [
        f"# {name}, {fates[name]['tests']} tests\n{get_diff_for_mutant(name, path=path)}\n"
        for name, path in sorted(alive.items())
    ]
    Path(f"survivors-{room}.txt").write_text("\n".join(texts), "utf-8")
    killed = len(tried) - len(alive)
    share = 100 * killed / len(tried) if tried else 0.0
    print(f"{room:10} {killed:4} of {len(tried):4} killed, {share:5.1f} %", flush=True)
    return share >= LEAST


def main() -> int:
    """Try a sample of each room; 1 where too few are killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"of {', '.join(ROOMS)}")
    parser.add_argument("--sample", type=int, default=200, help="mutants of each room (200)")
    parser.add_argument("--seed", type=int, default=1, help="which of them (1)")
    parser.add_argument("--minutes", type=float, default=30, help="for all rooms (30)")
    parser.add_argument("--children", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--only", help="a file with the names of mutants, instead of a sample")
    options = parser.parse_args()
    only = set(Path(options.only).read_text("utf-8").split()) if options.only else None
    PLACE.mkdir(parents=True, exist_ok=True)
    prepare()
    samples: dict[str, dict[str, Path]] = {}
    for room in options.rooms or ROOMS:
        names = mutants_of(room)
        chosen = random.Random(options.seed).sample(sorted(names), min(options.sample, len(names)))
        if only is not None:
            chosen = sorted(only & set(names))
        samples[room] = {name: names[name] for name in chosen}
        print(f"{room:10} {len(chosen):4} of {len(names)} mutants", flush=True)
    mixed = [name for sample in samples.values() for name in sample]
    random.Random(options.seed).shuffle(mixed)
    fates = run(mixed, options.minutes, options.children)
    controls = [row["fate"] for name, row in fates.items() if name.startswith("control ")]
    print(f"{'control':10} {controls.count('killed'):4} of {len(controls):4} failed with no mutant")
    enough = [report(room, sample, fates) for room, sample in samples.items()]
    return 0 if all(enough) and "killed" not in controls else 1


if __name__ == "__main__":
    sys.exit(main())
