"""Callers with a name and a password: checked once, and refused alike whatever was wrong."""

import asyncio
import base64
import json
import threading
import time
from pathlib import Path

import pytest

from gateway import Origin, PasswordNode, Refused, basic, get, one_route, quick_hash, steps, until
from gateway.client import Response

AUTH = "auth: {accept: [staff]}, rate_limit: standard"
ANN = quick_hash("open sesame")


def text(origin: Origin, *sections: str, users: str = "", options: str = "", route: str = AUTH) -> str:
    if not any(one.startswith("passwords:") for one in sections):
        # A busy machine may be slow; what a slow check does has a test of its own.
        sections += ("passwords: {timeout: 30s}",)
    listed = users or f"[{{user: ann, hash: '{ANN}', scopes: ['orders:read'], tier: premium}}]"
    return one_route(
        origin, route, f"identities: [{{name: staff, kind: basic, users: {listed}{options}}}]", *sections
    )


def refused(reason: str) -> Refused:
    return Refused(401, "invalid_credentials", "authenticate", ("identities", 0), {"reason": reason})


def unavailable(reason: str) -> Refused:
    at = ("identities", 0)
    return Refused(503, "authentication_unavailable", "authenticate", at, {"reason": reason}, retry_after=5)


WRONG = "the name or the password is wrong"


async def test_a_right_password_proves_its_user_and_is_checked_once(origin: Origin) -> None:
    async with PasswordNode(text(origin)) as staff:
        for _ in range(3):
            response = await staff.get("ann", "open sesame", ("X-User-ID", "root"))
            assert response.status == 200
            assert response.get("x-ratelimit-limit") == "500"
            received = origin.next_request()
            assert received.all("x-user-id") == ["ann"]
            assert received.get("x-user-scopes") == "orders:read"
            assert received.get("authorization") is None
            record = staff.node.record()
            assert record["user_id"] == "ann"
            assert ("authenticate", "user") in steps(record)
            assert "sesame" not in str(record)
            assert ANN not in str(record)
        assert staff.checker.checks == 1
        assert staff.node.metric("gateway_password_checks_total", outcome="answered") == 1
        assert staff.node.metric("gateway_password_cache_passwords", state="right") == 1


async def test_a_user_may_do_what_scopes_and_roles_say(origin: Origin) -> None:
    users = f"[{{user: ann, hash: '{ANN}', roles: [clerk]}}]"
    for role, status in (("clerk", 200), ("chief", 403)):
        route = f"auth: {{accept: [staff], roles: [{role}]}}"
        async with PasswordNode(text(origin, users=users, route=route)) as staff:
            assert await staff.status("ann", "open sesame") == status


async def test_what_was_wrong_is_told_to_nobody_and_costs_the_same(origin: Origin) -> None:
    async with PasswordNode(text(origin, options=", realm: 'the orders'")) as staff:
        answers: list[Response] = []
        for checks, (user, password) in enumerate(
            [("ann", "open"), ("bob", "open sesame"), ("", "")], start=1
        ):
            response = await staff.get(user, password)
            refused(WRONG).check(staff.node, response)
            assert response.get("www-authenticate") == 'Basic realm="the orders", charset="UTF-8"'
            assert staff.checker.checks == checks
            answers.append(response)
        bodies = [{**answer.json(), "request_id": ""} for answer in answers]
        assert bodies[0] == bodies[1] == bodies[2]
        assert origin.connections == 0


async def test_a_wrong_password_is_remembered_for_a_second_at_most(origin: Origin) -> None:
    async with PasswordNode(text(origin, "defaults: {unauthenticated_tier: none}")) as staff:

        async def is_checked_again() -> bool:
            assert await staff.status("ann", "wrong") == 401
            return staff.checker.checks > 1

        await until(is_checked_again)
        assert staff.node.metric("gateway_password_cache_passwords", state="wrong") == 1
        # It never stood in the way of the right one.
        assert await staff.status("ann", "open sesame") == 200


@pytest.mark.parametrize(
    ("credential", "reason"),
    [
        (base64.b64encode(b"ann").decode(), "the credential is malformed"),
        (base64.b64encode(b"ann:open\xff").decode(), "the credential is malformed"),
        (base64.b64encode(b"ann:a\nb").decode(), "the credential is malformed"),
        ("ann:open sesame", "the credential is malformed"),
        ("", "the credential is malformed"),
        ("A" * 3000, "the credential is too long"),
    ],
)
async def test_what_is_no_name_and_password_is_checked_by_nobody(
    origin: Origin, credential: str, reason: str
) -> None:
    async with PasswordNode(text(origin)) as staff:
        header = ("Authorization", f"Basic {credential}")
        refused(reason).check(staff.node, await asyncio.to_thread(get, staff.node.address, "/", header))
        assert staff.checker.checks == 0


async def test_names_and_passwords_may_have_any_letters_and_passwords_colons(origin: Origin) -> None:
    users = f"[{{user: 'Zoë', hash: '{quick_hash('a:b ñ')}'}}]"
    async with PasswordNode(text(origin, users=users)) as staff:
        assert await staff.status("Zoë", "a:b ñ") == 200
        assert await staff.status("Zoë", "a:b n") == 401


async def test_two_credentials_are_one_too_many(origin: Origin) -> None:
    async with PasswordNode(text(origin)) as staff:
        headers = (basic("ann", "open sesame"), basic("bob", "x"))
        response = await asyncio.to_thread(get, staff.node.address, "/", *headers)
        refused("the credential was sent more than once").check(staff.node, response)


