"""Revocation lists of authorities: read from PEM files and held against the authorities that they are for."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gatewright.config.key_material import KeyMaterial
from gatewright.config.positions import Position

if TYPE_CHECKING:
    # A large library, which only configurations with TLS load.
    from cryptography.x509 import CertificateRevocationList

_LIST = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


def read_revocations(
    file: str, authorities: Sequence[bytes], material: KeyMaterial, position: Position
) -> tuple[bytes, ...]:
    """Give the lists of a file in DER; none, and a problem, where it cannot be used."""
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 -- loads OpenSSL.

    content = material.read(Path(file), position)
    if content is None:
        return ()
    try:
        lists = _parse(content)
    except ValueError as error:
        material.problems.append(position.problem(f"file `{file}`: {error}"))
        return ()
    doubts = _doubts(lists, authorities)
    material.problems += [position.warning(f"file `{file}`: {text}") for text in doubts]
    return tuple(one.public_bytes(Encoding.DER) for one in lists)


def _parse(content: bytes) -> list[CertificateRevocationList]:
    from cryptography import x509  # noqa: PLC0415

    found = _LIST.findall(content)
    if not found:
        message = "no revocation list in PEM; expected `-----BEGIN X509 CRL-----`"
        raise ValueError(message)
    try:
        return [x509.load_pem_x509_crl(one) for one in found]
    except ValueError as error:
        message = "a revocation list in it cannot be read; export it again as PEM"
        raise ValueError(message) from error


def _doubts(lists: Sequence[CertificateRevocationList], authorities: Sequence[bytes]) -> Iterator[str]:
    from cryptography import x509  # noqa: PLC0415

    issuers = {one.issuer for one in lists}
    for der in authorities:
        subject = x509.load_der_x509_certificate(der).subject
        if subject not in issuers:
            name = subject.rfc4514_string()
            yield f"no list of the authority `{name}`, so whoever it has signed for is refused"
    now = datetime.datetime.now(datetime.UTC)
    for one in lists:
        due = one.next_update_utc
        if due is not None and due <= now:
            name = one.issuer.rfc4514_string()
            yield f"the list of `{name}` was to be replaced by {due:%Y-%m-%d %H:%M} UTC; it still holds"
