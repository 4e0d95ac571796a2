"""Who calls is the gateway's word alone: what a client sends under its names reaches no service, however it
is spelled, wherever it stands, and whatever protocols carry it.
"""

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from gateway import Client, GoneAway, Http2, Http2Origin, Issuer, Node, Origin, Reset
from gateway.client import encode
from gateway.http2_origin import Stream
from gateway.mmdb import write_countries
from gateway.origin import Received
from gateway.translation import Ways
from gateway.websocket import handshake, switch

FORGED = "forged"
TRUTH = {
    "X-User-ID": "user-1",
    "X-User-Scopes": "read",
    "X-User-Roles": "clerk",
    "X-Tenant-ID": "acme",
    "X-Org": "org-1",
    "X-Client-Country": "DE",
}
"""What the gateway says of the caller of these tests."""
NAMES = [*TRUTH, "X-Partner-ID", "X-Client-Cert-Subject", "X-Client-Cert-Fingerprint"]


def joined(mark: str) -> Callable[[str], str]:
    return lambda name: name.replace("-", mark)


def mixed(name: str) -> str:
    return name.replace("-", "_", 1).swapcase()


# Of the marks that a name may have, CGI and its heirs read some or all as `-`.
MARKS = "_.!#$%&'*+^`|~"
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as-it-is": str,
    "lower": str.lower,
    "upper": str.upper,
    "swapped": str.swapcase,
    "mixed": mixed,
    **{f"mark-{mark}": joined(mark) for mark in MARKS},
}
# What is no name at all is refused, or the connection is ended.
MALFORMED: dict[str, Callable[[str], bytes]] = {
    "blank-behind": lambda name: f"{name} : {FORGED}".encode(),
    "tab-behind": lambda name: f"{name}\t: {FORGED}".encode(),
    "blank-before": lambda name: f" {name}: {FORGED}".encode(),
    "nul": lambda name: f"{name}\0: {FORGED}".encode(),
    "bare-cr": lambda name: f"X: a\r{name}: {FORGED}".encode(),
    "bare-lf": lambda name: f"X: a\n{name}: {FORGED}".encode(),
    "folded": lambda name: f"X: a\r\n {name}: {FORGED}".encode(),
    "blanks-inside": lambda name: f"{name.replace('-', ' ')}: {FORGED}".encode(),
    "dash-of-unicode": lambda name: f"{name.replace('-', chr(0x2010))}: {FORGED}".encode(),
    "high-byte": lambda name: name.encode() + b"\xff: " + FORGED.encode(),
    "no-colon": lambda name: f"{name} {FORGED}".encode(),
}


@dataclass
class Guarded:
    """A gateway before a service of each protocol."""

    node: Node
    old: Origin
    new: Http2Origin
    bearer: tuple[str, str]

    def heard(self, service: str) -> list[tuple[str, str]]:
        """All headers and trailers of the next request of a service."""
        received: Received | Stream = self.old.next_request() if service == "old" else self.new.next_request()
        return [*received.headers, *received.trailers]

    def credentials(self, route: str) -> list[tuple[str, str]]:
        return [self.bearer] if route == "own" else []


