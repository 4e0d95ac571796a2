"""Who reads claims of tokens, beside the identities themselves.

The data plane forgets what a token says once its caller is known. Where something looks at claims later (a
rule, a tenant, a limit), callers have to keep them, which costs memory for each remembered token.
"""

from collections.abc import Callable

from gatewright.config.compile_authorization import rules_read_claims
from gatewright.config.models import Gateway
from gatewright.config.models.tiers import claim_of

Reader = Callable[[Gateway], bool]
"""Does this part of the configuration look at claims?"""


def _of_tenants(gateway: Gateway) -> bool:
    tenants = gateway.tenants
    return tenants is not None and any(source.startswith("claim:") for source in tenants.sources)


def _of_limits(gateway: Gateway) -> bool:
    return any(claim_of(part) is not None for tier in gateway.tiers for part in tier.per)


READERS: tuple[Reader, ...] = (_of_tenants, _of_limits, rules_read_claims)


def keeps_claims(gateway: Gateway) -> bool:
    """Give whether callers must keep the claims of their tokens."""
    return any(reads(gateway) for reads in READERS)
