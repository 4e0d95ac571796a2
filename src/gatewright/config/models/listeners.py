"""Models of listeners: where requests are accepted, and within which bounds."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gatewright.config.models.base import Name, OneOrMany, Section, Text, Texts
from gatewright.config.quantities import Duration, Size, Timeout, size


def _version(value: object) -> object:
    """Read `1.3`, which YAML and KDL take for a number."""
    return str(value) if isinstance(value, float) else value


class Certificate(Section):
    """A certificate and its private key."""

    file: Text = Field(
        description="PEM file with the certificate and those that lead to its authority, in this order; "
        "relative to the configuration file. A change of the file is a reload.",
    )
    key_file: Text = Field(
        description="PEM file with the private key, without a passphrase; relative to the configuration "
        "file. Best readable for the gateway's user alone.",
    )


class ListenerTls(Section):
    """TLS of a listener. Clients speak `https` to it, and nothing else."""

    certificates: Annotated[list[Certificate], OneOrMany] = Field(
        min_length=1,
        max_length=10_000,
        description="Which one a client is shown is decided by the host it asks for (SNI): one that is for "
        "exactly this name, else for a wildcard around it, else the first of the list.",
    )
    min_version: Annotated[Literal["1.2", "1.3"], BeforeValidator(_version)] = Field(
        "1.2", description="Oldest version of TLS that is spoken; clients that know no newer one fail."
    )
    handshake_timeout: Timeout = Field(
        Duration.of("10s"), description="For a whole handshake; then the connection closes."
    )
    max_handshakes: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Handshakes in progress at once on the whole node; above it new connections are closed.",
    )


class Listener(Section):
    """An address that accepts requests."""

    name: Name = Field(description="Name in records and metrics.")
    address: Text = Field(
        description="IP address and port, such as `127.0.0.1:8080`, `0.0.0.0:80` or `[::1]:8080`.",
    )
    max_connections: int = Field(
        10_000, ge=1, le=10_000_000, description="Open connections; above it new ones are closed at once."
    )
    header_timeout: Timeout = Field(
        Duration.of("10s"),
        description="From the first byte of a head to its end; then 408 and the connection closes.",
    )
    idle_timeout: Timeout = Field(
        Duration.of("60s"), description="Between two requests of one connection; then the connection closes."
    )
    body_timeout: Timeout = Field(
        Duration.of("30s"),
        description="Between two reads of a request's body; then 408 and the connection closes.",
    )
    write_timeout: Timeout = Field(
        Duration.of("30s"),
        description="Between two writes of a response that the client takes; then it is cut off.",
    )
    max_header_bytes: Annotated[Size, size("1KiB", "1MiB")] = Field(
        Size.of("8KiB"), description="Size of a request's head; above it 431."
    )
    max_uri_bytes: Annotated[Size, size("64B", "64KiB")] = Field(
        Size.of("8KiB"), description="Length of path and query; above it 414."
    )
    trusted_proxies: Texts = Field(
        default_factory=list,
        description="Addresses or networks (`10.0.0.0/8`) whose `X-Forwarded-For` is believed; nobody's by "
        "default.",
    )
    path_parameters: Literal["refuse", "keep"] = Field(
        "refuse",
        description="What a `;` in a path is: `refuse` answers 400, `keep` takes it for a character of its "
        "segment.",
    )
    tls: ListenerTls | None = Field(
        None, description="Certificates and how TLS is spoken; without it the listener speaks plain `http`."
    )
