"""Exponential histograms against exact values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.insight.histogram import BASE, ERROR, HIGHEST, LOWEST, SCALE, Histogram, bucket_of, merged

# As records have them: whole microseconds, up to half a day.
LATENCIES = st.lists(
    st.tuples(st.integers(0, 43_200_000_000).map(lambda micros: micros / 1000), st.integers(1, 1000)),
    min_size=1,
)


def counted(values) -> Histogram:
    made = Histogram()
    for value, times in values:
        made.add(value, times)
    return made


def same(first: Histogram, second: Histogram) -> bool:
    return (first.buckets, first.zeros, first.micros) == (second.buckets, second.zeros, second.micros)


@given(LATENCIES, st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0]))
def test_a_percentile_is_within_the_error_that_is_told(values, share: float) -> None:
    every = sorted(value for value, times in values for _ in range(times))
    exact = every[max(1, math.ceil(share * len(every))) - 1]
    found = counted(values).percentile(share)
    assert found is not None
    assert abs(found - exact) <= exact * (ERROR + 1e-9)
    assert ERROR < 0.022


@given(LATENCIES)
def test_a_blob_holds_all_of_it(values) -> None:
    histogram = counted(values)
    assert same(Histogram.of_blob(histogram.blob()), histogram)


@given(LATENCIES, LATENCIES)
def test_merging_is_counting_everything_in_one(first, second) -> None:
    together = counted([*first, *second])
    assert same(Histogram.of_blob(merged(counted(first).blob(), counted(second).blob())), together)
    one = counted(first)
    one.merge(counted(second))
    assert same(one, together)


@given(LATENCIES)
def test_nothing_is_lost_on_the_way_to_open_telemetry_and_back(values) -> None:
    histogram = counted(values)
    point = histogram.to_otlp()
    assert point["count"] == sum(times for _, times in values)
    assert point["scale"] == SCALE
    assert same(Histogram.from_otlp(point), histogram)


@given(st.integers(1, 43_200_000_000).map(lambda micros: micros / 1000))
def test_a_value_is_in_the_bucket_that_open_telemetry_says(value: float) -> None:
    index = bucket_of(value)
    assert BASE**index * (1 - 1e-12) < value <= BASE ** (index + 1) * (1 + 1e-12)


def test_a_power_of_two_is_the_upper_bound_of_its_bucket() -> None:
    assert [bucket_of(2.0**power) for power in (-3, 0, 1, 10)] == [-49, -1, 15, 159]


def test_what_is_beyond_the_bounds_counts_at_them() -> None:
    assert (bucket_of(1e-9), bucket_of(1e12)) == (LOWEST, HIGHEST)
    histogram = counted([(1e-9, 1), (1e12, 300), (0.0, 1 << 40)])
    assert same(Histogram.of_blob(histogram.blob()), histogram)


def test_nothing_has_no_percentile() -> None:
    assert (Histogram().percentile(0.5), Histogram().mean) == (None, None)
    assert same(Histogram.of_blob(Histogram().blob()), Histogram())


def test_another_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="scale 3"):
        Histogram.from_otlp({"scale": 3})
