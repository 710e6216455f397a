"""However the bytes of a connection are cut into reads, the reading half says the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reads import BACK_ENDS, heard, reader_settings
from request_streams import CUTS, STREAMS, cut

from tests.amounts import examples

WIDE = {name: reader_settings(name, line=10**6, size=10**6, count=10**6) for name in BACK_ENDS}
NARROW = {name: reader_settings(name, line=60, size=100, count=3) for name in BACK_ENDS}


def whole(said: list[Any]) -> list[Any]:
    """What was heard without the content of a request that was refused for the rest of it.

    How much of that was handed on before depends on the reads.
    """
    refused_within = len(said) > 1 and isinstance(said[-2], bytes) and isinstance(said[-1], int)
    return [*said[:-2], said[-1]] if refused_within else said


@pytest.mark.parametrize("back_end", BACK_ENDS)
@given(stream=STREAMS, sizes=CUTS)
@example(stream=b"GET / HTTP/9.9\r\nX: a\rb\r\n\r\n", sizes=[23])
@example(stream=b"G(T / HTTP/1.1\r\n\r\n", sizes=[3])
@settings(max_examples=examples(400), deadline=None)
def test_the_cuts_do_not_matter(back_end: str, stream: bytes, sizes: list[int] | None) -> None:
    in_one = heard([stream], WIDE[back_end])
    assert whole(heard(cut(stream, sizes), WIDE[back_end])) == whole(in_one)


@pytest.mark.parametrize("back_end", BACK_ENDS)
@given(stream=STREAMS, sizes=CUTS)
@settings(max_examples=examples(200), deadline=None)
def test_the_cuts_do_not_matter_to_the_limits(
    back_end: str, stream: bytes, sizes: list[int] | None
) -> None:
    """Where a head has several faults, which is found first may depend on the reads."""
    in_one = whole(heard([stream], NARROW[back_end]))
    in_pieces = whole(heard(cut(stream, sizes), NARROW[back_end]))
    assert [status_or_more(each) for each in in_pieces] == [status_or_more(each) for each in in_one]


def status_or_more(said: Any) -> Any:
    """Any refusal is as good as another."""
    return "refused" if isinstance(said, int) else said


@given(stream=STREAMS, sizes=CUTS)
@settings(max_examples=examples(800), deadline=None)
def test_the_back_ends_agree(stream: bytes, sizes: list[int] | None) -> None:
    pieces = cut(stream, sizes)
    first, *others = (heard(pieces, WIDE[back_end]) for back_end in BACK_ENDS)
    assert others == [first] * len(others)


@given(stream=st.binary(max_size=60), sizes=CUTS)
@settings(max_examples=examples(300), deadline=None)
def test_the_back_ends_agree_on_nonsense(stream: bytes, sizes: list[int] | None) -> None:
    pieces = cut(stream, sizes)
    first, *others = (heard(pieces, WIDE[back_end]) for back_end in BACK_ENDS)
    assert others == [first] * len(others)