async def test_another_hash_or_no_user_counts_from_the_next_request(origin: Origin, tmp_path: Path) -> None:
    file = tmp_path / "users.json"

    def write(*users: tuple[str, str]) -> str:
        listed = [{"user": user, "hash": quick_hash(password)} for user, password in users]
        file.write_text(json.dumps({"users": listed}))
        return text(origin, users=f"'{file}'")

    async with PasswordNode(await asyncio.to_thread(write, ("ann", "first"), ("bob", "other"))) as staff:
        assert [await staff.status(*one) for one in (("ann", "first"), ("bob", "other"))] == [200, 200]
        staff.apply(await asyncio.to_thread(write, ("ann", "second")))
        assert [await staff.status(*one) for one in (("ann", "first"), ("bob", "other"))] == [401, 401]
        assert await staff.status("ann", "second") == 200


async def test_many_who_come_with_one_new_password_cause_one_check(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PasswordNode(text(origin)) as staff:
        go_on = threading.Event()
        check = staff.checker._check
        monkeypatch.setattr(staff.checker, "_check", lambda *asked: check(*asked) if go_on.wait(30) else None)
        answers = asyncio.gather(*(staff.status("ann", "open sesame") for _ in range(5)))
        await until(lambda: staff.node.metric("gateway_in_flight_requests") == 5)
        go_on.set()
        assert await answers == [200] * 5
        assert staff.checker.checks == 1


async def test_who_has_to_be_checked_is_refused_under_overload_and_who_is_known_is_not(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = (
        "passwords: {threads: 1, max_checks: 1, timeout: 30s}",
        "defaults: {unauthenticated_tier: none}",
    )
    async with PasswordNode(text(origin, *sections)) as staff:
        assert await staff.status("ann", "open sesame") == 200
        staff.node.record()
        begun, go_on = threading.Event(), threading.Event()

        def check(*_: object) -> bool:
            begun.set()
            return not go_on.wait(30)

        monkeypatch.setattr(staff.checker, "_check", check)
        waiting = asyncio.create_task(staff.status("bob", "one"))
        await until(begun.is_set)
        unavailable("too many passwords are being checked").check(staff.node, await staff.get("bob", "two"))
        assert await staff.status("ann", "open sesame") == 200
        assert staff.node.metric("gateway_password_checks_total", outcome="full") == 1
        go_on.set()
        assert await waiting == 401


async def test_one_address_causes_so_many_checks_a_second_and_no_more(origin: Origin) -> None:
    sections = ("passwords: {checks_per_address: 1, timeout: 30s}", "defaults: {unauthenticated_tier: none}")
    async with PasswordNode(text(origin, *sections)) as staff:
        began = time.monotonic()
        statuses = await asyncio.gather(*(staff.status("ann", f"guess {number}") for number in range(9)))
        # On a busy machine it may take longer than so many seconds.
        assert 1 <= statuses.count(401) <= 2 + time.monotonic() - began
        reasons = {401: WRONG, 503: "too many passwords were checked for this address"}
        for record in staff.node.records(9):
            assert record["decisions"][-1]["inputs"].get("reason") == reasons[record["status"]]


async def test_a_check_that_hangs_is_given_up_in_time_and_lets_nobody_in(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PasswordNode(text(origin, "passwords: {timeout: 100ms}")) as staff:
        go_on = threading.Event()
        monkeypatch.setattr(staff.checker, "_check", lambda *_: not go_on.wait(30))
        unavailable("the password was not checked in time").check(
            staff.node, await staff.get("ann", "open sesame")
        )
        go_on.set()


async def test_a_check_that_fails_lets_nobody_in(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    async with PasswordNode(text(origin)) as staff:

        def broken(*_: object) -> bool:
            raise MemoryError

        monkeypatch.setattr(staff.checker, "_check", broken)
        unavailable("the password could not be checked").check(
            staff.node, await staff.get("ann", "open sesame")
        )


async def test_right_passwords_are_believed_for_so_long_and_so_many(origin: Origin) -> None:
    async with PasswordNode(text(origin, "passwords: {cache_ttl: 1s, cache: 100, timeout: 30s}")) as staff:
        assert await staff.status("ann", "open sesame") == 200

        async def is_checked_again() -> bool:
            assert await staff.status("ann", "open sesame") == 200
            return staff.checker.checks > 1

        await until(is_checked_again)


async def test_guesses_are_charged_to_their_address_whatever_it_says_of_itself(origin: Origin) -> None:
    ban = "ban: {after: 1, within: 1h, lasts: 5m, at_most: 1h}"
    tier = f"tiers: [{{name: guesses, limit: 3, window: 1h, per: client_ip, {ban}}}]"
    defaults = "defaults: {failed_authentication_tier: guesses, unauthenticated_tier: none}"
    async with PasswordNode(
        text(origin, tier, defaults, "passwords: {checks_per_address: 100, timeout: 30s}")
    ) as staff:
        statuses = []
        for number in range(5):
            disguise = (("X-Forwarded-For", f"192.0.2.{number}"), ("X-Real-IP", f"192.0.2.{number}"))
            statuses.append((await staff.get("ann", f"guess {number}", *disguise)).status)
        assert statuses == [401, 401, 401, 429, 429]
        # Not even the right one, and nobody is asked.
        checks = staff.checker.checks
        response = await staff.get("ann", "open sesame", ("Forwarded", "for=192.0.2.9"))
        assert response.json()["error"] == "banned"
        assert staff.checker.checks == checks


async def test_the_header_goes_on_where_the_route_says_so(origin: Origin) -> None:
    async with PasswordNode(text(origin, route=AUTH + ", forward_authorization: true")) as staff:
        assert await staff.status("ann", "open sesame") == 200
        assert origin.next_request().get("authorization") == basic("ann", "open sesame")[1]
