"""Which requests a stream of bytes holds, by the strictest reading of RFC 9112; apart from the gateway's own.

Doubt is refused: where two readers could see different requests, this one sees the end of the connection.
"""

import re
from dataclasses import dataclass, field

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"(%s) (/[\x21\x24-\x3b\x3d\x3f-\x5a\x5f\x61-\x7a~]*) HTTP/1\.([01])" % TOKEN)
FIELD = re.compile(rb"(%s):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*" % TOKEN)
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t\x20-\x7e]*)?")


@dataclass(frozen=True)
class Asked:
    """One request as a service must see it."""

    method: str
    target: str
    body: bytes
    keeps_alive: bool


@dataclass
class Reading:
    """All complete requests of a stream, and how it goes on behind them."""

    requests: list[Asked] = field(default_factory=list)
    # Something that is no request, or not certainly one: 400 and the end.
    is_bad: bool = False
    # A head was complete when the fault came: whoever forwards bodies as they come has begun to.
    head_was_good: bool = False


class BadError(Exception):
    """No request."""


class IncompleteError(Exception):
    """More bytes could make it one."""


def read(stream: bytes) -> Reading:
    """Read until the stream, its sense or its connection ends."""
    reading = Reading()
    while stream:
        try:
            asked, stream = one(stream, reading)
        except BadError:
            reading.is_bad = True
            break
        except IncompleteError:
            break
        reading.requests.append(asked)
        if not asked.keeps_alive:
            break
    return reading


def one(stream: bytes, reading: Reading) -> tuple[Asked, bytes]:
    reading.head_was_good = False
    stream = stream.removeprefix(b"\r\n")
    lines, rest = section(stream)
    found = REQUEST_LINE.fullmatch(lines[0])
    if found is None:
        raise BadError(lines[0])
    fields = [FIELD.fullmatch(line) for line in lines[1:]]
    headers = [(one[1].lower(), one[2]) for one in fields if one is not None]
    if len(headers) < len(fields):
        raise BadError("header")
    is_old = found[3] == b"0"
    length = framing(headers, is_old)
    keeps_alive = connection(headers, is_old)
    reading.head_was_good = True
    if length is None:
        body, rest = chunked(rest)
    elif len(rest) < length:
        raise IncompleteError
    else:
        body, rest = rest[:length], rest[length:]
    return Asked(found[1].decode(), found[2].decode(), body, keeps_alive), rest


def section(stream: bytes) -> tuple[list[bytes], bytes]:
    """Lines up to an empty one, and what follows it."""
    lines = []
    while True:
        line, end, stream = stream.partition(b"\n")
        if end and not line.endswith(b"\r"):
            raise BadError("bare line feed")
        if not end:
            raise IncompleteError
        line = line[:-1]
        if b"\r" in line:
            raise BadError("bare return")
        if not line:
            if not lines:
                raise BadError("empty line")
            return lines, stream
        lines.append(line)


def framing(headers: list[tuple[bytes, bytes]], is_old: bool) -> int | None:
    """The body's length; `None` when it comes in chunks."""
    lengths = [value for name, value in headers if name == b"content-length"]
    encodings = [value for name, value in headers if name == b"transfer-encoding"]
    if len([name for name, _ in headers if name == b"host"]) != 1:
        raise BadError("host")
    if encodings:
        if lengths or is_old or len(encodings) > 1 or encodings[0].lower() != b"chunked":
            raise BadError("encoding")
        return None
    if len(lengths) > 1:
        raise BadError("lengths")
    if lengths and not re.fullmatch(b"[0-9]{1,19}", lengths[0]):
        raise BadError("length")
    return int(lengths[0]) if lengths else 0


def connection(headers: list[tuple[bytes, bytes]], is_old: bool) -> bool:
    options = {
        option.strip(b" \t").lower()
        for name, value in headers
        if name == b"connection"
        for option in value.split(b",")
    }
    return b"close" not in options and (not is_old or b"keep-alive" in options)


def chunked(stream: bytes) -> tuple[bytes, bytes]:
    parts = []
    while True:
        line, end, rest = stream.partition(b"\n")
        if not (found := CHUNK_LINE.fullmatch(line.removesuffix(b"\r") if end else line.rstrip(b"\r"))):
            # Digits that have not come yet are no fault, anything else in their place is.
            raise IncompleteError if not line or (line == b"\r" and not end) else BadError(line)
        if not end:
            raise IncompleteError
        if not line.endswith(b"\r"):
            raise BadError("chunk line")
        size = int(found[1], 16)
        if size == 0:
            return b"".join(parts), trailers(rest)
        if len(rest) < size + 2:
            if rest[size : size + 1] not in {b"", b"\r"}:
                raise BadError("chunk end")
            raise IncompleteError
        if rest[size : size + 2] != b"\r\n":
            raise BadError("chunk end")
        parts.append(rest[:size])
        stream = rest[size + 2 :]


def trailers(stream: bytes) -> bytes:
    if stream.startswith(b"\r\n"):
        return stream[2:]
    lines, rest = section(stream)
    if not all(FIELD.fullmatch(line) for line in lines):
        raise BadError("trailer")
    return rest
