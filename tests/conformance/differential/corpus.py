"""The bytes that every gateway gets: each a list of requests, or something that only looks like it."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from conformance import spellings, streams
from conformance.streams import (
    CHUNK_STREAMS,
    CHUNKS,
    ENCODINGS,
    LENGTHS,
    NAMES,
    SMUGGLED,
    encoding,
    head,
    length,
)

SEED = 20_261_127
"""Of the generated cases: the same ones everywhere."""
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
"""Follows each case, so that one sees whether a gateway still knows where it stands in the stream."""
VALUES = [
    b"a\0b",
    b"a\x01b",
    b"a\x7fb",
    b"a\x1bb",
    b"a\rb",
    b"a\nb",
    b"a\r\n b",
    b"\xe4",
    b"\tb\t",
    b"",
    b"a,b",
]
OTHER_LINES = [
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: content-length",
    b"Connection: transfer-encoding",
    b"Host: b",
    b"X: 1",
    b"Expect: 100-continue",
    b"Expect: x",
]
METHODS = [
    b"GET",
    b"get",
    b"HEAD",
    b"PURGE",
    b"OPTIONS",
    b"M-SEARCH",
    b"TRACE",
    b"CONNECT",
    b"G" * 33,
    b"P!#$%&'*+.^_`|~",
]


@dataclass(frozen=True)
class Case:
    """Bytes of a client, and what kind of attack they belong to."""

    kind: str
    stream: bytes


def cases(generated: int) -> list[Case]:
    """Every written case, and so many generated ones of each of the two generators."""
    written = [
        *of("length", lengths()),
        *of("encoding", encodings()),
        *of("length with encoding", both()),
        *of("repeated framing", repeated()),
        *of("names like framing", names()),
        *of("chunks", (head(encoding(b"chunked")) + chunks + SMUGGLED for chunks in CHUNK_STREAMS)),
        *of("heads", (bad + SMUGGLED for bad in streams.HEADS)),
        *of("early answers", early()),
        *of("upgrades", upgrades()),
        *of("methods", (asked("/case", method=method) + SMUGGLED for method in METHODS)),
        *of("header values", (head(b"X: " + value) + SMUGGLED for value in VALUES)),
        *of("paths", (asked(target) for target, _ in spellings.KNOWN)),
        *of("hosts", hosts()),
    ]
    dice = random.Random(SEED)  # noqa: S311 - the same cases everywhere, no secret.
    made = [
        *of("generated framing", (framing(dice) for _ in range(generated))),
        *of("generated paths", (path(dice) for _ in range(generated))),
    ]
    return written + made


def of(kind: str, made: Iterator[bytes]) -> Iterator[Case]:
    return (Case(kind, stream + LAST) for stream in made)


def asked(target: str, host: str = "a", method: bytes = b"GET") -> bytes:
    return method + f" {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1")


def lengths() -> Iterator[bytes]:
    for value, version in itertools.product(LENGTHS, [b"1.1", b"1.0"]):
        yield head(length(value), version=version) + b"hello" + SMUGGLED


def encodings() -> Iterator[bytes]:
    for value, version in itertools.product(ENCODINGS, [b"1.1", b"1.0"]):
        yield head(encoding(value), version=version) + CHUNKS + SMUGGLED


def both() -> Iterator[bytes]:
    for told, coded, body in itertools.product(
        [b"0", b"5", b"15"], [b"chunked", b"identity", b""], [CHUNKS, b"hello"]
    ):
        lines = [length(told), encoding(coded)]
        yield head(*lines) + body + SMUGGLED
        yield head(*reversed(lines)) + body + SMUGGLED


def repeated() -> Iterator[bytes]:
    for line in (length(b"5"), encoding(b"chunked")):
        yield head(line, line) + CHUNKS + SMUGGLED
        yield head(line, b"X: 1", line.upper()) + CHUNKS + SMUGGLED


def names() -> Iterator[bytes]:
    for spelling, name in itertools.product(NAMES, [b"Content-Length", b"Transfer-Encoding"]):
        value = b"34" if name == b"Content-Length" else b"chunked"
        yield head(spelling % name + b": " + value) + SMUGGLED


def early() -> Iterator[bytes]:
    """Answered by the gateway itself, before, with or without a body that then must not become requests."""
    for line in (length(b"34"), encoding(b"chunked"), length(b"0"), b"Connection: close"):
        for body in (SMUGGLED, b"22\r\n" + SMUGGLED + b"\r\n0\r\n\r\n"):
            yield head(line, target=b"/early/") + body
            yield head(line, b"Expect: 100-continue", target=b"/early/") + body


def upgrades() -> Iterator[bytes]:
    for protocol in (b"h2c", b"TLS/1.0", b"x"):
        lines = [b"Connection: Upgrade", b"Upgrade: " + protocol]
        yield head(*lines, length(b"0")) + SMUGGLED
        yield head(*lines, length(b"5")) + b"hello" + SMUGGLED


def hosts() -> Iterator[bytes]:
    for sent, _ in spellings.HOSTS:
        yield asked("/host", sent)
    for target in spellings.FOREIGN_TARGETS:
        yield asked(target, "a:443" if "https" in target else "a:80")
    for lines in spellings.WRONG_HOST_LINES:
        yield b"GET /host HTTP/1.1\r\n" + lines + b"\r\n"


def framing(dice: random.Random) -> bytes:
    made = [
        lambda: length(dice.choice(LENGTHS)),
        lambda: encoding(dice.choice(ENCODINGS)),
        lambda: dice.choice(NAMES) % b"Content-Length" + b": 5",
        lambda: dice.choice(NAMES) % b"Transfer-Encoding" + b": chunked",
        lambda: dice.choice(OTHER_LINES),
    ]
    lines = [dice.choice(made)() for _ in range(dice.randrange(4))]
    version = dice.choice([b"1.1", b"1.1", b"1.0"])
    target = dice.choice([b"/case", b"/case", b"/early/"])
    body = dice.choice([b"", b"hello", *CHUNK_STREAMS])
    rest = dice.choice([b"", SMUGGLED, SMUGGLED + SMUGGLED, b"\r\n" + SMUGGLED])
    return head(*lines, version=version, target=target) + body + rest


def path(dice: random.Random) -> bytes:
    segments = [
        "".join(dice.choices(spellings.PIECES, k=dice.randint(1, 3))) for _ in range(dice.randrange(5))
    ]
    text = dice.choice(spellings.PREFIXES) + "/" + "/".join(segments) + dice.choice(spellings.TAILS)
    return asked(dice.choice(spellings.FORMS) + text)
