"""Which format whoever scrapes wants, by its `Accept` header."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gatewright.metrics.page import Format


@dataclass(frozen=True, slots=True)
class Offer:
    """A format that can be had, and how the answer names it."""

    form: Format
    content_type: str


TEXT = Offer("text", "text/plain; version=0.0.4; charset=utf-8")
OPENMETRICS = Offer("openmetrics", "application/openmetrics-text; version=1.0.0; charset=utf-8")
PROTOBUF = Offer(
    "protobuf",
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
)


def negotiate(accept: str) -> Offer:
    """The format that `accept` prefers; text 0.0.4 where it names none of ours, as browsers and curl do not.

    Of several with the same `q` the one that is named first. A version that is not ours is not accepted.
    """
    best, found = 0.0, TEXT
    for kind, parameters in parsed(accept):
        offer = offered(kind, parameters)
        if offer is not None and (weight := quality(parameters)) > best:
            best, found = weight, offer
    return found


def parsed(accept: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Type and parameters of each entry."""
    for entry in accept.split(","):
        kind, *rest = (part.strip() for part in entry.split(";"))
        pairs = (part.partition("=") for part in rest)
        yield kind.lower(), {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def offered(kind: str, parameters: dict[str, str]) -> Offer | None:
    if kind == "application/vnd.google.protobuf":
        is_ours = parameters.get("proto") == "io.prometheus.client.MetricFamily"
        return PROTOBUF if is_ours and parameters.get("encoding") == "delimited" else None
    if kind == "application/openmetrics-text":
        return OPENMETRICS if parameters.get("version", "1.0.0") in {"1.0.0", "0.0.1"} else None
    if kind == "text/plain":
        return TEXT if parameters.get("version", "0.0.4") == "0.0.4" else None
    return TEXT if kind in {"*/*", "text/*"} else None


def quality(parameters: dict[str, str]) -> float:
    try:
        return min(1.0, max(0.0, float(parameters.get("q", "1"))))
    except ValueError:
        return 0.0
