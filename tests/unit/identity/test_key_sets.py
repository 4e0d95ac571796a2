"""Key sets: fetched within bounds, refreshed, kept while the issuer is down, and never open."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gatewright.identity.fetch import KeySetError, KeySetSource, KeySetTimes
from gatewright.identity.kept_keys import KeptKeys
from gatewright.identity.key_sets import NO_KEYS, Clocks, KeySets
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

    def __init__(self, directory: Path) -> None:
        self.clock, self.wall, self.issuer, self.pushed = Clock(), Clock(), Issuer(), []
        self.file = directory / "key-sets.json"
        self.sets = self.another()

    def another(self) -> KeySets:
        """As after a restart."""
        clocks = Clocks(self.clock, self.wall)
        return KeySets(
            self.issuer, lambda name, keys: self.pushed.append((name, keys)), KeptKeys(self.file), clocks
        )

    async def keep(self) -> None:
        """Let the sets be kept on disk, as the running loop does."""
        await self.sets._save()

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds
        self.wall.now += seconds

    @property
    def only(self):
        return self.sets._sets["mobile"]


@pytest.fixture
def held(tmp_path: Path) -> Held:
    return Held(tmp_path)


async def test_first_keys_are_pushed(held: Held) -> None:
    await held.sets.use([SOURCE], 30)
    assert held.pushed == [("mobile", KEYS)]


async def test_an_issuer_that_hangs_delays_the_start_no_longer_than_told(held: Held) -> None:
    held.issuer.gate = asyncio.Event()
    await asyncio.wait_for(held.sets.use([SOURCE], 0.01), 5)
    assert held.pushed == [("mobile", NO_KEYS)]
    held.issuer.gate.set()
    held.clock.now += 0.1
    assert await held.sets.refresh_for_unknown_key("mobile") is True
    assert held.pushed[-1] == ("mobile", KEYS)


async def test_unknown_keys_refresh_at_most_every_30_seconds(held: Held) -> None:
    await held.sets.use([SOURCE], 30)
    # A fetch that was due anyway is none that was asked for: the key may have come into use just after it.
    held.clock.now += 0.1
    assert await held.sets.refresh_for_unknown_key("mobile") is True
    held.clock.now += 29.9
    assert await held.sets.refresh_for_unknown_key("mobile") is False
    assert held.issuer.asked == 2
    held.clock.now += 0.2
    held.issuer.keys = OTHER_KEYS
    assert await held.sets.refresh_for_unknown_key("mobile") is True
    assert held.issuer.asked == 3
    assert held.pushed[-1] == ("mobile", OTHER_KEYS)


async def test_a_question_that_comes_just_after_new_keys_is_answered_with_yes(held: Held) -> None:
    await held.sets.use([SOURCE], 30)
    for seconds, may_be_newer in ((0.1, True), (0.5, True), (0.6, False)):
        held.clock.now += seconds
        assert await held.sets.refresh_for_unknown_key("mobile") is may_be_newer
    assert held.issuer.asked == 2


async def test_keys_are_fetched_anew_before_their_lifetime_is_over(held: Held) -> None:
    for refresh, lifetime in ((30.0, 30.0), (1800.0, 1800.0), (10.0, 3600.0)):
        source = replace(SOURCE, times=KeySetTimes(refresh=refresh, lifetime=lifetime))
        await held.sets.use([source], 30)
        assert held.only.due_at - held.clock.now <= 0.9 * lifetime


async def test_keys_beyond_their_lifetime_are_used_and_called_stale(held: Held) -> None:
    await held.sets.use([SOURCE], 30)
    held.issuer.keys = KeySetError("down")
    states = []
    for _ in range(3):
        held.sets.expire(held.only)
        state = held.sets.state()[0]
        states.append((state["has_keys"], state["stale"], state["age_seconds"]))
        held.clock.now += 2000
    assert states == [(True, False, 0.0), (True, False, 2000.0), (True, True, 4000.0)]
    assert held.pushed == [("mobile", KEYS)]


async def test_a_restart_while_the_issuer_is_down_goes_on_with_what_was_kept(held: Held) -> None:
    await held.sets.use([SOURCE], 30)
    await held.keep()
    held.issuer.keys = KeySetError("down")
    held.advance(4000)
    held.sets, held.pushed = held.another(), []
    await held.sets.use([SOURCE], 30)
    assert held.pushed == [("mobile", KEYS)]
    # What was left of their life is all that they get.
    assert held.sets.state()[0]["age_seconds"] == 4000.0
    held.advance(501)
    held.sets.expire(held.only)
    assert held.pushed[-1] == ("mobile", NO_KEYS)


@pytest.mark.parametrize(
    ("seconds", "changed"),
    [
        (4501.0, {}),
        (-61.0, {}),
        (0.0, {"url": "https://other.example.com/jwks.json"}),
        (0.0, {"issuer": "https://id.example.com"}),
        (0.0, {"times": KeySetTimes(lifetime=1.0, extension=0.0)}),
    ],
)
async def test_kept_keys_that_are_too_old_or_of_another_source_are_not_used(
    held: Held, seconds: float, changed: dict[str, Any]
) -> None:
    await held.sets.use([SOURCE], 30)
    await held.keep()
    held.issuer.keys = KeySetError("down")
    held.advance(2)
    held.wall.now += seconds - 2 if seconds < 0 else seconds
    held.sets, held.pushed = held.another(), []
    await held.sets.use([replace(SOURCE, **changed)], 30)
    assert held.pushed == [("mobile", NO_KEYS)]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"format": 2, "sets": []}', b'{"format": 1, "sets": [{}]}']
)
async def test_a_file_of_kept_keys_that_is_none_is_as_good_as_missing(held: Held, content: bytes) -> None:
    held.file.write_bytes(content)
    await held.sets.use([SOURCE], 30)
    assert held.pushed == [("mobile", KEYS)]
    await held.keep()
    assert KeptKeys(held.file).load()["mobile"].keys == KEYS
    assert held.file.stat().st_mode & 0o077 == 0


async def test_keys_that_cannot_be_kept_are_used_all_the_same_and_counted(held: Held) -> None:
    held.file.mkdir()
    await held.sets.use([SOURCE], 30)
    await held.keep()
    assert (held.pushed, held.sets.save_failures) == ([("mobile", KEYS)], 1)


async def test_sources_are_remembered_with_their_keys(held: Held) -> None:
    source = replace(
        SOURCE, allow_http=True, times=KeySetTimes(refresh=60.0), issuer="https://id.example.com"
    )
    await held.sets.use([source], 30)
    await held.keep()
    held.sets, held.pushed = held.another(), []
    await held.sets.use_remembered(["mobile", "unknown"], 30)
    assert held.pushed == [("mobile", KEYS)]
    assert held.only.source == source


async def test_questions_at_the_same_time_share_one_fetch(held: Held) -> None:
    await held.sets.use([SOURCE], 30)
    held.clock.now += 60
    answers = await asyncio.gather(*(held.sets.refresh_for_unknown_key("mobile") for _ in range(50)))
    assert answers == [True] * 50
    assert held.issuer.asked == 2


async def test_an_unknown_identity_is_answered_with_no(held: Held) -> None:
    assert await held.sets.refresh_for_unknown_key("nobody") is False


async def test_keys_stay_while_the_issuer_is_down(held: Held) -> None:
    await held.sets.use([SOURCE], 30)
    held.issuer.keys = KeySetError("status 500")
    held.clock.now += 3600
    assert await held.sets.refresh_for_unknown_key("mobile") is False
    held.sets.expire(held.only)
    assert held.pushed == [("mobile", KEYS)]
    assert held.sets.state()[0]["error"] == "status 500"


async def test_keys_are_withdrawn_75_minutes_after_their_last_fetch(held: Held) -> None:
    await held.sets.use([SOURCE], 30)
    held.clock.now += 4500
    held.sets.expire(held.only)
    assert held.pushed == [("mobile", KEYS)]
    held.clock.now += 1
    held.sets.expire(held.only)
    assert held.pushed[-1] == ("mobile", NO_KEYS)


async def test_keys_that_were_withdrawn_come_back_with_the_issuer(held: Held) -> None:
    await held.sets.use([SOURCE], 30)
    held.clock.now += 5000
    held.sets.expire(held.only)
    assert await held.sets.refresh_for_unknown_key("mobile") is True
    assert held.pushed[-1] == ("mobile", KEYS)


async def test_failures_back_off_exponentially_up_to_a_bound(held: Held) -> None:
    held.issuer.keys = KeySetError("down")
    await held.sets.use([SOURCE], 30)
    delays = []
    for _ in range(12):
        delays.append(held.only.due_at - held.clock.now)
        held.clock.now += 1000
        await held.sets.refresh_for_unknown_key("mobile")
    assert 1 <= delays[0] <= 1.5
    assert 2 <= delays[1] <= 3
    assert 300 <= delays[-1] <= 450


async def test_refreshes_are_spread_by_up_to_a_minute(held: Held) -> None:
    await held.sets.use([SOURCE], 30)
    assert 1800 <= held.only.due_at - held.clock.now <= 1860


async def test_a_source_that_did_not_change_is_not_fetched_again(held: Held) -> None:
    await held.sets.use([SOURCE], 30)
    await held.sets.use([SOURCE], 30)
    assert held.issuer.asked == 1


async def test_keys_of_an_earlier_issuer_do_not_serve_a_changed_source(held: Held) -> None:
    await held.sets.use([SOURCE], 30)
    held.issuer.keys = KeySetError("down")
    await held.sets.use([KeySetSource("mobile", "https://other.example.com/jwks.json")], 30)
    assert held.pushed[-1] == ("mobile", NO_KEYS)


async def test_the_loop_refreshes_what_is_due(held: Held) -> None:
    await held.sets.use([SOURCE], 30)
    held.clock.now += 2000
    held.issuer.gate = asyncio.Event()
    running = asyncio.ensure_future(held.sets.run())
    held.issuer.gate.set()
    async with asyncio.timeout(60):
        while held.issuer.asked < 2:  # noqa: ASYNC110 - a counter is what there is.
            await asyncio.sleep(0)
    running.cancel()


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
    answers = [await asyncio.to_thread(engine.answers.get, True, 60) for _ in kinds]
    await asyncio.to_thread(worker.close)
    told = {number: json.loads(text)["ok"] for number, text in answers}
    assert told == {7: True, 8: False, 9: False}
    assert refreshed == ["mobile"]
