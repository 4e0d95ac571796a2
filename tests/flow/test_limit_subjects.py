"""Limit: whom a tier counts, where that is neither a user nor an address; and tiers within tiers."""

from concurrent.futures import ThreadPoolExecutor

from gateway import (
    Client,
    Issuer,
    Node,
    Origin,
    encode,
    get,
    listener,
    one_route,
)

BROWSER = (("User-Agent", "Mozilla/5.0 (X11; Linux)"), ("Accept-Language", "de"), ("Accept-Encoding", "br"))
BOT = (("Accept-Encoding", "identity"), ("User-Agent", "python-requests/2.31"))
TRUSTED = listener("trusted_proxies: 127.0.0.1")


def test_bots_with_ever_new_addresses_are_one_caller_and_others_are_not_touched(origin: Origin) -> None:
    """TS-27: no address is over the limit of addresses, the one program behind them all is."""
    given = (
        "tiers: [{name: addresses, limit: 5, window: 1h, per: client_ip}, "
        "{name: programs, limit: 20, window: 1h, per: [fingerprint, route]}, "
        "{name: everybody, limit: 1000, window: 1h, per: global}]"
    )
    text = one_route(origin, "rate_limit: [addresses, programs, everybody]", given, TRUSTED)
    with Node(text) as node:

        def ask(number: int, *headers: tuple[str, str]) -> int:
            # What is asked for differs, and so does what comes and goes with it.
            more = (
                (("Cookie", f"visit={number}"), ("Accept", "*/*"))
                if number % 2
                else (("Accept", "text/css"),)
            )
            return get(node.address, "/", ("X-Forwarded-For", f"192.0.2.{number}"), *headers, *more).status

        # Fifty times what one address would be allowed, each from an address of its own.
        assert [ask(number, *BOT) for number in range(250)] == [200] * 20 + [429] * 230
        assert [ask(number, *BROWSER) for number in (250, 251, 250, 251)] == [200] * 4
        bodies = get(node.address, "/", ("X-Forwarded-For", "192.0.2.252"), *BOT, ("Accept", "*/*")).json()
        assert (bodies["tier"], bodies["key"]) == ("programs", "several")
        programs = next(one for one in node.state()["tiers"] if one["name"] == "programs")
        callers = {usage["caller"]: usage["used"] for usage in programs["busiest"]}
        assert sorted(callers.values()) == [4, 20]
        assert all(one.startswith("fingerprint:") and "Mozilla" not in one for one in callers)
        bot = max(callers, key=lambda one: callers[one])
        assert node.engine.reset_limits("programs", bot) == 1
        assert ask(253, *BOT) == 200


def test_the_version_of_http_and_the_order_of_headers_tell_programs_apart(origin: Origin) -> None:
    given = "tiers: [{name: programs, limit: 1, window: 1h, per: fingerprint}]"
    with Node(one_route(origin, "rate_limit: programs", given)) as node:
        assert [get(node.address, "/", *BROWSER).status for _ in range(2)] == [200, 429]
        assert get(node.address, "/", *reversed(BROWSER)).status == 200
        with Client(node.address) as client:
            lines = "".join(f"{name}: {value}\r\n" for name, value in BROWSER)
            client.send(f"GET / HTTP/1.0\r\nHost: gateway.test\r\n{lines}\r\n".encode())
            assert client.response().status == 200
        refused = get(node.address, "/", *BROWSER)
        assert refused.json()["key"] == "fingerprint"


def test_a_users_share_is_within_its_routes_which_is_within_everybodys(origin: Origin) -> None:
    issuer = Issuer()
    given = (
        "tiers: [{name: own, limit: 3, window: 1h, per: user, within: shared}, "
        "{name: shared, limit: 5, window: 1h, per: route, within: whole}, "
        "{name: whole, limit: 100, window: 1h, per: global}]"
    )
    route = "rate_limit: own, auth: {accept: [mobile]}"
    with Node(one_route(origin, route, given, f"identities: [{issuer.identity}]")) as node:

        def ask(name: str) -> tuple[int, str | None]:
            response = get(node.address, "/", issuer.bearer(sub=name))
            return response.status, response.json()["tier"] if response.status == 429 else None

        assert [ask("ann") for _ in range(4)] == [(200, None)] * 3 + [(429, "own")]
        assert [ask("bob") for _ in range(3)] == [(200, None)] * 2 + [(429, "shared")]
        record = node.records(7)[0]
        limits = [step["rule"] for step in record["decisions"] if step["stage"] == "limit"]
        assert limits == ["own", "shared", "whole"]
        # What was refused was charged to none of them.
        used = {one["name"]: sum(usage["used"] for usage in one["busiest"]) for one in node.state()["tiers"]}
        assert used == {"own": 5, "shared": 5, "whole": 5}


PIPELINED = 625
USERS = 5


def test_of_ten_thousand_parallel_requests_each_user_has_its_own_and_all_together_what_is_shared() -> None:
    issuer = Issuer()
    given = (
        "tiers: [{name: own, limit: 300, window: 1d, per: user, within: shared}, "
        "{name: shared, limit: 1000, window: 1d, per: route}]"
    )
    route = "match: /, service: self, rate_limit: own, auth: {accept: [mobile]}"
    text = (
        f"routes: [{{name: all, {route}}}]\n{given}\nidentities: [{issuer.identity}]\n"
        "records: {sinks: []}\n"
    )
    with Node(text, workers=4) as node, ThreadPoolExecutor(16) as pool:

        def ask(number: int) -> tuple[int, int]:
            user = number % USERS
            token = issuer.bearer(sub=f"user-{user}")
            with Client(node.address) as client:
                client.send(encode("/", headers=[token]) * PIPELINED)
                return user, [client.response().status for _ in range(PIPELINED)].count(200)

        passed = [0] * USERS
        for user, count in pool.map(ask, range(16), timeout=60):
            passed[user] += count
        assert sum(passed) == 1000
        assert max(passed) <= 300
