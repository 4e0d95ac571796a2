"""Models of what belongs to the node itself: its bounds, admin address and reloading."""

from typing import Annotated

from pydantic import Field

from gatewright.config.models.base import Section, Text
from gatewright.config.quantities import Duration, Size, duration, size


class Node(Section):
    """The node: its name and the bounds of what it holds in memory."""

    name: Text | None = Field(
        None, description="Name of this node in records and metrics; the host name by default."
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Worker threads; one per processor by default. `--workers` of `gatewright run` goes "
        "first.",
    )
    max_in_flight: int = Field(
        5000,
        ge=1,
        le=10_000_000,
        description="Requests under way on the whole node; above it new ones are refused with 503 "
        "`overloaded`.",
    )
    max_limit_keys: int = Field(
        1_000_000,
        ge=1000,
        le=100_000_000,
        description="Callers that rate limits are counted for, all tiers together; above it a check counts "
        "as failed and the route's `on_failure` decides.",
    )
    max_limit_waiting: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Requests that tiers with `leaky_bucket` let wait at one time, on the whole node; "
        "above it they are refused with 429.",
    )
    max_rule_steps: int = Field(
        10_000,
        ge=100,
        le=1_000_000,
        description="Steps that the rules of a route may take for one request, where an operator is one and "
        "what walks over a text or list takes more; above it the request is refused with 403 `rule_denied`.",
    )
    token_cache: int = Field(
        10_000,
        ge=0,
        le=1_000_000,
        description="Verified tokens that each worker remembers; above it the oldest are forgotten. 0 turns "
        "it off.",
    )
    max_file_transfers: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Files on their way to clients, on the whole node; above it 503 `overloaded`. Each has "
        "one read under way and 64 KiB in memory at most.",
    )
    max_compressions: int = Field(
        200,
        ge=1,
        le=100_000,
        description="Answers that are compressed at once, on the whole node; above it they go on as they "
        "are. Each takes up to 4 MiB of memory, 2 MiB at the default levels.",
    )
    max_retry_memory: Annotated[Size, size("0B", "64GiB")] = Field(
        Size.of("64MiB"),
        description="Bodies that are kept for another attempt, all together; above it a request whose body "
        "is still coming is sent once, and `gateway_retry_bodies_dropped_total` counts it.",
    )
    quota_save_interval: Annotated[Duration, duration("100ms", "60s")] = Field(
        Duration.of("2s"),
        description="How often the counts of tiers with `calendar` are stored in the state directory. A "
        "node that is killed forgets at most what it counted in this time; one that ends, nothing.",
    )
    ban_interval: Annotated[Duration, duration("100ms", "5s")] = Field(
        Duration.of("1s"),
        description="How often bans that began or were lifted are stored in the state directory and, with "
        "`redis`, told to other nodes and taken from them.",
    )
    state_directory: Text | None = Field(
        None,
        description="Directory for the last good snapshot and SQLite records, relative to the configuration "
        "file; `.gatewright` beside the first configuration file by default.",
    )
    drain_delay: Annotated[Duration, duration("0s", "1h")] = Field(
        Duration.of("0s"),
        description="How long after SIGTERM a node still accepts connections while `/readyz` says 503, so "
        "that balancers can look away first. `drain_timeout` begins afterwards. Not after a takeover.",
    )
    drain_timeout: Annotated[Duration, duration("0s", "1h")] = Field(
        Duration.of("30s"), description="How long requests may finish after SIGTERM before they are cut off."
    )


class Admin(Section):
    """The admin listener: health, metrics and the admin API."""

    address: Text = Field(
        "127.0.0.1:9901", description="IP address and port. Any address but a loopback one demands `token`."
    )
    token: Annotated[str, Field(min_length=16)] | None = Field(
        None,
        description="Secret that `Authorization: Bearer` must carry, at least 16 characters; best as "
        "`${file:...}` or `${env:...}`. None is demanded on a loopback address by default.",
    )


class Reload(Section):
    """How changes of the files become live."""

    watch: bool = Field(True, description="Reload when a file changes. SIGHUP reloads in any case.")
    debounce: Annotated[Duration, duration("10ms", "1m")] = Field(
        Duration.of("250ms"),
        description="Quiet time after a change before it is read, so that half a copy is not.",
    )
