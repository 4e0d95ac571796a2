"""Screen: which addresses may ask, before anybody asks who they are."""

import json
from pathlib import Path

import pytest

from gateway import (
    Client,
    Issuer,
    Node,
    Origin,
    Refused,
    Response,
    encode,
    get,
    listener,
    one_route,
    request,
    steps,
)
from gateway.mmdb import write_countries
from gatewright import _engine
from gatewright.errors import EngineError

BELIEVED = listener("trusted_proxies: [127.0.0.1]")
SPAM = "{name: spam, addresses: [203.0.113.0/24]}"
OFFICE = "{name: office, addresses: [10.0.0.0/8, '2001:db8::/32']}"
LISTS = f"address_lists: [{SPAM}, {OFFICE}]"


def ask(node: Node, client: str, *headers: tuple[str, str], path: str = "/") -> Response:
    """What a client of this address gets."""
    return get(node.address, path, ("X-Forwarded-For", client), *headers)


def status(node: Node, client: str, *headers: tuple[str, str]) -> int:
    return ask(node, client, *headers).status


def test_a_list_that_denies_wins_and_the_record_names_it(origin: Origin) -> None:
    route = "addresses: {allow: [office, 203.0.113.7], deny: [spam]}"
    with Node(one_route(origin, route, LISTS, BELIEVED)) as node:
        refused = Refused(403, "address_not_allowed", "authorize", ("address_lists", 0), {"reason": "denied"})
        refused.check(node, ask(node, "203.0.113.7"))
        not_allowed = Refused(
            403, "address_not_allowed", "authorize", ("routes", 0), {"reason": "not_allowed"}
        )
        not_allowed.check(node, ask(node, "192.0.2.1"))
        assert origin.connections == 0
        for inside in ("10.1.2.3", "2001:db8::1"):
            assert status(node, inside) == 200
            [screened] = [one for one in node.record()["decisions"] if one["verdict"] == "screened"]
            assert (screened["rule"], screened["at"]) == ("office", node.at("address_lists", 1))
        assert node.metric("gateway_addresses_refused_total", reason="denied") == 1
        assert node.metric("gateway_addresses_refused_total", reason="not_allowed") == 1
        assert node.metric("gateway_address_list_refused_total", list="spam") == 1


@pytest.mark.parametrize(
    "spelling", ["203.0.113.7", "::ffff:203.0.113.7", "::FFFF:cb00:7107", "0:0:0:0:0:ffff:203.0.113.7"]
)
def test_every_spelling_of_a_denied_address_is_denied(origin: Origin, spelling: str) -> None:
    with Node(one_route(origin, "addresses: {deny: [spam]}", LISTS, BELIEVED)) as node:
        assert status(node, spelling) == 403


def test_what_a_client_says_of_its_address_counts_for_nothing(origin: Origin) -> None:
    with Node(one_route(origin, "addresses: {deny: [127.0.0.1]}")) as node:
        for claimed in ("10.0.0.1", "10.0.0.1, 127.0.0.2", "::1"):
            assert status(node, claimed) == 403
            assert node.record()["client_ip"] == "127.0.0.1"
    with Node(one_route(origin, "addresses: {deny: [203.0.113.0/24]}", BELIEVED)) as node:
        # The last address that no proxy of ours has written is the client's.
        assert status(node, "10.0.0.1, 203.0.113.7, 127.0.0.1") == 403
        assert status(node, "203.0.113.7, 10.0.0.1") == 200


