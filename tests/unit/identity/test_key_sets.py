"""Key sets: fetched within bounds, refreshed, kept while the issuer is down, and never open."""

import asyncio
import json

import httpx2
import pytest

from gatewright.identity.fetch import MAXIMUM_BYTES, KeySetError, KeySetSource, KeySetTimes, fetch_key_set
from gatewright.identity.key_sets import NO_KEYS, KeySets
from gatewright.identity.questions import QuestionWorker

KEYS = b'{"keys":[{"kid":"a","kty":"RSA"}]}'
OTHER_KEYS = b'{"keys":[{"kid":"b","kty":"RSA"}]}'
SOURCE = KeySetSource("mobile", "https://id.example.com/jwks.json")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Issuer:
    """Gives keys, or fails; counts how often it was asked."""

    def __init__(self) -> None:
        self.keys: bytes | Exception = KEYS
        self.asked = 0
        self.gate: asyncio.Event | None = None

    async def __call__(self, source: KeySetSource) -> bytes:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.keys, Exception):
            raise self.keys
        return self.keys


class Held:
    """A KeySets with everything that it touches."""

    def __init__(self) -> None:
        self.clock, self.issuer, self.pushed = Clock(), Issuer(), []
        self.sets = KeySets(self.issuer, lambda name, keys: self.pushed.append((name, keys)), self.clock)

    @property
    def only(self):
        return self.sets._sets["mobile"]


@pytest.fixture
def held() -> Held:
    return Held()


async def test_first_keys_are_pushed(held: Held) -> None:
    await held.sets.use([SOURCE], 1)
    assert held.pushed == [("mobile", KEYS)]


async def test_an_issuer_that_hangs_delays_the_start_no_longer_than_told(held: Held) -> None:
    held.issuer.gate = asyncio.Event()
    await asyncio.wait_for(held.sets.use([SOURCE], 0.01), 5)
    assert held.pushed == [("mobile", NO_KEYS)]
    held.issuer.gate.set()
    assert await held.sets.refresh_for_unknown_key("mobile") is False
    held.clock.now += 31
    assert await held.sets.refresh_for_unknown_key("mobile") is True
    assert held.pushed[-1] == ("mobile", KEYS)


async def test_unknown_keys_refresh_at_most_every_30_seconds(held: Held) -> None:
    await held.sets.use([SOURCE], 1)
    held.clock.now += 29.9
    await held.sets.refresh_for_unknown_key("mobile")
    assert held.issuer.asked == 1
    held.clock.now += 0.2
    held.issuer.keys = OTHER_KEYS
    assert await held.sets.refresh_for_unknown_key("mobile") is True
    assert held.issuer.asked == 2
    assert held.pushed[-1] == ("mobile", OTHER_KEYS)


async def test_questions_at_the_same_time_share_one_fetch(held: Held) -> None:
    await held.sets.use([SOURCE], 1)
    held.clock.now += 60
    answers = await asyncio.gather(*(held.sets.refresh_for_unknown_key("mobile") for _ in range(50)))
    assert answers == [True] * 50
    assert held.issuer.asked == 2


async def test_an_unknown_identity_is_answered_with_no(held: Held) -> None:
    assert await held.sets.refresh_for_unknown_key("nobody") is False


async def test_keys_stay_while_the_issuer_is_down(held: Held) -> None:
    await held.sets.use([SOURCE], 1)
    held.issuer.keys = KeySetError("status 500")
    held.clock.now += 3600
    assert await held.sets.refresh_for_unknown_key("mobile") is False
    held.sets.expire(held.only)
    assert held.pushed == [("mobile", KEYS)]
    assert held.sets.state()[0]["error"] == "status 500"


async def test_keys_are_withdrawn_75_minutes_after_their_last_fetch(held: Held) -> None:
    await held.sets.use([SOURCE], 1)
    held.clock.now += 4500
    held.sets.expire(held.only)
    assert held.pushed == [("mobile", KEYS)]
    held.clock.now += 1
    held.sets.expire(held.only)
    assert held.pushed[-1] == ("mobile", NO_KEYS)


async def test_keys_that_were_withdrawn_come_back_with_the_issuer(held: Held) -> None:
    await held.sets.use([SOURCE], 1)
    held.clock.now += 5000
    held.sets.expire(held.only)
    assert await held.sets.refresh_for_unknown_key("mobile") is True
    assert held.pushed[-1] == ("mobile", KEYS)


async def test_failures_back_off_exponentially_up_to_a_bound(held: Held) -> None:
    held.issuer.keys = KeySetError("down")
    await held.sets.use([SOURCE], 1)
    delays = []
    for _ in range(12):
        delays.append(held.only.due_at - held.clock.now)
        held.clock.now += 1000
        await held.sets.refresh_for_unknown_key("mobile")
    assert 1 <= delays[0] <= 1.5
    assert 2 <= delays[1] <= 3
    assert 300 <= delays[-1] <= 450


