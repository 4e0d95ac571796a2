"""Refusals of calls of gRPC: within that protocol, whatever the reason."""

import threading

import pytest

from gateway import Http2, Node, Origin, get, one_route, plain, request

GRPC = ("content-type", "application/grpc+proto")
TEXT = """
services:
  - {{name: users, instances: ["{origin}"]}}
  - {{name: dead, instances: ["127.0.0.1:1"]}}
identities: [{{name: mobile, kind: jwt, issuer: a, audience: b, secret: "{secret}"}}]
tiers: [{{name: one, limit: 1, window: 1d, per: client_ip}}]
routes:
  - {{name: a, match: {{path: /users.Users/Get, methods: POST}}, service: users}}
  - {{name: b, match: /token/*, service: users, auth: {{accept: mobile}}}}
  - {{name: c, match: /once/*, service: users, rate_limit: {{tier: one}}}}
  - {{name: d, match: /dead/*, service: dead}}
  - {{name: e, match: /slow/*, service: users, timeout: 200ms}}
  - {{name: f, match: /small/*, service: users, max_body: 1KiB}}
"""


@pytest.mark.parametrize(
    ("target", "method", "refused", "status"),
    [
        ("/none", "POST", 404, 12),
        ("/users.Users/Get", "GET", 405, 12),
        ("/token/a", "POST", 401, 16),
        ("/once/a", "POST", 429, 8),
        ("/dead/a", "POST", 502, 14),
        ("/slow/a", "POST", 504, 4),
        ("/small/a", "POST", 413, 8),
        ("/a%00", "POST", 400, 13),
    ],
)
def test_a_refused_call_gets_trailers_only(
    origin: Origin, target: str, method: str, refused: int, status: int
) -> None:
    hold = threading.Event()
    text = TEXT.format(origin=origin.address, secret="s" * 32)
    with Node(text) as node, Http2(node.address) as client:
        if refused == 504:
            origin.script(hold)
        if refused == 429:
            assert client.request(target, [GRPC], method, b"").status == 200
            node.record()
        stream = client.begin(target, [GRPC, ("content-length", "2000")], method, ends=False)
        if refused == 504:
            client.data(stream, b"x" * 2000, ends=True)
        answer, record = client.response(stream), node.record()
        hold.set()
        assert (answer.status, answer.get("content-type")) == (200, "application/grpc")
        assert (answer.get("grpc-status"), answer.body, answer.trailers) == (str(status), b"", [])
        assert answer.get("grpc-message")
        assert answer.get("x-request-id") == record["request_id"]
        # Operators look for the refusal as they know it.
        assert record["status"] == refused


def test_other_callers_get_json(origin: Origin) -> None:
    with Node(one_route(origin, path="/a/*")) as node:
        assert get(node.address, "/none", ("content-type", "application/json")).json()["error"] == "no_route"
        answer = request(node.address, "/none", [GRPC], "POST", b"")
        assert (answer.status, answer.get("grpc-status"), answer.body) == (200, "12", b"")


def test_an_answer_of_the_service_is_left_alone(origin: Origin) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        origin.script(plain(b"no", "404 Not Found"))
        assert client.request("/", [GRPC], "POST", b"").status == 404
