"""One check alone, such as a limit or a token: its price is the difference to `plain`."""

from dataclasses import dataclass
from typing import Literal

CALLER_HEADER = "X-Caller"
KEY_HEADER = "X-API-Key"

RULE = (
    f'request.headers["{CALLER_HEADER}"].startsWith("caller-") && request.method in ["GET", "HEAD"] '
    '&& !in_network(request.client_ip, ["10.0.0.0/8", "2001:db8::/32"])'
)

SigningAlgorithm = Literal["RS256", "ES256", "EdDSA"]
Limiter = Literal[
    "sliding_window",
    "fixed_window",
    "sliding_log",
    "token_bucket",
    "gcra",
    "leaky_bucket",
    "concurrency",
]


@dataclass(frozen=True, slots=True)
class Check:
    """What every request of a scenario is checked for: exactly one of `limiter`, `signed`, `api_key` and
    `rule`.
    """

    # A limit for each value of `CALLER_HEADER`, and how many values are sent.
    limiter: Limiter | None = None
    callers: int = 256
    # Where its counters are shared with other nodes: in Redis, asked by each request, or for several at once.
    shared: Literal["exact", "leased"] | None = None
    # The algorithm of the tokens' signatures.
    signed: SigningAlgorithm | None = None
    # A key of the key store.
    api_key: bool = False
    # An expression in CEL that holds for requests with a caller and fails for others.
    rule: str | None = None
    # Whether what was verified or looked up once is known from then on.
    remembered: bool = True

    @property
    def proves(self) -> bool:
        """Whether a request without its credential is refused."""
        return self.signed is not None or self.api_key

    @property
    def unreached_limit(self) -> int:
        """A limit that nobody reaches, by the algorithm: one that remembers each request has less room."""
        return {"sliding_log": 10_000, "concurrency": 1_000_000}.get(self.limiter or "", 100_000_000)
