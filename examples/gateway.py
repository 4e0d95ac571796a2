"""A gateway in front of three services, in Python. gateway.yaml and gateway.kdl are the same configuration.

The file is run, and what `gateway` holds is the configuration: use loops, functions and modules freely.
"""

import gatewright
from gatewright import Auth, Match, Route, Service

API = "/api/v2"

# People prove themselves with a JSON Web Token; they need this scope to see profiles.
profile_readers = Auth(accept=["mobile"], scopes=["read:profile"])


def api_route(name: str, match: Match, **options: object) -> Route:
    """Give a route to the service of its name that takes the version out of the path."""
    return Route(name=name, match=match, service=name, strip_prefix=API, **options)


gateway = gatewright.Gateway(
    listeners=[
        # Believe X-Forwarded-For only from the balancer in front of us.
        gatewright.Listener(name="public", address="127.0.0.1:8080", trusted_proxies=["10.0.0.0/8"]),
    ],
    # Health, metrics and the admin API. Any address but a loopback one demands a `token`.
    admin=gatewright.Admin(address="127.0.0.1:9901"),
    services=[
        Service(
            name="users",
            instances=["127.0.0.1:9001"],
            health_check=gatewright.HealthCheck(path="/healthz", interval="10s"),
        ),
        Service(name="orders", instances=[gatewright.Instance(address="127.0.0.1:9002", weight=1)]),
        Service(
            name="payments",
            instances=["127.0.0.1:9003"],
            # Opens when more than half of at least 5 requests failed within 30 seconds.
            circuit_breaker=gatewright.CircuitBreaker(
                failure_ratio=0.5, window="30s", minimum_requests=5, open_for="10s"
            ),
            pool=gatewright.Pool(max_connections=50),
        ),
    ],
    identities=[
        gatewright.JwtIdentity(
            name="mobile",
            issuer="https://id.example.com",
            audience="api",
            jwks=gatewright.Jwks(file="keys/jwks.json"),
        ),
        # Partners prove themselves with an API key, of which only the hash is kept.
        gatewright.ApiKeyIdentity(name="partners", header="X-API-Key", keys="keys/partners.json"),
    ],
    # `standard`, `premium`, `third_party` and `unauthenticated` exist without being defined.
    tiers=[gatewright.Tier(name="demo", limit=3, window="60s", per="client_ip")],
    defaults=gatewright.Defaults(timeout="10s"),
    routes=[
        # The gateway itself answers, without asking any service.
        Route(name="health", match="/api/v2/health", service="self"),
        api_route(
            "users",
            Match(path=f"{API}/users/*", methods=["GET", "POST", "PUT"]),
            auth=profile_readers,
            rate_limit="standard",
            cors=gatewright.Cors(
                allow_origins=["https://app.example.com"],
                allow_methods=["GET", "POST", "PUT"],
                allow_headers=["Authorization", "Content-Type"],
            ),
        ),
        # The old version, on its way out.
        Route(
            name="users-v1",
            match=Match(path="/api/v1/users/*", methods=["GET"]),
            service="users",
            strip_prefix="/api/v1",
            auth=profile_readers,
            deprecated=True,
            sunset="2027-06-01",
        ),
        api_route(
            "orders",
            Match(path=f"{API}/orders/*"),
            auth=Auth(accept=["mobile", "partners"]),
            timeout="1s",
            max_body="1MiB",
        ),
        # Money: never let requests pass when the limit cannot be checked; refuse others first under overload.
        api_route(
            "payments",
            Match(path=f"{API}/payments/{{id}}", methods=["GET", "POST"]),
            auth=Auth(accept=["partners"], scopes=["write:payments"]),
            rate_limit=gatewright.RateLimit(tier="third_party", on_failure="closed"),
            priority="P0",
        ),
        # Only for requests that carry `X-Beta: 1`, and before the route below.
        Route(
            name="catalogue-beta",
            match=Match(path="/catalogue/*", methods=["GET"], headers={"X-Beta": "1"}),
            service="orders",
            rate_limit="none",
            request_headers=gatewright.HeaderChanges(set={"X-Variant": "beta"}),
        ),
        Route(
            name="catalogue",
            match=Match(path="/catalogue/*", methods=["GET"]),
            service="orders",
            rate_limit="demo",
            response_headers=gatewright.HeaderChanges(set={"Cache-Control": "max-age=60"}),
        ),
        Route(
            name="moved",
            match="/docs/*",
            redirect=gatewright.Redirect(to="https://docs.example.com/", status=308),
        ),
        Route(
            name="robots",
            match="/robots.txt",
            respond=gatewright.Respond(status=200, body="User-agent: *\nDisallow: /\n"),
        ),
    ],
    # Decision records, one for each request: what was decided, and why.
    records=gatewright.Records(
        sinks=[gatewright.StdoutSink(), gatewright.SqliteSink(retention="7d")],
    ),
)
