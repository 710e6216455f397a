"""A histogram's percentiles are right to within five percent, merged or not."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katana_asgi.observe.histogram import Histogram

DURATIONS = st.lists(st.floats(min_value=1e-8, max_value=4000.0), min_size=1, max_size=200)


def filled(durations: list[float]) -> Histogram:
    histogram = Histogram()
    for each in durations:
        histogram.record(each)
    return histogram


@given(DURATIONS, st.sampled_from([0.01, 0.5, 0.9, 0.99, 0.999, 1.0]))
def test_a_percentile_is_off_by_five_percent_at_most(durations, fraction) -> None:
    exact = sorted(durations)[max(0, math.ceil(fraction * len(durations)) - 1)]
    assert filled(durations).quantile(fraction) == pytest.approx(exact, rel=0.05)


@given(DURATIONS, DURATIONS)
def test_merged_histograms_are_as_if_one_had_recorded_all(one, two) -> None:
    merged = filled(one)
    merged.add(filled(two))
    assert merged.counts == filled(one + two).counts
    assert merged.total == pytest.approx(sum(one) + sum(two))
    assert merged.since(filled(one)).counts == filled(two).counts


@given(DURATIONS)
def test_a_histogram_survives_json(durations) -> None:
    histogram = filled(durations)
    again = Histogram.unpacked(json.loads(json.dumps(histogram.packed())))
    assert again.counts == histogram.counts
    assert again.total == histogram.total


@pytest.mark.parametrize("odd", [0.0, -1.0, 1e-12, 1e9])
def test_durations_out_of_bounds_are_counted(odd) -> None:
    assert filled([odd]).count == 1


def test_an_empty_histogram_has_percentiles_of_zero() -> None:
    assert Histogram().quantile(0.99) == 0.0


def test_bounds_of_octaves_say_exactly_what_lies_below() -> None:
    histogram = filled([0.3, 0.4, 0.6, 3.0])
    assert list(histogram.up_to_octaves(-2, 2)) == [
        (0.25, 0),
        (0.5, 2),
        (1.0, 3),
        (2.0, 3),
        (4.0, 4),
    ]
