"""Models of listeners: where requests are accepted, and within which bounds."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from gatewright.config.models.base import Name, OneOrMany, Section, Text, Texts
from gatewright.config.models.tls import ListenerTls
from gatewright.config.quantities import Duration, Size, Timeout, size


class Http2(Section):
    """What one HTTP/2 connection may ask of the gateway.

    Where a maximum is exceeded the client is told so (GOAWAY, `ENHANCE_YOUR_CALM`) and its connection is
    closed, unless said otherwise. Of maxima of frames a tenth is forgiven each second.
    """

    max_streams: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Streams open at once; more are refused one by one (`REFUSED_STREAM`).",
    )
    max_resets: int = Field(200, ge=1, le=1_000_000, description="Streams that the client itself resets.")
    max_stream_errors: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Streams that the gateway refuses or resets because of a mistake of the client.",
    )
    max_overhead_frames: int = Field(
        1000,
        ge=10,
        le=1_000_000,
        description="Frames that bring neither a request nor data (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, "
        "empty DATA, unknown ones), beyond two for each request and each DATA frame of an answer.",
    )
    max_continuations: int = Field(
        8,
        ge=0,
        le=1000,
        description="CONTINUATION frames of one head, all of whose frames are 16 KiB at most.",
    )
    max_pending_resets: int = Field(
        20,
        ge=0,
        le=10_000,
        description="Streams that the client has reset before the gateway came to look at them.",
    )
    stream_window: Annotated[Size, size("64KiB", "16MiB")] = Field(
        Size.of("256KiB"), description="Bytes of one request's body that the client may send ahead."
    )
    connection_window: Annotated[Size, size("64KiB", "256MiB")] = Field(
        Size.of("1MiB"), description="The same for all requests of a connection together."
    )


def _https_port(value: object) -> object:
    if value is True:
        return 443
    return None if value is False else value


def _networks_alone(value: object) -> object:
    return {"from": value} if isinstance(value, str | list | tuple) else value


class ProxyProtocol(Section):
    """Balancers that say before all else whose connection they pass on. Networks alone may stand for it."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    from_: Annotated[Texts, Field(min_length=1)] = Field(
        alias="from",
        description="Addresses or networks (`10.0.0.0/8`) whose header is read; from others it is a bad "
        "request.",
    )
    required: bool = Field(
        True,
        description="Close connections from there that come without a header; `false` takes them for the "
        "peer's own.",
    )


class Listener(Section):
    """An address that accepts requests."""

    name: Name = Field(description="Name in records and metrics.")
    address: Text = Field(
        description="IP address and port, such as `127.0.0.1:8080`, `0.0.0.0:80` or `[::1]:8080`, or the "
        "absolute path of a socket, such as `unix:/run/gatewright.sock`. `[::]` accepts IPv4 as well.",
    )
    socket_mode: Annotated[str, Field(pattern=r"^0?[0-7]{3}$")] = Field(
        "0660",
        description="Who may connect to a socket that is a path: the mode of its file, in quotes.",
    )
    proxy_protocol: Annotated[ProxyProtocol | None, BeforeValidator(_networks_alone)] = Field(
        None,
        description="From whom the PROXY protocol, version 1 or 2, is taken; nobody by default. The address "
        "that it tells is the peer's for all that follows.",
    )
    protocols: Annotated[list[Literal["http1", "http2"]], OneOrMany, Field(min_length=1)] = Field(
        default_factory=lambda: ["http1", "http2"],
        description="What is spoken: `http1` (HTTP/1.0 and HTTP/1.1), `http2`; both by default, in any "
        "order. A client of TLS that offers both gets HTTP/2; a connection that is not TLS speaks it when it "
        "begins with its preface.",
    )
    max_connections: int = Field(
        10_000, ge=1, le=10_000_000, description="Open connections; above it new ones are closed at once."
    )
    max_connections_per_client: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Open connections of one client, which is an IPv4 address or an IPv6 network of 64 bits; "
        "above it new ones are closed at once. As many as `max_connections` by default.",
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
    min_body_rate: Annotated[Size, size("0B", "1MiB")] = Field(
        Size.of("256B"),
        description="Bytes of a request's body in a second. A client that is slower is waited for "
        "`body_timeout` in all, and not each time; then 408. `0B` for no such bound; gRPC has none.",
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
    http2: Http2 = Field(default_factory=Http2, description="Bounds of each HTTP/2 connection.")
    redirect_to_https: Annotated[
        Annotated[int, Field(ge=1, le=65535)] | None, BeforeValidator(_https_port)
    ] = Field(
        None,
        description="Answer every request with a redirect (308) to `https` at this port; `true` is 443. "
        "Where this node listens there, only hosts that it has a certificate for are sent on; others get "
        "421.",
    )
    tls: ListenerTls | None = Field(
        None, description="Certificates and how TLS is spoken; without it the listener speaks plain `http`."
    )
