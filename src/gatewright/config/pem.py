"""A public key in PEM to a JSON Web Key."""

import json
from typing import Any

_WANTED = "expected a public key in PEM, `-----BEGIN PUBLIC KEY-----`"


def jwk_of_pem(content: bytes, algorithm: str | None) -> dict[str, Any]:
    """Give the public key with its algorithm. Raises `ValueError` with what would work."""
    if b"PRIVATE KEY" in content:
        message = f"this is a private key; {_WANTED}"
        raise ValueError(message)
    key, name = _load(content)
    fitting = {"RSA": ("RS256", "PS256"), "EC": ("ES256",), "OKP": ("EdDSA",)}[name]
    if algorithm is not None and algorithm not in fitting:
        message = f"`{algorithm}` does not fit a key of type {name}; use " + " or ".join(
            f"`{one}`" for one in fitting
        )
        raise ValueError(message)
    return key | {"alg": algorithm or fitting[0]}


def _load(content: bytes) -> tuple[dict[str, Any], str]:
    from joserfc.jwk import ECKey, OKPKey, RSAKey  # noqa: PLC0415 -- loads OpenSSL.

    for kind, name in ((RSAKey, "RSA"), (ECKey, "EC"), (OKPKey, "OKP")):
        try:
            document = json.loads(json.dumps(kind.import_key(content).as_dict(private=False)))
        except Exception:  # noqa: S112 -- each kind refuses the others' keys in its own way; see below.
            continue
        if name == "RSA" or document.get("crv") in {"P-256", "Ed25519"}:
            return document, name
        message = f"curve {document.get('crv')} is not supported; use P-256 or Ed25519"
        raise ValueError(message)
    message = f"the key cannot be read; {_WANTED}"
    raise ValueError(message)
