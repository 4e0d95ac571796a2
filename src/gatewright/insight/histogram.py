"""Exponential histograms of latencies: bounded, mergeable, and what OpenTelemetry calls an exponential
histogram without loss.

Bucket `i` holds values in `(BASE**i, BASE**(i + 1)]` milliseconds, `BASE` being the 16th root of two. A
percentile is the geometric middle of its bucket, so it differs from the exact one (by nearest rank) by at
most `ERROR`: 2.2 %.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

SCALE = 4
"""OpenTelemetry's scale: `2**SCALE` buckets for each doubling."""

BASE = 2.0 ** (2.0**-SCALE)
ERROR = BASE**0.5 - 1

LOWEST, HIGHEST = -160, 511
"""Buckets of a thousandth of a millisecond and of 50 days; what is beyond them counts there."""

_PER_DOUBLING = 1 << SCALE
_WIDTHS = {1: "B", 2: "H", 4: "I", 8: "Q"}
_HEADS = {
    code: struct.Struct("<Bh" + ("Q" if code & 16 else "I") + ("Q" if code & 32 else ""))
    for width in _WIDTHS
    for code in (width, width | 16, width | 32, width | 48)
}


def bucket_of(milliseconds: float) -> int:
    """The bucket of a value above zero."""
    index = math.ceil(math.log2(milliseconds) * _PER_DOUBLING) - 1
    return min(max(index, LOWEST), HIGHEST)


Distribution = tuple[int, int, Sequence[tuple[int, int]]]
"""A histogram as the data plane gives it: zeros, micros, and pairs of a bucket and its count."""


class Histogram:
    """Counts by bucket; zeros apart. `micros` is the sum of all values, in thousandths of a millisecond."""

    __slots__ = ("buckets", "micros", "zeros")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.zeros = 0
        self.micros = 0

    def add(self, milliseconds: float, times: int = 1) -> None:
        """Count a value; what is not above zero counts as zero."""
        if milliseconds > 0:
            index = bucket_of(milliseconds)
            self.buckets[index] = self.buckets.get(index, 0) + times
            self.micros += int(milliseconds * 1000 + 0.5) * times
        else:
            self.zeros += times

    def merge(self, other: Histogram) -> None:
        """Add what another one counted. Exact: the result is that of counting everything in one."""
        mine = self.buckets
        for index, times in other.buckets.items():
            mine[index] = mine.get(index, 0) + times
        self.zeros += other.zeros
        self.micros += other.micros

    def merge_distribution(self, counted: Distribution) -> None:
        """Add what the data plane counted."""
        zeros, micros, pairs = counted
        mine = self.buckets
        for index, times in pairs:
            mine[index] = mine.get(index, 0) + times
        self.zeros += zeros
        self.micros += micros

    def merge_blob(self, blob: bytes) -> None:
        """Add what `blob()` of another one gave."""
        first, micros, zeros, gaps, counts = _parts(blob)
        mine = self.buckets
        # Of nothing there is a first bucket all the same, and no count.
        for index, times in zip(accumulate(gaps, initial=first), counts, strict=False):
            mine[index] = mine.get(index, 0) + times
        self.zeros += zeros
        self.micros += micros

    @property
    def count(self) -> int:
        return self.zeros + sum(self.buckets.values())

    @property
    def mean(self) -> float | None:
        """The exact mean in milliseconds; `None` of nothing."""
        return self.micros / 1000 / count if (count := self.count) else None

    def percentile(self, share: float) -> float | None:
        """The value that a share (0 to 1) of all do not exceed, within `ERROR`; `None` of nothing."""
        count = self.count
        if not count:
            return None
        left = max(1, math.ceil(share * count)) - self.zeros
        if left <= 0:
            return 0.0
        for index in sorted(self.buckets):
            left -= self.buckets[index]
            if left <= 0:
                return BASE ** (index + 0.5)
        return None

    def blob(self) -> bytes:
        """All of it in few bytes: what the buckets' numbers rise by, and the counts, in the fewest bytes that
        hold the largest.
        """
        indexes = sorted(index for index, times in self.buckets.items() if times)
        counts = [self.buckets[index] for index in indexes]
        gaps, counts = _with_short_gaps(indexes, counts)
        largest = max(counts, default=0)
        width = next(width for width in _WIDTHS if largest < 1 << 8 * width)
        code = width | (16 if self.micros >= 1 << 32 else 0) | (32 if self.zeros else 0)
        head = [code, indexes[0] if indexes else 0, self.micros, *([self.zeros] if self.zeros else [])]
        return (
            _HEADS[code].pack(*head) + bytes(gaps) + struct.pack(f"<{len(counts)}{_WIDTHS[width]}", *counts)
        )

    @classmethod
    def of_blob(cls, blob: bytes) -> Histogram:
        """What `blob()` was made of."""
        made = cls()
        made.merge_blob(blob)
        made.buckets = {index: times for index, times in made.buckets.items() if times}
        return made

    def to_otlp(self) -> dict[str, Any]:
        """The fields of an `ExponentialHistogramDataPoint` that say what was counted. Exact; milliseconds."""
        offset = min(self.buckets, default=0)
        width = max(self.buckets, default=offset - 1) - offset + 1
        return {
            "count": self.count,
            "sum": self.micros / 1000,
            "scale": SCALE,
            "zero_count": self.zeros,
            "zero_threshold": 0.0,
            "positive": {
                "offset": offset,
                "bucket_counts": [self.buckets.get(offset + step, 0) for step in range(width)],
            },
            "negative": {"offset": 0, "bucket_counts": []},
        }

    @classmethod
    def from_otlp(cls, point: Mapping[str, Any]) -> Histogram:
        """The histogram of a data point that `to_otlp` made. Raises `ValueError` for another scale."""
        if point["scale"] != SCALE:
            message = f"a histogram of scale {point['scale']}; only {SCALE} is kept here"
            raise ValueError(message)
        made = cls()
        positive = point["positive"]
        made.buckets = {
            positive["offset"] + step: times for step, times in enumerate(positive["bucket_counts"]) if times
        }
        made.zeros = point["zero_count"]
        made.micros = round(point["sum"] * 1000)
        return made


