"""The statistics of the benchmark suite, on samples small enough to check by hand."""

from __future__ import annotations

import pytest

from benchmarks.distribution import curve, percentile, ratios, spread, summary


def test_a_percentile_is_a_sample_at_its_nearest_rank() -> None:
    ordered = list(range(1, 101))
    assert [percentile(ordered, percent) for percent in (0, 1, 50, 99, 100)] == [1, 1, 50, 99, 100]


def test_the_tail_of_a_thousand_samples_is_exact() -> None:
    assert percentile(list(range(1, 1001)), 99.9) == 999


def test_one_sample_is_every_percentile() -> None:
    assert {percentile([7.0], percent) for percent in (0, 50, 99.9, 100)} == {7.0}


@pytest.mark.parametrize(("ordered", "percent"), [([], 50), ([1.0], -1), ([1.0], 101)])
def test_what_has_no_percentile_is_refused(ordered: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match=r"no samples|not a percentage"):
        percentile(ordered, percent)


def test_the_interquartile_range_spans_the_middle_half() -> None:
    result = summary([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    assert result["iqr"] == 6.0 - 2.0
    assert (result["min"], result["max"], result["mean"]) == (1.0, 8.0, 4.5)
    assert {"p50", "p90", "p95", "p99", "p99.9"} < result.keys()


def test_a_curve_rises_to_the_largest_sample() -> None:
    points = curve([float(value) for value in range(1, 2001)])
    assert points == sorted(points)
    assert points[-1] == (2000.0, 1.0)
    assert max(share for _, share in points[:-1]) > 0.999


def test_a_spread_has_the_median_and_the_range() -> None:
    found = spread([3.0, 1.0, 2.0])
    assert (found.median, found.low, found.high) == (2.0, 1.0, 3.0)
    assert spread([4.0, 1.0]).median == 2.5
    with pytest.raises(ValueError, match="no values"):
        spread([])


def test_ratios_pair_rounds_and_leave_out_those_without_a_figure() -> None:
    assert ratios([10.0, None, 30.0, 9.0], [5.0, 5.0, 10.0, 0.0]) == [2.0, 3.0]
    assert ratios([10.0, 20.0], [5.0]) == [2.0]


def test_the_median_ratio_is_of_rounds_not_of_medians() -> None:
    # The machine was half as fast in the second round: the ratio stays 2 in each.
    assert spread(ratios([100.0, 50.0, 102.0], [50.0, 25.0, 51.0])).median == 2.0
