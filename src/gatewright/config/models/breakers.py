"""The model of circuit breakers."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from gatewright.config.models.base import HeaderName, OneOrMany, Section
from gatewright.config.quantities import Duration, duration


def _off(value: object) -> object:
    """Read `off`: the rule does not hold."""
    return None if value is False or value == "off" else value


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def statuses(text: str) -> tuple[int, int]:
    """Read `5xx`, `429` or `502-504` as from and to. Raises `ValueError` with what would work."""
    first, _, last = text.partition("-")
    if text[1:] == "xx":
        first, last = f"{text[0]}00", f"{text[0]}99"
    if not (first.isascii() and first.isdigit() and (last or "0").isascii() and (last or "0").isdigit()):
        message = f"`{text}` is no status; write `5xx`, `429` or `502-504`"
        raise ValueError(message)
    begin, end = int(first), int(last or first)
    if not 400 <= begin <= end <= 599:
        message = f"`{text}` is not within 400 to 599; other statuses are no failures"
        raise ValueError(message)
    return begin, end


def _status(text: str) -> str:
    statuses(text)
    return text


Statuses = Annotated[str, BeforeValidator(_text), AfterValidator(_status)]
Ratio = Annotated[float | None, BeforeValidator(_off)]


class CircuitBreaker(Section):
    """Stops asking a service that fails. `off` may stand for it."""

    enabled: bool = Field(True, description="Whether the service has a breaker at all.")
    scope: Literal["service", "instance"] = Field(
        "service",
        description="`service`: one breaker for all instances. `instance`: one for each; an instance whose "
        "breaker is open is not picked.",
    )
    failure_ratio: Ratio = Field(
        0.5,
        gt=0,
        lt=1,
        description="Share of failed requests in the window above which the breaker opens, or `off`.",
    )
    slow_ratio: Ratio = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of slow requests in the window at which the breaker opens, or `off`.",
    )
    slow_after: Annotated[Duration, duration("1ms", "1h")] = Field(
        Duration.of("5s"),
        description="A request is slow when the head of its answer takes longer. How long the client takes "
        "for its body or for reading does not count.",
    )
    consecutive_failures: Annotated[int | None, BeforeValidator(_off)] = Field(
        None, ge=1, le=1_000_000, description="Failures in a row that open the breaker; `off` by default."
    )
    load_ratio: Ratio = Field(
        None,
        gt=0,
        le=1,
        description="Share of requests in the window whose answers report more load than `load_above`, at "
        "which the breaker opens; `off` by default.",
    )
    load_above: int = Field(
        80, ge=1, le=1000, description="Load in per cent above which an instance has too much to do."
    )
    load_header: HeaderName = Field(
        "endpoint-load-metrics",
        description="Header of answers that reports it: a number (`0.83` or `83%`), or a report of ORCA as "
        "text or JSON. It does not go on to clients.",
    )
    load_metric: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")] = Field(
        "cpu_utilization", description="Which number of a report with several."
    )
    window: Annotated[Duration, duration("1s", "1h")] = Field(
        Duration.of("30s"), description="Time over which requests are counted."
    )
    window_size: int | None = Field(
        None, ge=1, le=100_000, description="Count the last so many requests instead of those of a time."
    )
    minimum_requests: int = Field(
        20, ge=1, le=1_000_000, description="Requests in the window below which no ratio opens the breaker."
    )
    failure_statuses: Annotated[list[Statuses], OneOrMany] = Field(
        default_factory=lambda: ["5xx"],
        max_length=20,
        description="Statuses of the service that are failures: `5xx`, `429`, `502-504`. Timeouts and broken "
        "connections always are.",
    )
    open_for: Annotated[Duration, duration("100ms", "1h")] = Field(
        Duration.of("30s"), description="How long requests are refused with 503 before one is tried again."
    )
    open_growth: float = Field(
        1.0,
        ge=1,
        le=10,
        description="Each opening in a row lasts this many times as long as the one before; 1 for alike.",
    )
    max_open_for: Annotated[Duration, duration("100ms", "1d")] = Field(
        Duration.of("2m"), description="An opening never lasts longer because of `open_growth`."
    )
    probes: int = Field(
        2, ge=1, le=100, description="Successes in a row, while half open, that close the breaker again."
    )
    concurrent_probes: int = Field(
        1, ge=1, le=100, description="Requests that are let through at a time while half open."
    )
    on_probe_failure: Literal["open", "restart"] = Field(
        "open",
        description="What a failure while half open does: `open` opens the breaker again, `restart` begins "
        "counting successes again, at most `probe_limit` requests long.",
    )
    probe_limit: int = Field(
        10, ge=1, le=1000, description="With `restart`: requests after which a half-open breaker opens again."
    )
    probe_timeout: Annotated[Duration, duration("100ms", "1h")] = Field(
        Duration.of("30s"),
        description="After which a probe gives its place to the next. If its answer has begun by then, that "
        "decides; so neither slow readers nor endless answers keep a breaker half open.",
    )
    ramp: Annotated[Duration, duration("0s", "1h")] = Field(
        Duration.of("2m"),
        description="After closing, 10, 25 and 50 % of the requests pass for a third of this time each; the "
        "others get 503. `0s` for none.",
    )
