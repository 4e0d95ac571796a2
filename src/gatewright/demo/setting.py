"""What the demonstration needs on disk: keys, a token, an API key, a configuration. Everything in one
directory.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from pathlib import Path

from gatewright.control.durable import write_durably
from gatewright.errors import GatewrightError
from gatewright.identity import api_keys, tokens

SERVICES = ("users", "orders", "payments")
ISSUER = "https://demo.gatewright.test"
AUDIENCE = "demo"
TOKEN_SECONDS = 12 * 3600


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens on 127.0.0.1."""

    public: int = 8080
    admin: int = 9901
    services: tuple[int, int, int] = (9001, 9002, 9003)

    @classmethod
    def from_base(cls, base: int) -> Ports:
        """Five ports in a row from `base`."""
        return cls(base, base + 1, (base + 2, base + 3, base + 4))

    def check(self) -> None:
        """Raises `GatewrightError` that names a busy port and the way out."""
        for port in (self.public, self.admin, *self.services):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                    # The data plane shares ports between its threads, so only listening shows that nobody
                    # else does.
                    probe.listen()
                except OSError as error:
                    message = (
                        f"port {port} is busy ({error.strerror}); choose others with `--port-base 18080`"
                    )
                    raise GatewrightError(message) from error


CONFIGURATION = """\
# Written by `gatewright demo`; try changes here while it runs: they are live when you save.
version: 1
listeners:
  - name: public
    address: 127.0.0.1:{ports.public}
admin:
  address: 127.0.0.1:{ports.admin}

services:
  - name: users
    instances: ["127.0.0.1:{ports.services[0]}"]
    health_check: {{path: /healthz, interval: 5s}}
  - name: orders
    instances: ["127.0.0.1:{ports.services[1]}"]
    health_check: {{path: /healthz, interval: 5s}}
  - name: payments
    instances: ["127.0.0.1:{ports.services[2]}"]
    health_check: {{path: /healthz, interval: 5s}}
    # Small, so that a handful of failures opens it.
    circuit_breaker: {{minimum_requests: 5, window: 10s, open_for: 10s}}

identities:
  - name: mobile
    kind: jwt
    issuer: {issuer}
    audience: {audience}
    jwks: {{file: jwks.json}}
  - name: partners
    kind: api_key
    header: X-API-Key
    keys: {{file: partners.json}}

tiers:
  - {{name: roomy, limit: 1000, window: 60s, per: client_ip}}
  - {{name: tight, limit: 3, window: 60s, per: client_ip}}
defaults:
  rate_limit: roomy
  unauthenticated_tier: roomy

routes:
  - name: products            # public
    match: {{path: "/api/v2/products/*", methods: [GET]}}
    service: users
    strip_prefix: /api/v2
  - name: users               # a token with the scope read:profile
    match: {{path: "/api/v2/users/*", methods: [GET, POST]}}
    service: users
    strip_prefix: /api/v2
    auth: {{accept: [mobile], scopes: ["read:profile"]}}
  - name: administration      # a token with the scope admin
    match: {{path: "/api/v2/admin/*"}}
    service: users
    strip_prefix: /api/v2
    auth: {{accept: [mobile], scopes: [admin]}}
  - name: partner-orders      # an API key
    match: {{path: "/api/v2/partners/orders/*"}}
    service: orders
    strip_prefix: /api/v2/partners
    auth: {{accept: [partners], scopes: ["orders:read"]}}
  - name: slow-orders         # answers after 5 s, waits for 1 s
    match: {{path: /api/v2/orders/slow}}
    service: orders
    strip_prefix: /api/v2
    timeout: 1s
  - name: few                 # three requests a minute
    match: {{path: "/api/v2/few/*"}}
    service: orders
    strip_prefix: /api/v2
    rate_limit: tight
  - name: payments            # /fail answers 500
    match: {{path: "/api/v2/payments/*"}}
    service: payments
    strip_prefix: /api/v2
"""


def prepare(directory: Path, ports: Ports) -> Path:
    """Write everything into `directory`; give the configuration file. Raises `GatewrightError` or
    `OSError`.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    private = directory / "dev.jwk"
    tokens.write_key_pair(tokens.generate("RS256"), private, directory / "jwks.json")
    wanted = tokens.TokenRequest("user_789", ISSUER, AUDIENCE, ("read:profile",), TOKEN_SECONDS)
    write_durably(directory / "token", tokens.mint(private, wanted, int(time.time())).encode())
    partners = directory / "partners.json"
    partners.unlink(missing_ok=True)
    _, secret = api_keys.create(partners, api_keys.NewKey("acme", ("orders:read",)))
    write_durably(directory / "api-key", secret.encode())
    configuration = directory / "gateway.yaml"
    text = CONFIGURATION.format(ports=ports, issuer=ISSUER, audience=AUDIENCE)
    write_durably(configuration, text.encode())
    return configuration
