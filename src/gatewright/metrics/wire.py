"""As much of protocol buffers as wraps messages that are encoded already."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5
WIDTHS = {EIGHT_BYTES: 8, FOUR_BYTES: 4}


def varint(value: int) -> bytes:
    """A number, seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, content: bytes) -> bytes:
    """A message, a text or bytes as a field."""
    return varint(number << 3 | LENGTH) + varint(len(content)) + content


def text(number: int, value: str) -> bytes:
    return field(number, value.encode())


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number there, and where what follows begins. Raises `IndexError` at an end that comes too early."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def split(delimited: bytes) -> Iterator[bytes]:
    """The messages of a list in which each stands behind its length."""
    at = 0
    while at < len(delimited):
        length, at = read_varint(delimited, at)
        yield delimited[at : at + length]
        at += length


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a message that a stranger sent; ends where it makes no sense."""
    at = 0
    while at < len(message):
        try:
            key, at = read_varint(message, at)
            kind = key & 7
            if kind == VARINT:
                value, at = read_varint(message, at)
                yield key >> 3, value
                continue
            length, at = read_varint(message, at) if kind == LENGTH else (WIDTHS[kind], at)
        except (IndexError, KeyError):
            return
        yield key >> 3, message[at : at + length]
        at += length
