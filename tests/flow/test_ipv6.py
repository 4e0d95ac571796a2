"""IPv6 on both sides, and IPv4 addresses that come as IPv6 ones."""

import json

import pytest

from gateway import Client, Node, Origin, encode, get, listener, one_route, raw


def on(address: str, more: str = "") -> str:
    return listener(more or "max_connections: 100").replace("127.0.0.1:1", address)


def test_both_sides_speak_ipv6() -> None:
    with Origin(host="[::1]") as origin, Node(one_route(origin, "", on("[::1]:1"))) as node:
        assert node.address[0] == "::1"
        assert get(node.address, "/", ("Host", "[::1]:8080")).status == 200
        received, record = origin.next_request(), node.record()
    assert received.get("host") == "[::1]:8080"
    assert received.get("x-forwarded-for") == record["client_ip"] == "::1"
    assert (record["host"], record["backend_instance"]) == ("[::1]", origin.address)


def test_the_unspecified_address_takes_ipv4_as_itself(origin: Origin) -> None:
    tier = "tiers: [{name: one, limit: 1, window: 1h, per: client_ip}]"
    options = "max_connections_per_client: 1, trusted_proxies: [127.0.0.2]"
    text = one_route(origin, "rate_limit: one", on("[::]:1", options), tier)
    with Node(text) as node:
        port = node.address[1]
        assert get(("127.0.0.1", port), "/").status == 200
        assert get(("127.0.0.1", port), "/").status == 429
        assert get(("::1", port), "/").status == 200
        with Client(("127.0.0.2", port), source=("127.0.0.2", 0)) as client:
            client.send(encode("/", [("X-Forwarded-For", "::ffff:127.0.0.1")]))
            assert client.response().status == 429
        told = [record["client_ip"] for record in node.records(4)]
    assert told == ["127.0.0.1", "127.0.0.1", "::1", "127.0.0.1"]


@pytest.mark.parametrize("address", ["2001:db8:0:1::1", "[2001:db8:0:1::2]", "[2001:db8:0:1:ffff::]:4660"])
def test_a_network_of_64_bits_is_one_client(origin: Origin, address: str) -> None:
    tier = "tiers: [{name: one, limit: 1, window: 1h, per: client_ip}]"
    text = one_route(origin, "rate_limit: one", on("127.0.0.1:1", "trusted_proxies: [127.0.0.1]"), tier)
    with Node(text) as node:
        statuses = [
            raw(node.address, encode("/", [("X-Forwarded-For", one)])).only.status
            for one in ("2001:db8:0:1:1234::", address, "2001:db8:0:2::1")
        ]
        busiest = json.dumps(node.state()["tiers"][0]["busiest"])
    assert statuses == [200, 429, 200]
    assert "ip:2001:db8:0:1::/64" in busiest
