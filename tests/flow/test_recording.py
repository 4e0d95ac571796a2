"""Record: how many records there are, what they tell, and what is kept out of them."""

import hashlib
import json
import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway import (
    Authority,
    Client,
    Issuer,
    Node,
    Origin,
    Record,
    TlsClient,
    encode,
    get,
    listener,
    one_route,
    plain,
    routes,
)
from gatewright.records.user_ids import spellings

CARD = "4111111111111111"
SECRET = "0123456789abcdef0123456789abcdef"
KEY = f"{{id: k1, secret: {SECRET}}}"


def records_until(node: Node, path: str) -> list[Record]:
    """All records before the one of this path, which is recorded whatever is sampled: nothing matches it."""
    assert get(node.address, path).status == 404
    found: list[Record] = []
    while (record := node.record())["path"] != path:
        found.append(record)
    return found


def left_out(node: Node) -> float:
    return node.metric("gateway_records_sampled_out_total")


def test_a_record_tells_how_long_its_connection_took_and_that_a_pooled_one_took_nothing(
    origin: Origin,
) -> None:
    with Node(one_route(origin)) as node:
        get(node.address, "/")
        get(node.address, "/")
        opened, pooled = node.records(2)
    assert opened["connect_latency_ms"] > 0
    assert (pooled["connect_latency_ms"], pooled["queue_latency_ms"]) == (None, 0)
    for record in (opened, pooled):
        assert 0 < record["first_byte_latency_ms"] <= record["upstream_latency_ms"]
    assert opened["connect_latency_ms"] <= opened["first_byte_latency_ms"]


def test_a_record_tells_how_long_it_waited_for_a_place_at_the_service(origin: Origin) -> None:
    with Node(one_route(origin, service="pool: {max_connections: 1}")) as node:
        held = threading.Event()
        origin.script(held, plain())
        with Client(node.address) as first, Client(node.address) as second:
            first.send(encode("/held"))
            origin.next_request()
            second.send(encode("/waits"))
            node.wait_for(lambda _: node.metric("gateway_upstream_pending_requests", service="users") == 1)
            held.set()
            assert first.response().status == second.response().status == 200
        waited = {record["path"]: record["queue_latency_ms"] for record in node.records(2)}
    assert waited["/held"] == 0
    assert waited["/waits"] > 0


def test_what_no_service_was_asked_has_none_of_its_times(origin: Origin) -> None:
    with Node(one_route(origin, path="/known")) as node:
        get(node.address, "/unknown")
        record = node.record()
    for name in ("queue_latency_ms", "connect_latency_ms", "first_byte_latency_ms", "upstream_latency_ms"):
        assert record[name] is None, name


@pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda one: one.name
)
def test_a_record_tells_version_and_cipher_of_its_connection(
    origin: Origin, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    authority = Authority(tmp_path)
    secure = listener(f"tls: {{certificates: [{authority.issue('gateway', 'gateway.test').yaml}]}}")
    with Node(one_route(origin, "", secure)) as node:
        context = ssl.create_default_context(cafile=str(authority.file))
        context.minimum_version = context.maximum_version = version
        with TlsClient(node.address, context, "gateway.test") as client:
            client.send(encode("/"))
            assert client.response().status == 200
            named = client.tls.cipher()
        record = node.record()
    assert record["tls_version"] == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
    assert named is not None
    assert in_words_of_openssl(record["tls_cipher"]) == named[0]


def in_words_of_openssl(cipher: str) -> str:
    """The name of a suite of TLS 1.2; those of 1.3 are called the same everywhere."""
    if "_WITH_" not in cipher:
        return cipher
    name = cipher.removeprefix("TLS_").replace("_WITH_", "-").replace("AES_", "AES").replace("_", "-")
    return name.replace("POLY1305-SHA256", "POLY1305")


def test_successes_above_the_rate_are_sampled_with_their_weight_and_errors_never(origin: Origin) -> None:
    sample = "records: {sample: {full_rate: 0, ratio: 0.5}}"
    with Node(one_route(origin, "", sample, path="/known")) as node:
        for _ in range(60):
            assert get(node.address, "/known").status == 200
        for _ in range(10):
            assert get(node.address, "/unknown").status == 404
        found = records_until(node, "/end")
        kept = [record for record in found if record["status"] == 200]
        assert len(found) - len(kept) == 10
        assert {record["sampling_weight"] for record in found if record["status"] == 404} == {1}
        assert {record["sampling_weight"] for record in kept} == {2}
        assert 0 < len(kept) < 60
        assert len(kept) + left_out(node) == 60


def test_all_are_recorded_up_to_the_rate(origin: Origin) -> None:
    sample = "records: {sample: {full_rate: 1000000, ratio: 0.0001}}"
    with Node(one_route(origin, "", sample, path="/known")) as node:
        for _ in range(20):
            get(node.address, "/known")
        assert [record["sampling_weight"] for record in records_until(node, "/end")] == [1] * 20
        assert left_out(node) == 0


def test_an_error_of_the_service_is_never_left_out(origin: Origin) -> None:
    with Node(one_route(origin, "", "records: {sample: {full_rate: 0, ratio: 0.0001}}")) as node:
        origin.script(plain(b"", "500 Internal Server Error"))
        assert get(node.address, "/").status == 500
        assert node.record()["sampling_weight"] == 1


def test_a_route_has_a_sample_of_its_own_or_none(origin: Origin) -> None:
    text = routes(
        origin,
        "name: common, match: /common, service: users",
        "name: off, match: /off, service: users, records: {sample: off}",
        "name: own, match: /own, service: users, records: {sample: {full_rate: 0, ratio: 0.25, by: trace}}",
    )
    with Node(f"{text}records: {{sample: {{full_rate: 0, ratio: 0.0001, by: caller}}}}\n") as node:
        for number in range(40):
            trace = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
            parent = ("traceparent", f"00-{trace}-00f067aa0ba902b7-01")
            for path in ("/common", "/off", "/own", "/own"):
                get(node.address, path, parent)
        found = records_until(node, "/end")
    # Whether this client's address is chosen does not change from one request to the next.
    assert len([record for record in found if record["route_id"] == "common"]) == 0
    assert len([record for record in found if record["route_id"] == "off"]) == 40
    own = [record["trace_id"] for record in found if record["route_id"] == "own"]
    assert 0 < len(own) < 80
    assert all(own.count(trace) == 2 for trace in own)


def test_secrets_of_the_operator_and_card_numbers_are_kept_out(origin: Origin) -> None:
    told = "headers: {request: [Accept, Authorization, X-Member], response: [Set-Cookie, Server]}"
    redact = "redact: {query: memberNo, headers: X-Member, client_ip: shortened}"
    with Node(one_route(origin, "", f"records: {{{told}, {redact}}}")) as node:
        origin.script(plain(b"", "200 OK", ("Set-Cookie", "canary"), ("Server", "users/1")))
        headers = [("Authorization", "Bearer canary"), ("X-Member", "canary"), ("User-Agent", f"card {CARD}")]
        get(node.address, f"/pay/{CARD}?member_no=canary&card={CARD}", ("Accept", "a/b"), *headers)
        record = node.record()
    assert "canary" not in json.dumps(record)
    assert CARD not in json.dumps(record)
    assert record["path"] == "/pay/************1111"
    assert record["query_string"] == "member_no=***&card=************1111"
    assert record["user_agent"] == "card ************1111"
    assert record["client_ip"] == "127.0.0.0"
    expected = {"accept": "a/b", "authorization": "Bearer ***", "x-member": "***"}
    assert record["request_headers"] == expected
    assert record["response_headers"] == {"set-cookie": "***", "server": "users/1"}


def test_card_numbers_are_told_where_nobody_wants_them_masked(origin: Origin) -> None:
    with Node(one_route(origin, "", "records: {redact: {card_numbers: false}}")) as node:
        get(node.address, f"/{CARD}")
        record = node.record()
    assert record["path"] == f"/{CARD}"
    assert "request_headers" not in record


def as_alice(text: str, origin: Origin, issuer: Issuer) -> str:
    """A route that takes tokens."""
    return one_route(origin, "auth: {accept: [mobile]}", f"identities: [{issuer.identity}]", text)


@pytest.mark.parametrize("rotate", ["never", "daily", "monthly"])
def test_a_user_is_named_by_the_hash_that_the_key_gives(origin: Origin, rotate: str) -> None:
    issuer = Issuer()
    text = f"records: {{user_id: {{form: hashed, keys: {KEY}, rotate: {rotate}}}}}"
    with Node(as_alice(text, origin, issuer)) as node:
        since = datetime.now(UTC)
        get(node.address, "/", ("Authorization", f"Bearer {issuer.token(sub='alice')}"))
        record = node.record()
        assert node.loaded is not None
        settings = node.loaded.gateway.records.user_id
    plain_id, *hashes = spellings(settings, "alice", since, datetime.now(UTC))
    assert plain_id == "alice"
    assert record["user_id"] in hashes
    assert "alice" not in json.dumps(record)


def test_a_route_for_card_data_tells_nothing_that_could_hold_some(origin: Origin) -> None:
    issuer = Issuer()
    route = "auth: {accept: [mobile]}, records: {profile: pci}"
    text = f"records: {{user_id: {{keys: {KEY}}}, headers: {{request: Accept}}}}"
    with Node(one_route(origin, route, f"identities: [{issuer.identity}]", text)) as node:
        token = issuer.token(sub="alice")
        headers = [("User-Agent", "agent"), ("Accept", "a/b"), ("X-Request-ID", CARD)]
        get(node.address, f"/{CARD}?a=b", ("Authorization", f"Bearer {token}"), *headers)
        record = node.record()
    assert (record["query_string"], record["user_agent"]) == ("", None)
    assert record["user_id"].startswith("k1:")
    assert record["client_ip"] == "127.0.0.0"
    assert record["path"] == "/************1111"
    assert "request_headers" not in record
    assert CARD not in json.dumps(record)