async def test_refreshes_are_spread_by_up_to_a_minute(held: Held) -> None:
    await held.sets.use([SOURCE], 1)
    assert 1800 <= held.only.due_at - held.clock.now <= 1860


async def test_a_source_that_did_not_change_is_not_fetched_again(held: Held) -> None:
    await held.sets.use([SOURCE], 1)
    await held.sets.use([SOURCE], 1)
    assert held.issuer.asked == 1


async def test_keys_of_an_earlier_issuer_do_not_serve_a_changed_source(held: Held) -> None:
    await held.sets.use([SOURCE], 1)
    held.issuer.keys = KeySetError("down")
    await held.sets.use([KeySetSource("mobile", "https://other.example.com/jwks.json")], 1)
    assert held.pushed[-1] == ("mobile", NO_KEYS)


async def test_the_loop_refreshes_what_is_due(held: Held) -> None:
    await held.sets.use([SOURCE], 1)
    held.clock.now += 2000
    held.issuer.gate = asyncio.Event()
    running = asyncio.ensure_future(held.sets.run())
    held.issuer.gate.set()
    async with asyncio.timeout(5):
        while held.issuer.asked < 2:  # noqa: ASYNC110 - a counter is what there is.
            await asyncio.sleep(0)
    running.cancel()


def client_that(answers) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.MockTransport(answers))


async def test_only_the_keys_of_a_key_set_are_taken() -> None:
    async with client_that(lambda _: httpx2.Response(200, json={"keys": [{"kid": "a"}], "x": 1})) as client:
        assert json.loads(await fetch_key_set(client, SOURCE)) == {"keys": [{"kid": "a"}]}


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (httpx2.Response(500), "status 500"),
        (httpx2.Response(302, headers={"location": "http://169.254.169.254/"}), "status 302"),
        (httpx2.Response(200, text="<html>"), "not JSON"),
        (httpx2.Response(200, text="[" * 100_000), "not JSON"),
        (httpx2.Response(200, json=[]), "not a key set"),
        (httpx2.Response(200, json={"keys": {}}), "not a key set"),
        (httpx2.Response(200, json={"keys": ["x"]}), "not a key set"),
        (httpx2.Response(200, json={"keys": []}), "0 keys"),
        (httpx2.Response(200, json={"keys": [{}] * 1001}), "1001 keys"),
        (httpx2.Response(200, content=b" " * (MAXIMUM_BYTES + 1)), "larger than"),
    ],
)
async def test_anything_but_a_key_set_is_refused(response: httpx2.Response, reason: str) -> None:
    async with client_that(lambda _: response) as client:
        with pytest.raises(KeySetError, match=reason):
            await fetch_key_set(client, SOURCE)


async def test_an_issuer_that_sends_nothing_is_given_up_in_time() -> None:
    async def hang(_: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    source = KeySetSource("mobile", SOURCE.url, times=KeySetTimes(timeout=0.01))
    async with client_that(hang) as client:
        with pytest.raises(KeySetError, match="no answer within"):
            await fetch_key_set(client, source)


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.com/",
        "http://127.0.0.1.example.com/",
        "ftp://id.example.com/",
        "file:///etc/passwd",
    ],
)
def test_a_url_that_anybody_on_the_way_could_answer_is_refused(url: str) -> None:
    with pytest.raises(KeySetError, match="neither https nor"):
        KeySetSource("mobile", url).check()


@pytest.mark.parametrize(
    "url", ["https://id.example.com/", "http://localhost:80/", "http://127.0.0.1/", "http://[::1]/"]
)
def test_https_and_loopback_urls_are_accepted(url: str) -> None:
    KeySetSource("mobile", url).check()
    KeySetSource("mobile", "http://id.example.com/", allow_http=True).check()


async def test_a_question_goes_to_who_answers_its_kind_and_no_failure_leaves_it_open(engine) -> None:
    refreshed = []

    async def refresh(question: dict[str, object]) -> dict[str, object]:
        refreshed.append(question["identity"])
        return {"ok": True}

    async def fail(_: dict[str, object]) -> dict[str, object]:
        raise KeyError("identity")

    worker = QuestionWorker(engine, {"refresh_keys": refresh, "look_up_key": fail})
    worker.start(asyncio.get_running_loop())
    kinds = {7: "refresh_keys", 8: "news", 9: "look_up_key"}
    questions = [{"id": number, "kind": kind, "identity": "mobile"} for number, kind in kinds.items()]
    engine.questions.put(json.dumps(questions).encode())
    answers = [await asyncio.to_thread(engine.answers.get, True, 5) for _ in kinds]
    await asyncio.to_thread(worker.close)
    told = {number: json.loads(text)["ok"] for number, text in answers}
    assert told == {7: True, 8: False, 9: False}
    assert refreshed == ["mobile"]
