"""Coverage-guided fuzzing with atheris: ``python -m tests.fuzz TARGET [SECONDS] [OPTIONS]``.

Runs a target over its seeds and what the fuzzer makes of them; OPTIONS are libFuzzer's. Inputs
that reach something new stay in ``.fuzz/TARGET`` for the next run; an input that breaks a
promise is printed and written to the corpus, where the tests find it from then on.
"""

from __future__ import annotations

import sys
from hashlib import sha1
from pathlib import Path
from typing import TYPE_CHECKING

import atheris

if TYPE_CHECKING:
    from collections.abc import Sequence

with atheris.instrument_imports(include=["katana_asgi", "h11"]):
    from tests.fuzz.seeds import CORPUS, seeds
    from tests.fuzz.targets import TARGETS

WORDS = Path(__file__).parent / "words.dict"


def fuzz(target: str, seconds: str = "60", *options: str) -> None:
    """Fuzz one target; ends the process."""
    known = Path(".fuzz") / target
    known.mkdir(parents=True, exist_ok=True)
    for seed in seeds(target):
        (known / sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    arguments: Sequence[str] = (
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-artifact_prefix={CORPUS / target}/",
        f"-dict={WORDS}",
        "-max_len=2048",
        "-print_final_stats=1",
        *options,
        str(known),
    )
    atheris.Setup(list(arguments), TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    fuzz(*sys.argv[1:])
