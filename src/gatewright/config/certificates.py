"""Certificates and private keys: read from PEM files, checked, and brought into the form of the snapshot."""

from __future__ import annotations

import base64
import datetime
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewright.config.key_material import KeyMaterial
from gatewright.config.models import Certificate, Gateway, RedisTls, Service, ServiceTls
from gatewright.config.positions import Node, Position
from gatewright.config.revocations import read_revocations

if TYPE_CHECKING:
    # A large library, which only configurations with TLS load.
    from cryptography.x509 import Certificate as X509

_MIN_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class CertificatePair:
    """A certificate with the chain above it and its private key."""

    file: str
    position: Position
    names: tuple[str, ...]
    """DNS names that it is for, in lower case; a wildcard as `*.example.com`."""
    not_after: datetime.datetime
    chain: tuple[bytes, ...] = field(repr=False)
    key: bytes = field(repr=False)

    def document(self) -> dict[str, Any]:
        """Give it as a member of the snapshot."""
        return {
            "chain": [base64.b64encode(der).decode() for der in self.chain],
            "key": base64.b64encode(self.key).decode(),
        }


@dataclass(slots=True)
class TlsMaterial:
    """What TLS needs of files, by the name of the listener or service that it is for."""

    listener_pairs: dict[str, tuple[CertificatePair, ...]] = field(default_factory=dict)
    service_pairs: dict[str, CertificatePair] = field(default_factory=dict)
    authorities: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    """Trusted certificates by the name of their list; see `trusted_by`."""
    revocations: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    """Revocation lists by the file that holds them."""
    redis: dict[str, Any] | None = None
    """What the data plane needs for TLS to Redis, as PEM texts."""


SYSTEM = "system"
"""The list of the authorities that the operating system trusts."""


def trusted_by(tls: ServiceTls) -> str | None:
    """Give the name of the list of authorities that a service's certificate is checked by."""
    return (tls.ca_file or SYSTEM) if tls.verify else None


def gather_tls(gateway: Gateway, root: Node, material: KeyMaterial) -> TlsMaterial:
    """Read all certificates, keys and authorities. Problems go to `material`, at the line of the
    configuration that names the file.
    """
    found = TlsMaterial()
    for number, listener in enumerate(gateway.listeners):
        if listener.tls is not None:
            location = ("listeners", number, "tls", "certificates")
            pairs = [
                read_pair(certificate, material, root, (*location, place))
                for place, certificate in enumerate(listener.tls.certificates)
            ]
            found.listener_pairs[listener.name] = tuple(pair for pair in pairs if pair is not None)
            clients = listener.tls.client_certificates
            if clients is not None and clients.ca_file not in found.authorities:
                position = root.find(("listeners", number, "tls", "client_certificates", "ca_file"))
                found.authorities[clients.ca_file] = read_authorities(clients.ca_file, material, position)
            if clients is not None and clients.crl_file is not None:
                position = root.find(("listeners", number, "tls", "client_certificates", "crl_file"))
                trusted = found.authorities[clients.ca_file]
                found.revocations[clients.crl_file] = read_revocations(
                    clients.crl_file, trusted, material, position
                )
    for number, service in enumerate(gateway.services):
        if service.tls is not None:
            _service(service, service.tls, found, (material, root, ("services", number, "tls")))
    if gateway.redis is not None and gateway.redis.tls is not None:
        found.redis = _redis(gateway.redis.tls, material, root)
    return found


def _redis(tls: RedisTls, material: KeyMaterial, root: Node) -> dict[str, Any]:
    location = ("redis", "tls")
    authorities = pair = None
    if tls.ca_file is not None:
        ders = read_authorities(tls.ca_file, material, root.find((*location, "ca_file")))
        authorities = "".join(map(ssl.DER_cert_to_PEM_cert, ders))
    if tls.certificate is not None:
        read = read_pair(tls.certificate, material, root, (*location, "certificate"))
        if read is not None:
            key = base64.encodebytes(read.key).decode()
            lines = ("-----BEGIN PRIVATE KEY-----", key.strip(), "-----END PRIVATE KEY-----", "")
            pair = ["".join(map(ssl.DER_cert_to_PEM_cert, read.chain)), "\n".join(lines)]
    return {"authorities": authorities, "certificate": pair}


def _service(
    service: Service,
    tls: ServiceTls,
    found: TlsMaterial,
    place: tuple[KeyMaterial, Node, tuple[str | int, ...]],
) -> None:
    material, root, location = place
    if tls.certificate is not None:
        pair = read_pair(tls.certificate, material, root, (*location, "certificate"))
        if pair is not None:
            found.service_pairs[service.name] = pair
    name = trusted_by(tls)
    if name is None:
        material.problems.append(
            root.find((*location, "verify")).warning(
                f"whoever answers for service `{service.name}` is believed; use `ca_file` instead"
            )
        )
    elif name not in found.authorities:
        found.authorities[name] = _authorities(tls, material, root, location)