def test_the_whole_gateway_refuses_before_any_limit_or_credential(origin: Origin) -> None:
    issuer = Issuer()
    sections = [
        f"identities: [{issuer.identity}]",
        "tiers: [{name: one, limit: 1, window: 1h, per: client_ip}]",
        "defaults: {unauthenticated_tier: one, failed_authentication_tier: one}",
        "screening: {addresses: {deny: [203.0.113.0/24]}}",
    ]
    text = one_route(origin, "auth: {accept: [mobile]}, rate_limit: none", *sections, BELIEVED, path="/known")
    with Node(text) as node:
        for path in ("/known", "/nowhere", "/known"):
            response = ask(node, "203.0.113.7", ("Authorization", "Bearer x"), path=path)
            refused = Refused(403, "address_not_allowed", "authorize", ("screening", "addresses", "deny"))
            record = refused.check(node, response)
            assert record["route_id"] is None
            assert steps(record) == [("authorize", "refused")]
        assert node.metric("gateway_limit_keys") == 0
        assert node.metric("gateway_authentication_failures_total") == 0
        assert ask(node, "192.0.2.1", path="/nowhere").status == 404
        assert ask(node, "192.0.2.1", path="/nowhere").status == 429


def test_a_route_is_screened_before_its_callers_are_asked(origin: Origin) -> None:
    issuer = Issuer()
    route = "auth: {accept: [mobile]}, addresses: {allow: [10.0.0.0/8]}"
    with Node(one_route(origin, route, f"identities: [{issuer.identity}]", BELIEVED)) as node:
        assert status(node, "192.0.2.1") == 403
        assert status(node, "10.0.0.1") == 401
        assert status(node, "10.0.0.1", issuer.bearer()) == 200


def test_nobody_answers_a_preflight_to_an_address_that_is_shut_out(origin: Origin) -> None:
    route = "cors: {allow_origins: ['https://app.test']}"
    screening = "screening: {addresses: {deny: [203.0.113.0/24]}}"
    with Node(one_route(origin, route, screening, BELIEVED)) as node:
        headers = [("Origin", "https://app.test"), ("Access-Control-Request-Method", "GET")]
        for client, expected in (("192.0.2.1", 204), ("203.0.113.7", 403)):
            response = request(node.address, "/", [*headers, ("X-Forwarded-For", client)], "OPTIONS")
            assert response.status == expected


def test_a_file_is_read_again_and_a_wrong_one_leaves_the_old_list(origin: Origin, tmp_path: Path) -> None:
    file = tmp_path / "blocked.txt"
    file.write_text("# spam\n203.0.113.0/24\n2001:db8::/32 ; more\n")
    lists = f"address_lists: [{{name: blocked, file: {file}, max_entries: 3}}]"
    with Node(one_route(origin, "addresses: {deny: [blocked]}", lists, BELIEVED)) as node:
        assert [status(node, one) for one in ("203.0.113.7", "2001:db8::1", "192.0.2.1")] == [403, 403, 200]
        file.write_text("192.0.2.0/24\n")
        assert status(node, "192.0.2.1") == 200
        assert json.loads(node.engine.reload_addresses("addresses", "blocked")) == {"entries": 1, "bytes": 8}
        assert [status(node, one) for one in ("203.0.113.7", "192.0.2.1")] == [200, 403]
        for wrong, why in (
            ("192.0.2.0/24\n10.0.0.0/33\n", ":2: `10.0.0.0/33`"),
            ("::1\n" * 4, "max_entries"),
        ):
            file.write_text(wrong)
            with pytest.raises(EngineError, match=why):
                node.engine.reload_addresses("addresses", "blocked")
            assert status(node, "192.0.2.1") == 403
        assert node.metric("gateway_address_file_entries", list="blocked") == 1
        assert node.metric("gateway_address_file_bytes", kind="addresses") == 8
        assert node.state()["address_files"][0]["name"] == "blocked"
        # What is live stays, whatever has become of its file.
        node.apply(one_route(origin, "addresses: {deny: [blocked, 10.0.0.1]}", lists, BELIEVED))
        assert [status(node, one) for one in ("10.0.0.1", "192.0.2.1")] == [403, 403]
        with pytest.raises(EngineError, match=r"blocked\.txt:3: more than 2 networks"):
            node.apply(one_route(origin, "addresses: {deny: [blocked]}", lists.replace("3}", "2}"), BELIEVED))
        assert status(node, "10.0.0.1") == 403


