"""Models of what the node does when it is short of processor time or memory."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from gatewright.config.models.base import Section
from gatewright.config.models.services import _switch
from gatewright.config.quantities import Duration, Size, duration, size

Percent = Annotated[int, Field(ge=1, le=100)]


class CpuShedding(Section):
    """Refuses routes by priority when the processors are busy; P0 never. `off` may stand for it."""

    enabled: bool = Field(True, description="Whether anything is shed by the use of the processors.")
    p3: Percent = Field(60, description="Use in percent above which routes of priority P3 are refused.")
    p2: Percent = Field(75, description="Use in percent above which routes of priority P2 are refused.")
    p1: Percent = Field(90, description="Use in percent above which routes of priority P1 are refused.")
    window: Annotated[Duration, duration("1s", "2m")] = Field(
        Duration.of("10s"),
        description="Time over which the use is averaged; also how long a priority stays refused at least.",
    )


class MemoryShedding(Section):
    """Refuses routes when memory runs out. `off` may stand for it."""

    enabled: bool = Field(True, description="Whether anything is shed by the use of memory.")
    low: Percent = Field(
        80, description="Use in percent above which routes of the priorities P2 and P3 are refused."
    )
    all: Percent = Field(95, description="Use in percent above which every new request is refused, P0 too.")
    limit: Annotated[Size, size("16MiB", "1024GiB")] | None = Field(
        None,
        description="What counts as all of the memory; what the control group allows by default, or what "
        "the machine has.",
    )


class Concurrency(Section):
    """Limits how many requests each service has in flight, by how long they take. `on` may stand for it."""

    enabled: bool = Field(True, description="Whether services have such limits at all.")
    minimum: int = Field(10, ge=1, le=100_000, description="A limit never falls below this.")
    maximum: int = Field(1000, ge=1, le=1_000_000, description="A limit never rises above this.")
    tolerance: float = Field(
        1.5,
        ge=1,
        le=10,
        description="How many times its usual time a service may take before its limit falls.",
    )


def _no_concurrency() -> Concurrency:
    return Concurrency(enabled=False)


class Overload(Section):
    """Which requests the node refuses when it cannot serve all: 503 `overloaded` with `X-Load-Shed`."""

    cpu: Annotated[CpuShedding, BeforeValidator(_switch)] = Field(
        default_factory=CpuShedding,
        description="Shedding by the use of the processors that the node may use; `off` for none.",
    )
    memory: Annotated[MemoryShedding, BeforeValidator(_switch)] = Field(
        default_factory=MemoryShedding,
        description="Shedding by the resident memory of the process; `off` for none.",
    )
    concurrency: Annotated[Concurrency, BeforeValidator(_switch)] = Field(
        default_factory=_no_concurrency,
        description="Limits of requests in flight at each service that adapt to how long they take; off by "
        "default.",
    )
    margin: int = Field(
        5,
        ge=0,
        le=50,
        description="How many percent the use must fall under a threshold before that priority is served "
        "again.",
    )
    retry_after: Annotated[Duration, duration("1s", "1h")] = Field(
        Duration.of("5s"),
        description="What refused clients are told to wait at least; each is told another time up to twice "
        "this, so that they do not come back together.",
    )
