"""OpenID Connect Discovery: an issuer's own word on where its keys are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gatewright.errors import GatewrightError

WELL_KNOWN = "/.well-known/"
DOCUMENT = WELL_KNOWN + "openid-configuration"


class DiscoveryError(GatewrightError):
    """What an issuer says of itself cannot be used."""


def document_address(issuer: str) -> str:
    """Where the document of an issuer is; an address that names one already stays as it is."""
    return issuer if WELL_KNOWN in issuer else issuer.rstrip("/") + DOCUMENT


def read_document(body: bytes, issuer: str) -> dict[str, Any]:
    """The document, which must be of this issuer. Raises `DiscoveryError`."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DiscoveryError("the discovery document is not JSON") from error
    if not isinstance(document, dict):
        raise DiscoveryError("the discovery document is no object")
    check_issuer(document, issuer)
    return document


def check_issuer(document: Mapping[str, Any], issuer: str) -> None:
    """Refuse a document of another issuer: one could speak for another. Raises `DiscoveryError`."""
    if document.get("issuer") != issuer:
        raise DiscoveryError(f"the discovery document is not of issuer `{issuer}`")


def key_set_address(body: bytes, issuer: str) -> str:
    """Where the key set of an issuer is, by its document. Raises `DiscoveryError`."""
    address = read_document(body, issuer).get("jwks_uri")
    if not isinstance(address, str):
        raise DiscoveryError("the discovery document names no `jwks_uri`")
    return address