def test_a_block_by_hand_holds_on_open_connections_until_its_time(origin: Origin) -> None:
    with Node(one_route(origin)) as node, Client(node.address) as client:

        def again() -> int:
            client.send(encode("/"))
            return client.response().status

        assert again() == 200
        node.records(1)
        block = {"network": "127.0.0.0/8", "until_ms": None}
        assert node.engine.set_blocks(json.dumps([block]).encode()) == 1
        assert again() == 403
        record = node.record()
        assert record["decisions"][0]["inputs"] == {"reason": "blocked", "network": "127.0.0.0/8"}
        assert record["error_type"] == "address_not_allowed"
        assert node.metric("gateway_address_blocks") == 1
        node.engine.set_blocks(json.dumps([block | {"until_ms": 1}]).encode())
        assert again() == 200
        node.engine.set_blocks(b"[]")
        assert again() == 200


def test_countries_are_allowed_denied_recorded_and_told(origin: Origin, tmp_path: Path) -> None:
    file = tmp_path / "countries.mmdb"
    write_countries(file, {"203.0.113.0/24": "DE", "198.51.100.0/24": "FR", "2001:db8::/32": "US"})
    geography = f"geography: {{file: {file}, max_size: 1MiB, header: X-Client-Country}}"
    route = "countries: {allow: [DE, FR], deny: [FR], unknown: deny}"
    with Node(one_route(origin, route, geography, BELIEVED)) as node:
        forged = [("X-Client-Country", "DE"), ("x_client_country", "DE"), ("X-Client.Country", "DE")]
        assert status(node, "203.0.113.7", *forged) == 200
        assert node.record()["country"] == "DE"
        head = origin.next_request()
        assert head.all("x-client-country") == ["DE"]
        assert head.all("x_client_country") == head.all("x-client.country") == []
        for client, code in (("198.51.100.1", "FR"), ("2001:db8::1", "US"), ("192.0.2.1", None)):
            refused = Refused(
                403,
                "address_not_allowed",
                "authorize",
                ("routes", 0),
                {"reason": "country", "country": code or "unknown"},
            )
            assert refused.check(node, ask(node, client))["country"] == code
        write_countries(file, {"192.0.2.0/24": "DE"})
        node.engine.reload_addresses("geography", "")
        assert status(node, "192.0.2.1") == 200
        file.write_bytes(file.read_bytes()[:-40])
        with pytest.raises(EngineError, match=r"countries\.mmdb"):
            node.engine.reload_addresses("geography", "")
        assert status(node, "192.0.2.1") == 200


@pytest.mark.parametrize(("rule", "expected"), [("allow: [DE]", 403), ("deny: [DE]", 200)])
def test_an_unknown_country_is_denied_where_only_some_are_allowed(
    origin: Origin, tmp_path: Path, rule: str, expected: int
) -> None:
    file = tmp_path / "countries.mmdb"
    write_countries(file, {"203.0.113.0/24": "DE"})
    text = one_route(
        origin, "", f"geography: {{file: {file}, record: false}}", f"screening: {{countries: {{{rule}}}}}"
    )
    with Node(text) as node:
        assert get(node.address).status == expected
        assert "country" not in node.record()


def test_explain_tells_the_list(origin: Origin) -> None:
    with Node(one_route(origin, "addresses: {deny: [spam]}", LISTS)) as node:
        asked = {
            "method": "GET",
            "target": "/",
            "host": "a.test",
            "headers": [],
            "peer": "203.0.113.7",
            "listener": None,
            "now_ms": 0,
            "content_length": None,
        }
        [verdict] = json.loads(_engine.decide(node.snapshot, b"{}", json.dumps([asked]).encode()))
        assert (verdict["status"], verdict["error"]) == (403, "address_not_allowed")
        last = verdict["decisions"][-1]
        assert (last["rule"], last["at"]) == ("spam", node.at("address_lists", 0))
