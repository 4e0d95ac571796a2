"""Makes what docs/incidents.md needs beside the configuration: keys, tokens, and a certificate that has
ended.
"""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gatewright.identity import tokens

KEY, HOUR = Path("staff.jwk"), 3600


def make_tokens() -> None:
    """Two tokens: one was good until an hour ago, the other lacks a scope."""
    tokens.write_key_pair(tokens.generate("ES256", "staff"), KEY, Path("jwks.json"))
    now = int(time.time())
    for name, scopes, issued in (("old-token", ("reports:read",), now - 2 * HOUR), ("weak-token", (), now)):
        wanted = tokens.TokenRequest("ada", "https://id.example.com", scopes=scopes, lifetime=HOUR)
        Path(name).write_text(tokens.mint(KEY, wanted, issued))


def make_certificate() -> None:
    """A certificate of 90 days that nobody renewed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop.example.com")])
    ended = datetime.now(UTC) - timedelta(days=2)
    certificate = (
        x509
        .CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ended - timedelta(days=90))
        .not_valid_after(ended)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("shop.example.com")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    Path("shop.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    Path("shop.pem").write_bytes(certificate.public_bytes(pem))


make_tokens()
make_certificate()
