"""The certificate of the TLS scenarios: the same key, of the same kind, for every peer."""

import ipaddress
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scenario import WORK

DIRECTORY = WORK / "tls"
CERTIFICATE_FILE = DIRECTORY / "certificate.pem"
KEY_FILE = DIRECTORY / "key.pem"
# HAProxy of Debian wants both in one file.
BOTH_FILE = DIRECTORY / "both.pem"
# One cipher for all: left alone, some servers choose the shorter key and some the longer.
CIPHER = "TLS_AES_128_GCM_SHA256"
CLIENT_FILE = DIRECTORY / "openssl.cnf"
CLIENT = f"""
openssl_conf = init
[init]
ssl_conf = modules
[modules]
system_default = clients
[clients]
MinProtocol = TLSv1.3
Ciphersuites = {CIPHER}
"""


def make_certificate() -> None:
    """Write a P-256 key, a certificate for 127.0.0.1 that it signs, and what binds wrk to TLS 1.3."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench.example")])
    address = x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))
    now = datetime.now(UTC)
    certificate = (
        x509
        .CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        # Longer than the 30 days from which Gatewright warns.
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([address, x509.DNSName("bench.example")]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    CERTIFICATE_FILE.write_bytes(certificate)
    KEY_FILE.write_bytes(pem)
    BOTH_FILE.write_bytes(certificate + pem)
    CLIENT_FILE.write_text(CLIENT)
