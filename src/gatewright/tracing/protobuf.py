"""As much of protocol buffers as spans need."""

from __future__ import annotations

from struct import pack

from gatewright.metrics.wire import EIGHT_BYTES, FOUR_BYTES, VARINT, field, varint

Value = str | int | float | bool


def text(number: int, value: str) -> bytes:
    return field(number, value.encode("utf-8", "replace"))


def whole(number: int, value: int) -> bytes:
    return varint(number << 3 | VARINT) + varint(value)


def fixed64(number: int, value: int) -> bytes:
    return varint(number << 3 | EIGHT_BYTES) + pack("<Q", value)


def fixed32(number: int, value: int) -> bytes:
    return varint(number << 3 | FOUR_BYTES) + pack("<I", value)


def attribute(number: int, key: str, value: Value) -> bytes:
    """A `KeyValue`."""
    if isinstance(value, bool):
        content = whole(2, value)
    elif isinstance(value, int):
        content = whole(3, value % (1 << 64))
    elif isinstance(value, float):
        content = varint(4 << 3 | EIGHT_BYTES) + pack("<d", value)
    else:
        content = text(1, value)
    return field(number, text(1, key) + field(2, content))
