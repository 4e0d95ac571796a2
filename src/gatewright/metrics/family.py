"""A metric with all its series, before anybody decides how it is printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge"]
Sample = tuple[dict[str, str], float]
"""The labels of a series, and its value."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name, its help, and the series there are now; without any it is not printed at all."""

    name: str
    kind: Kind
    text: str
    samples: tuple[Sample, ...]


def counter(name: str, text: str, value: float | Iterable[Sample]) -> Family:
    """What only grows: one number, or a series for each set of labels. The name ends in `_total`."""
    return Family(name, "counter", text, samples_of(value))


def gauge(name: str, text: str, value: float | Iterable[Sample]) -> Family:
    """What comes and goes: one number, or a series for each set of labels."""
    return Family(name, "gauge", text, samples_of(value))


def samples_of(value: float | Iterable[Sample]) -> tuple[Sample, ...]:
    if isinstance(value, int | float):
        return (({}, float(value)),)
    return tuple((labels, float(one)) for labels, one in value)
