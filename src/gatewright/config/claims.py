"""Who reads claims of tokens, beside the identities themselves.

The data plane forgets what a token says once its caller is known. Where something looks at claims later (a
rule, a tenant, a limit), callers have to keep them, which costs memory for each remembered token.
"""

from collections.abc import Callable

from gatewright.config.models import Gateway

Reader = Callable[[Gateway], bool]
"""Does this part of the configuration look at claims?"""

READERS: tuple[Reader, ...] = ()


def keeps_claims(gateway: Gateway) -> bool:
    """Give whether callers must keep the claims of their tokens."""
    return any(reads(gateway) for reads in READERS)
