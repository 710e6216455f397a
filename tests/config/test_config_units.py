"""Durations and sizes read as people write them, and what is written reads back the same."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.config.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("75", 75.0),
        ("2.5", 2.5),
        ("500ms", 0.5),
        ("30s", 30.0),
        ("1.5 m", 90.0),
        ("5m", 300.0),
        ("1h", 3600.0),
        (" 10s ", 10.0),
    ],
)
def test_a_duration_is_a_number_with_or_without_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "-1s", "1e3", "1d", "1S", "1m30s", "1..5s", ".5s", "5.", "inf", "nan", "٣s"]
)
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("64kB", 64_000),
        ("64KB", 64_000),
        ("16KiB", 16_384),
        ("16kib", 16_384),
        ("1.5MiB", 1_572_864),
        ("1 MB", 1_000_000),
        ("2GiB", 2 * 1024**3),
        ("2TB", 2 * 1000**4),
    ],
)
def test_a_size_is_a_number_with_or_without_a_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "KiB", "-1", "1k", "1M", "1e3", "1 K B", "0x10", "1_000", "٣"]
)
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0.5", "1.0001kB", "0.3KiB"])
def test_a_size_is_a_whole_number_of_bytes(text: str) -> None:
    with pytest.raises(ValueError, match="not a whole number of bytes"):
        parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.1, "100ms"),
        (75.0, "75s"),
        (300.0, "5m"),
        (5400.0, "90m"),
        (7200, "2h"),
        (0.00025, "0.00025s"),
    ],
)
def test_a_duration_is_written_with_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (100, "100B"), (16384, "16KiB"), (64_000, "64kB"), (1_000_000, "1MB")],
)
def test_a_size_is_written_with_its_largest_whole_unit(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.floats(min_value=1e-6, max_value=604_800) | st.integers(0, 604_800).map(float))
def test_any_duration_reads_back_as_written(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, 2**50))
def test_any_size_reads_back_as_written(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_duration, parse_size):
        with suppress(ValueError):
            assert parse(text) >= 0
