"""A public key in PEM to a JSON Web Key."""

import json
from typing import Any

_WANTED = "expected a public key in PEM, `-----BEGIN PUBLIC KEY-----`"

_FITTING = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA",),
}


def jwk_of_pem(content: bytes, algorithm: str | None) -> dict[str, Any]:
    """Give the public key with its algorithm. Raises `ValueError` with what would work."""
    if b"PRIVATE KEY" in content:
        message = f"this is a private key; {_WANTED}"
        raise ValueError(message)
    key, name = _load(content)
    fitting = _FITTING.get(key.get("crv", name), ())
    if not fitting:
        message = f"curve {key['crv']} is not supported; use P-256, P-384, P-521 or Ed25519"
        raise ValueError(message)
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
        return document, name
    message = f"the key cannot be read; {_WANTED}"
    raise ValueError(message)
