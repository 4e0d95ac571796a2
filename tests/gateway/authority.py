"""Certificates made while tests run: an authority, and what it signs."""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM files."""

    file: Path
    key_file: Path
    certificate: x509.Certificate

    @property
    def yaml(self) -> str:
        """As a configuration names it."""
        return f'{{file: "{self.file}", key_file: "{self.key_file}"}}'


class Authority:
    """Signs certificates and writes them, and its own as `ca.pem`, into a directory."""

    def __init__(self, directory: Path, name: str = "Test CA") -> None:
        self.directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(self._name, self._name, self._key.public_key(), datetime.timedelta(days=365))
        self.certificate = (
            builder
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(True, False, False, False, False, True, True, False, False), critical=True
            )
            .sign(self._key, hashes.SHA256())
        )
        self.file = directory / "ca.pem"
        directory.mkdir(parents=True, exist_ok=True)
        self.file.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def issue(
        self,
        file: str,
        *names: str,
        lifetime: datetime.timedelta = datetime.timedelta(days=90),
        common_name: str = "",
        others: Sequence[x509.GeneralName] = (),
    ) -> Pair:
        """Sign a certificate for these DNS names or addresses and write `FILE.pem` and `FILE.key`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([
            x509.NameAttribute(NameOID.COMMON_NAME, common_name or (names[0] if names else file))
        ])
        alternatives = [*(_alternative(name) for name in names), *others]
        builder = _builder(subject, self._name, key.public_key(), lifetime).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        pair = Pair(self.directory / f"{file}.pem", self.directory / f"{file}.key", certificate)
        pair.file.write_bytes(certificate.public_bytes(Encoding.PEM))
        pair.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return pair

    def revoke(self, file: str, *pairs: Pair, days: int = 30) -> Path:
        """Sign a list of these certificates that is good for some days, and write it as `FILE.pem`."""
        now = datetime.datetime.now(datetime.UTC)
        began = min(now, now + datetime.timedelta(days=days)) - datetime.timedelta(days=1)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name).last_update(began)
        builder = builder.next_update(now + datetime.timedelta(days=days))
        for pair in pairs:
            revoked = x509.RevokedCertificateBuilder().serial_number(pair.certificate.serial_number)
            builder = builder.add_revoked_certificate(revoked.revocation_date(began).build())
        path = self.directory / f"{file}.pem"
        number = x509.CRLNumber(1)
        signed = builder.add_extension(number, critical=False).sign(self._key, hashes.SHA256())
        path.write_bytes(signed.public_bytes(Encoding.PEM))
        return path


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    # One that has expired began before it ended, as any other did.
    began = min(now, now + lifetime) - datetime.timedelta(days=1)
    return (
        x509
        .CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(began)
        .not_valid_after(now + lifetime)
    )
