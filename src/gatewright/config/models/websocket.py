"""Model of what a route allows of WebSocket."""

from typing import Annotated

from pydantic import Field

from gatewright.config.models.base import Section
from gatewright.config.quantities import Duration, Size, duration, size


class WebSocket(Section):
    """Lets clients open WebSockets to the service. `true` stands for all defaults."""

    idle_timeout: Annotated[Duration, duration("1s", "1d")] = Field(
        Duration.of("5m"),
        description="How long neither side may send anything, pings included; then both get a close frame "
        "(1001). The route's `timeout` ends with the handshake.",
    )
    max_message: Annotated[Size, size("125B", "1GiB")] = Field(
        Size.of("1MiB"),
        description="Size of a message as it is sent, all its frames together and still compressed; a larger "
        "one ends the connection (1009).",
    )
    messages_per_second: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Messages, pings included, that a client may send in a second of one connection; one "
        "more ends it (1008). Not limited by default.",
    )
    messages_per_second_per_caller: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="The same for all connections together that a caller, or without authentication an "
        "address, has on this route of this node; the one that sends one more is ended (1008). Not limited "
        "by default.",
    )
    max_connections_per_caller: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="WebSockets that a caller, or without authentication an address, may have open on this "
        "route of this node; above it 429. Not limited by default.",
    )
    max_connections: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="WebSockets that may be open on this route of this node; above it 503. Not limited by "
        "default, but by the `max_connections` of the listener.",
    )
