"""Durations and sizes read what people write and write what they read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.config.quantities import Duration, Size


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("250ms", 250), ("10s", 10_000), ("5m", 300_000), ("1h", 3_600_000), ("30d", 2_592_000_000)],
)
def test_duration_is_read_as_milliseconds(text: str, milliseconds: int) -> None:
    assert Duration.of(text) == milliseconds


@pytest.mark.parametrize(
    ("text", "size"), [("512B", 512), ("64KiB", 65_536), ("10MiB", 10_485_760), ("1MB", 1_000_000)]
)
def test_size_is_read_as_bytes(text: str, size: int) -> None:
    assert Size.of(text) == size


@pytest.mark.parametrize(
    "text", ["", "10", "s", "-1s", "1.5s", " 1s", "1s ", "1S", "1 s", "1m30s", "\u0661s"]
)
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="such as"):
        Duration.of(text)


@given(st.integers(min_value=0, max_value=10**11))
def test_what_is_written_reads_back_the_same(milliseconds: int) -> None:
    assert Duration.of(str(Duration(milliseconds))) == milliseconds


@given(st.integers(min_value=0, max_value=10**11))
def test_size_that_is_written_reads_back_the_same(number: int) -> None:
    assert Size.of(str(Size(number))) == number
