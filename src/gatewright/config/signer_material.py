"""Keys of those who sign: public ones read from files, all in the form of the snapshot."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewright.config.models.signatures import SignatureIdentity, Signer
from gatewright.config.positions import Node, Position

if TYPE_CHECKING:
    from gatewright.config.key_material import KeyMaterial


def signers_of(
    identity: SignatureIdentity, material: KeyMaterial, root: Node, location: tuple[str | int, ...]
) -> list[dict[str, Any]]:
    """The keys that could be read; a problem for each other."""
    seen: set[str] = set()
    made = []
    for number, signer in enumerate(identity.keys):
        position = root.find((*location, "keys", number))
        if signer.id in seen:
            material.problems.append(position.problem(f"key `{signer.id}` is there twice"))
        seen.add(signer.id)
        if signer.tier is not None:
            material.tiers.append((signer.tier, position))
        key = key_of(signer, material, root.find((*location, "keys", number, "public_key")))
        if key is not None:
            made.append(document(signer, key, material, position))
    return made


def document(
    signer: Signer, key: tuple[str, bytes], material: KeyMaterial, position: Position
) -> dict[str, Any]:
    from gatewright.config.key_material import end_of  # noqa: PLC0415 - it imports this module.

    algorithm, content = key
    return {
        "id": signer.id,
        "algorithm": algorithm,
        "key": base64.b64encode(content).decode(),
        "partner": signer.partner,
        "scopes": signer.scopes,
        "roles": signer.roles,
        "tier": signer.tier,
        "expires_at_ms": end_of(signer, material, position, ""),
    }


def key_of(signer: Signer, material: KeyMaterial, position: Position) -> tuple[str, bytes] | None:
    """The algorithm, and the secret or the key as SubjectPublicKeyInfo."""
    if signer.secret is not None:
        return "hmac-sha256", signer.secret.encode()
    content = material.read(Path(signer.public_key or ""), position)
    if content is None:
        return None
    try:
        return public_key(content)
    except ValueError as error:
        material.problems.append(position.problem(f"file `{signer.public_key}`: {error}"))
        return None


def public_key(content: bytes) -> tuple[str, bytes]:
    """Raises `ValueError` with what would work."""
    # Loads a large library, which no other form of key needs.
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        PublicFormat,
        load_pem_public_key,
    )

    if b"PRIVATE KEY" in content:
        message = "is a private key; a gateway needs only the public one"
        raise ValueError(message)
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        message = "is no public key in PEM"
        raise ValueError(message) from error
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519", der
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return "ecdsa-p256-sha256", der
    if isinstance(key, rsa.RSAPublicKey) and 2048 <= key.key_size <= 8192:
        return "rsa-pss-sha512", der
    message = "is of a kind that is not supported; Ed25519, P-256 or RSA of 2048 to 8192 bits would work"
    raise ValueError(message)