def merged(first: bytes, second: bytes) -> bytes:
    """Two blobs as one; for SQLite."""
    histogram = Histogram()
    histogram.merge_blob(first)
    histogram.merge_blob(second)
    return histogram.blob()


def above(blob: bytes, bucket: int) -> int:
    """How many of what a blob counts are in higher buckets than this one."""
    first, _, _, gaps, counts = _parts(blob)
    places = zip(accumulate(gaps, initial=first), counts, strict=False)
    return sum(times for index, times in places if index > bucket)


def _with_short_gaps(indexes: list[int], counts: list[int]) -> tuple[list[int], list[int]]:
    """Steps from bucket to bucket that fit a byte each, by empty buckets between those that are too far
    apart.
    """
    gaps: list[int] = []
    spread: list[int] = []
    for position, index in enumerate(indexes):
        gap = index - indexes[position - 1] if position else 0
        while gap > 255:
            gaps.append(255)
            spread.append(0)
            gap -= 255
        gaps.append(gap)
        spread.append(counts[position])
    return gaps[1:], spread


def _parts(blob: bytes) -> tuple[int, int, int, bytes, Any]:
    code = blob[0]
    head = _HEADS[code]
    values = head.unpack_from(blob)
    width = code & 15
    # One count more than steps, unless nothing was counted.
    buckets = (len(blob) - head.size + 1) // (1 + width)
    split = head.size + max(0, buckets - 1)
    counts: Any = (
        blob[split:] if width == 1 else struct.unpack_from(f"<{buckets}{_WIDTHS[width]}", blob, split)
    )
    return values[1], values[2], values[3] if code & 32 else 0, blob[head.size : split], counts
