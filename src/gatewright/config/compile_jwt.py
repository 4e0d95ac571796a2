"""An identity of tokens to its part of the snapshot."""

from typing import Any

from gatewright.config.models import ClaimTest, Dpop, JwtIdentity


def compile_jwt(identity: JwtIdentity, keys: object, *, keep_claims: bool) -> dict[str, Any]:
    """Give the document of an identity. `keys`: those that do not come later."""
    return {
        "header": identity.header.lower(),
        "cookie": identity.cookie,
        "query": identity.query,
        "issuers": identity.issuer,
        "audiences": identity.audience,
        "leeway_ms": int(identity.leeway),
        "require_expiry": identity.require_expiry,
        "max_age_ms": None if identity.max_age is None else int(identity.max_age),
        "types": None if identity.types is None else [plain_type(one) for one in identity.types],
        "required_claims": [_test(one) for one in identity.required_claims],
        "forbidden_claims": [_test(one) for one in identity.forbidden_claims],
        "user_claim": identity.user_claim,
        "scope_claims": identity.scope_claims,
        "role_claims": identity.role_claims,
        "claim_headers": [
            {"header": name.lower(), "claim": claim} for name, claim in identity.claim_headers.items()
        ],
        "certificate_bound": identity.certificate_bound,
        "tier_claim": identity.tier_claim,
        "dpop": None if identity.dpop is None else _dpop(identity.dpop),
        "keep_claims": keep_claims,
        "keys": keys,
    }


def plain_type(name: str) -> str:
    """Give a `typ` as tokens are compared by: in lower case, without `application/`."""
    return name.lower().removeprefix("application/")


def _dpop(dpop: Dpop) -> dict[str, Any]:
    return {"optional": dpop.optional, "max_age_ms": int(dpop.max_age), "max_proofs": dpop.max_proofs}


def _test(test: ClaimTest) -> dict[str, Any]:
    return {"claim": test.claim, "equals": test.equals}
