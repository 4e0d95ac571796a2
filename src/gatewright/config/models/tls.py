"""Models of TLS: certificates, and how listeners and services are secured with them."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from gatewright.config.models.base import OneOrMany, Section, Text
from gatewright.config.quantities import Duration, Timeout


def _version(value: object) -> object:
    """Read `1.3`, which YAML and KDL take for a number."""
    return str(value) if isinstance(value, float) else value


Version = Annotated[Literal["1.2", "1.3"], BeforeValidator(_version)]


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


class ClientCertificates(Section):
    """Certificates of clients. `none` may stand for asking nobody."""

    mode: Literal["request", "require"] = Field(
        "require",
        description="`require` ends handshakes without a certificate; with `request` a client may have none. "
        "One that is not good ends the handshake in both.",
    )
    ca_file: Text = Field(
        description="PEM file with the authorities that sign clients' certificates, and no others; relative "
        "to the configuration file.",
    )
    crl_file: Text | None = Field(
        None,
        description="PEM file with revocation lists, one of each authority above a client's certificate; "
        "relative to the configuration file. Revoked certificates, and those of an authority without a "
        "list, end the handshake. A change of the file is a reload. None by default.",
    )
    headers: bool = Field(
        False,
        description="Tell services with `X-Client-Cert-Verified`, `-Subject`, `-SAN` and `-Fingerprint`. "
        "What clients send under such names never goes on.",
    )


def _none(value: object) -> object:
    return None if value == "none" else value


class ListenerTls(Section):
    """TLS of a listener. Clients speak `https` to it, and nothing else."""

    certificates: Annotated[list[Certificate], OneOrMany] = Field(
        min_length=1,
        max_length=10_000,
        description="Which one a client is shown is decided by the host it asks for (SNI): one that is for "
        "exactly this name, else for a wildcard around it, else the first of the list.",
    )
    min_version: Version = Field(
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
    client_certificates: Annotated[ClientCertificates | None, BeforeValidator(_none)] = Field(
        None, description="Whether clients are asked for a certificate; nobody is by default."
    )


class ServiceTls(Section):
    """TLS to the instances of a service. `on` may stand for it."""

    verify: bool = Field(
        True,
        description="Demand a certificate that a trusted authority has signed for the server's name. "
        "Without it whoever answers at the address is believed.",
    )
    ca_file: Text | None = Field(
        None,
        description="PEM file with the authorities that are trusted, and no others; relative to the "
        "configuration file. Those of the system by default.",
    )
    server_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:_-]{0,252})$")] | None = Field(
        None,
        description="Whom the certificate must be for, and who is asked for (SNI); the host of each "
        "instance by default.",
    )
    certificate: Certificate | None = Field(
        None, description="Shown to instances that ask for one; none by default."
    )
    min_version: Version = Field("1.2", description="Oldest version of TLS that is spoken.")

    @model_validator(mode="after")
    def _one_trust(self) -> "ServiceTls":
        if not self.verify and self.ca_file is not None:
            message = "`ca_file` has no effect with `verify: false`; leave out one of them"
            raise ValueError(message)
        return self