def _authorities(
    tls: ServiceTls, material: KeyMaterial, root: Node, location: tuple[str | int, ...]
) -> tuple[bytes, ...]:
    if tls.ca_file is not None:
        return read_authorities(tls.ca_file, material, root.find((*location, "ca_file")))
    ders = system_authorities()
    if not ders:
        cure = "name them in `ca_file`, or install `ca-certificates`"
        material.problems.append(root.find(location).problem(f"the system trusts no authorities; {cure}"))
    return ders


def read_authorities(file: str, material: KeyMaterial, position: Position) -> tuple[bytes, ...]:
    """Give the certificates of a file of authorities; none, and a problem, where it cannot be used."""
    content = material.read(Path(file), position)
    if content is None:
        return ()
    try:
        return tuple(_der(one) for one in read_chain(content))
    except ValueError as error:
        material.problems.append(position.problem(f"file `{file}`: {error}"))
        return ()


def system_authorities() -> tuple[bytes, ...]:
    """Give the authorities that the operating system trusts."""
    context = ssl.create_default_context()
    # Directories of hashed certificates are read by OpenSSL when it needs one; a file is read whole.
    return tuple(sorted(context.get_ca_certs(binary_form=True)))


def read_pair(
    certificate: Certificate, material: KeyMaterial, root: Node, location: tuple[str | int, ...]
) -> CertificatePair | None:
    """Read one certificate and its key; `None`, and problems, where they cannot be used."""
    at, key_at = root.find((*location, "file")), root.find((*location, "key_file"))
    content = material.read(Path(certificate.file), at)
    key_content = material.read(Path(certificate.key_file), key_at)
    if content is None or key_content is None:
        return None
    try:
        chain = read_chain(content)
    except ValueError as error:
        material.problems.append(at.problem(f"file `{certificate.file}`: {error}"))
        return None
    try:
        key = _read_key(key_content, chain)
    except ValueError as error:
        material.problems.append(key_at.problem(f"file `{certificate.key_file}`: {error}"))
        return None
    names = tuple(dns_names(chain[0]))
    material.problems += [
        at.warning(f"file `{certificate.file}`: {text}") for text in _doubts(chain[0], names)
    ]
    return CertificatePair(
        file=certificate.file,
        position=at,
        names=names,
        not_after=chain[0].not_valid_after_utc,
        chain=tuple(_der(one) for one in chain),
        key=key,
    )


def read_chain(content: bytes) -> list[X509]:
    """Give the certificates of a PEM file, at least one. Raises `ValueError` with what would work."""
    from cryptography import x509  # noqa: PLC0415 -- loads OpenSSL.

    if b"-----BEGIN CERTIFICATE-----" not in content:
        message = "no certificate in PEM; expected `-----BEGIN CERTIFICATE-----`"
        raise ValueError(message)
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        message = "a certificate in it cannot be read; export it again as PEM"
        raise ValueError(message) from error


def dns_names(certificate: X509) -> Iterator[str]:
    """Give the DNS names of a certificate's subject alternative names, in lower case."""
    from cryptography import x509  # noqa: PLC0415

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return
    yield from (name.lower().removesuffix(".") for name in names.get_values_for_type(x509.DNSName))


def _read_key(content: bytes, chain: list[X509]) -> bytes:
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415

    try:
        key = form.load_pem_private_key(content, password=None)
    except TypeError as error:
        message = "the key is locked with a passphrase; write it without one (`openssl pkey -in FILE`)"
        raise ValueError(message) from error
    except Exception as error:
        message = "no private key in PEM; expected `-----BEGIN PRIVATE KEY-----`"
        raise ValueError(message) from error
    if isinstance(key, RSAPrivateKey) and key.key_size < _MIN_RSA_BITS:
        message = f"a key of {key.key_size} bits is too weak; use RSA with {_MIN_RSA_BITS} or ECDSA"
        raise ValueError(message)
    kind = (form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)
    public = key.public_key().public_bytes(*kind)
    places = [place for place, one in enumerate(chain) if one.public_key().public_bytes(*kind) == public]
    if not places:
        message = "the key does not belong to the certificate; give the one it was made with"
        raise ValueError(message)
    if places[0] > 0:
        message = f"the key belongs to certificate {places[0] + 1} of the file; that one has to be the first"
        raise ValueError(message)
    return key.private_bytes(form.Encoding.DER, form.PrivateFormat.PKCS8, form.NoEncryption())


def _der(certificate: X509) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    return certificate.public_bytes(Encoding.DER)


def _doubts(certificate: X509, names: tuple[str, ...]) -> Iterator[str]:
    now = datetime.datetime.now(datetime.UTC)
    if certificate.not_valid_after_utc <= now:
        yield f"the certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; renew it"
    if certificate.not_valid_before_utc > now:
        yield f"the certificate is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    if not names:
        yield "the certificate is for no DNS name, so no client that checks will accept it"