TEXT = """
listeners: [{{name: public, address: "127.0.0.1:1"}}]
services:
  - {{name: old, instances: ["{old}"]}}
  - {{name: new, instances: ["{new}"], protocol: http2}}
identities: [{identity}]
tenants: {{sources: ["claim:tenant"], unknown: accept}}
geography: {{file: '{countries}', header: X-Client-Country}}
defaults: {{rate_limit: none, unauthenticated_tier: none}}
routes:
  - {{name: own-old, match: /own/old, service: old, auth: {{accept: [mobile]}}}}
  - {{name: own-new, match: /own/new, service: new, auth: {{accept: [mobile]}}}}
  - {{name: public-old, match: /public/old, service: old, auth: none}}
  - {{name: public-new, match: /public/new, service: new, auth: none}}
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    countries = tmp_path_factory.mktemp("countries") / "countries.mmdb"
    write_countries(countries, {"127.0.0.0/8": "DE"})
    issuer = Issuer("ES256")
    options = ", role_claims: roles, claim_headers: {X-Org: org}}"
    identity = issuer.identity.removesuffix("}") + options
    claims = {"scope": "read", "roles": ["clerk"], "tenant": "acme", "org": "org-1"}
    with ExitStack() as opened:
        old, new = opened.enter_context(Origin()), opened.enter_context(Http2Origin())
        text = TEXT.format(old=old.address, new=new.address, identity=identity, countries=countries)
        node = opened.enter_context(Node(text))
        yield Guarded(node, old, new, issuer.bearer(**claims))
        assert node.metric("gateway_worker_panics_total") == 0


ROUTES = [(route, service) for route in ("own", "public") for service in ("old", "new")]
Headers = list[tuple[str, str]]


def check_truth(told: Headers, route: str, what: object) -> None:
    """The service was told what is true, once, and nothing that was forged."""
    assert FORGED not in str(told).lower(), what
    folded = {
        name: [value for told_name, value in told if told_name.lower() == name.lower()] for name in TRUTH
    }
    of_nobody = {name: [] for name in TRUTH} | {"X-Client-Country": ["DE"]}
    assert folded == ({name: [value] for name, value in TRUTH.items()} if route == "own" else of_nobody), what


def send_old(guarded: Guarded, path: str, headers: Headers, trailers: Headers = []) -> int:  # noqa: B006
    head = encode(path, headers)
    if trailers:
        framing = b"Transfer-Encoding: chunked\r\nTE: trailers\r\nTrailer: X-User-ID\r\n\r\n"
        lines = "".join(f"{name}: {value}\r\n" for name, value in trailers).encode()
        head = head.replace(b"GET", b"POST", 1)[:-2] + framing + b"1\r\na\r\n0\r\n" + lines + b"\r\n"
    with Client(guarded.node.address) as client:
        client.send(head)
        return client.response().status


def send_new(guarded: Guarded, path: str, headers: Headers, trailers: Headers = []) -> int:  # noqa: B006
    lower = [(name.lower(), value) for name, value in headers]
    with Http2(guarded.node.address) as client:
        if not trailers:
            return client.request(path, lower).status
        stream = client.begin(path, [*lower, ("te", "trailers")], "POST", ends=False)
        client.data(stream, b"a")
        client.send(client.headers(stream, [(name.lower(), value) for name, value in trailers]))
        return client.response(stream).status


SENDING = {"http1": send_old, "http2": send_new}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("protocol", SENDING)
def test_no_spelling_of_a_name_reaches_a_service(guarded: Guarded, protocol: str, spelling: str) -> None:
    forged = [(SPELLINGS[spelling](name), f"{FORGED}-{name}") for name in NAMES]
    for route, service in ROUTES:
        for headers in (forged, [*forged, *forged]):
            told = [*guarded.credentials(route), *headers]
            assert SENDING[protocol](guarded, f"/{route}/{service}", told) == 200
            check_truth(guarded.heard(service), route, (route, service))


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("protocol", SENDING)
def test_no_spelling_of_a_name_reaches_a_service_in_trailers(
    guarded: Guarded, protocol: str, spelling: str
) -> None:
    trailers = [(SPELLINGS[spelling](name), f"{FORGED}-{name}") for name in NAMES]
    for route, service in ROUTES:
        headers = guarded.credentials(route)
        assert SENDING[protocol](guarded, f"/{route}/{service}", headers, [*trailers, ("x-sum", "9")]) == 200
        told = guarded.heard(service)
        check_truth(told, route, (route, service))
        assert ("x-sum", "9") in told


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_connection_takes_away_nothing_that_the_gateway_says(guarded: Guarded, spelling: str) -> None:
    """Nor brings what is forged back: such headers end here whether they are named or not."""
    names = [SPELLINGS[spelling](name) for name in NAMES]
    forged = [(name, FORGED) for name in names]
    for route, service in ROUTES:
        for connection in (["close", *names], [f"keep-alive, {', '.join(names)}"]):
            headers = [*guarded.credentials(route), *(("Connection", one) for one in connection), *forged]
            assert send_old(guarded, f"/{route}/{service}", headers) == 200
            check_truth(guarded.heard(service), route, (route, service))


@pytest.mark.parametrize("malformed", MALFORMED)
def test_what_is_nearly_a_name_is_refused(guarded: Guarded, malformed: str) -> None:
    before = guarded.old.connections, len(guarded.old.requests)
    for name in NAMES:
        line = MALFORMED[malformed](name)
        with Client(guarded.node.address) as client:
            client.send(b"GET /public/old HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n")
            assert client.response().status == 400, line
    assert (guarded.old.connections, len(guarded.old.requests)) == before


@pytest.mark.parametrize(
    "form",
    ["X-User-ID", ":x-user-id", "x-user-id ", " x-user-id", "x-user-id\0", "x-user-id:", "", ":authority"],
)
def test_what_is_no_name_in_http2_is_refused(guarded: Guarded, form: str) -> None:
    """Upper case, pseudo-headers that there are none of, and bytes that no name has (RFC 9113, 8.2.1)."""
    before = guarded.old.connections, len(guarded.old.requests)
    with Http2(guarded.node.address) as client:
        try:
            status = client.request("/public/old", [(form, FORGED)]).status
        except (Reset, GoneAway):
            status = 400
    assert status == 400
    assert (guarded.old.connections, len(guarded.old.requests)) == before


@pytest.mark.parametrize("protocol", SENDING)
def test_a_call_of_grpc_says_no_more_of_its_caller(guarded: Guarded, protocol: str) -> None:
    """Also in metadata, which gRPC sends as headers, and whose binary form ends in `-bin`."""
    forged = [(SPELLINGS[one](name), FORGED) for one in ("lower", "mark-_", "mark-.") for name in NAMES]
    grpc = [("content-type", "application/grpc"), ("te", "trailers")]
    for route in ("own", "public"):
        headers = [*guarded.credentials(route), *grpc, *forged]
        SENDING[protocol](guarded, f"/{route}/new", headers, forged)
        check_truth(guarded.heard("new"), route, route)


@pytest.fixture(params=[(1, 1), (2, 1), (1, 2), (2, 2)], ids=lambda ways: "http{}-to-http{}".format(*ways))
def ways(request: pytest.FixtureRequest) -> Iterator[Ways]:
    """A WebSocket over each version of HTTP, on either side."""
    with ExitStack() as opened:
        yield Ways(request.param, opened)


def test_the_handshake_of_a_websocket_says_no_more_of_its_caller(origin: Origin, ways: Ways) -> None:
    issuer = Issuer("ES256")
    identity = issuer.identity.removesuffix("}") + ", claim_headers: {X-Org: org}}"
    options = "websocket: true, auth: {accept: [mobile]}"
    text = ways.route(origin, options, f"identities: [{identity}]")
    forged = "".join(
        f"{spelled(name)}: {FORGED}\r\n"
        for spelled in (str, str.upper, joined("_"), joined("."), joined("!"))
        for name in NAMES
        if name != "X-Client-Country"
    )
    with Node(text) as node, Client(ways.door(node)) as client:
        origin.script(switch())
        name, value = issuer.bearer(scope="read")
        head = handshake(**{name: value}).removesuffix(b"\r\n")
        client.send(head + forged.encode() + b"\r\n")
        assert client.response().status == 101
        received = origin.next_request()
        assert FORGED not in str(received.headers)
        assert (received.get("x-user-id"), received.get("x-user-scopes")) == ("user-1", "read")


def test_a_credential_of_another_scheme_is_not_passed_on_as_the_callers(guarded: Guarded) -> None:
    """What names a user and proves nothing here does not reach the service either."""
    pair = base64.b64encode(b"admin:admin").decode()
    assert send_old(guarded, "/public/old", [("Authorization", f"Basic {pair}")]) == 200
    assert pair not in str(guarded.heard("old"))
