"""An identity whose issuer judges its tokens, to its part of the snapshot."""

import hashlib
import json
from typing import Any

from gatewright.config.models import IntrospectionIdentity


def compile_introspection(identity: IntrospectionIdentity, *, keep_claims: bool) -> dict[str, Any]:
    """Give the document of an identity. Whom to ask, and how, is not in it."""
    asked = json.dumps([identity.url, identity.client_id, identity.client_secret, identity.bearer_token])
    return {
        "tokens": {
            "header": identity.header.lower(),
            "cookie": identity.cookie,
            "query": identity.query,
            "issuers": [] if identity.issuer is None else [identity.issuer],
            "audiences": identity.audience,
            "leeway_ms": int(identity.leeway),
            "require_expiry": identity.require_expiry,
            "user_claim": identity.user_claim,
            "scope_claims": identity.scope_claims,
            "role_claims": identity.role_claims,
            "certificate_bound": identity.certificate_bound,
            "tier_claim": identity.tier_claim,
            "keep_claims": keep_claims,
        },
        "issuer_stamp": hashlib.sha256(asked.encode()).hexdigest(),
        "cache_ttl_ms": int(identity.cache_ttl),
        "cache_tokens": identity.cache_tokens,
        "refused_ttl_ms": int(identity.refused_ttl),
        "cache_refused": identity.cache_refused,
        "timeout_ms": int(identity.timeout),
        "max_lookups": identity.max_lookups,
        "lookups_per_address": identity.lookups_per_address,
    }
