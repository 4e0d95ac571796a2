"""The checks of one node: run at their intervals, asked by probes, all at once where somebody wants that."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from gatewright.health.built_in import BUILT_IN, State
from gatewright.health.custom import Attempts
from gatewright.health.dependencies import ask_redis
from gatewright.health.self_check import LONGEST_SECONDS, NoAnswerError, Question, Target
from gatewright.health.self_check import ask as ask_listener
from gatewright.health.settings import HealthSettings, SelfCheckSettings, address_of
from gatewright.health.standing import Outcome, Standing
from gatewright.tasks import end

if TYPE_CHECKING:
    from gatewright.control.node import Node

log = logging.getLogger("gatewright.health")
alerts = logging.getLogger("gatewright.alerts")

SELF_CHECK, BUILT_IN_LOOK, DEPENDENCIES = "self_check", "built_in", "dependencies"
GROUPS = {"critical_services": "services", "certificates": "certificates", SELF_CHECK: SELF_CHECK}
"""Built-in checks that may make a node unready, by their names in `health.readiness`."""
STATE_SECONDS = 5.0


class Checks:
    """What a node knows of its health. Belongs to its event loop."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.settings = HealthSettings()
        self._standings: dict[str, Standing] = {}
        self._attempts: dict[str, Attempts] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._deep = asyncio.Lock()
        self._deep_at = 0.0
        self.self_check_seconds: float | None = None
        # What Redis said when it was asked last; `None` where there is none, or nobody has asked yet.
        self.redis_answer: Outcome | None = None
        # As they were at the last look.
        self.services: list[dict[str, Any]] = []

    @property
    def standings(self) -> list[Standing]:
        """Every check that applies: built in first, then those of the user."""
        return list(self._standings.values())

    def use(self, settings: HealthSettings) -> None:
        """Check from now on what these say. What is known of checks that stay is kept."""
        for task in self._tasks:
            task.cancel()
        self.settings, self.redis_answer = settings, None
        known = self._standings
        self._standings = {name: one for name, one in known.items() if not one.custom and name != SELF_CHECK}
        if settings.self_check is not None:
            new = Standing(SELF_CHECK, critical=True, patience=settings.self_check.patience)
            self._standings[SELF_CHECK] = kept(known.get(SELF_CHECK), new)
        for check in settings.checks:
            new = Standing(check.name, check.critical, custom=True, patience=settings.patience)
            self._standings[f"custom:{check.name}"] = kept(known.get(f"custom:{check.name}"), new)
        self._attempts = {check.name: self._attempts_of(check) for check in settings.checks}
        self._tasks = [asyncio.create_task(self._every(one), name=one) for one in self._names()]

    def _attempts_of(self, check: Any) -> Attempts:
        before = self._attempts.get(check.name)
        # One that hangs still counts as under way; it would else be begun once more with each reload.
        return before if before is not None and before.check == check else Attempts(check)

    def _names(self) -> list[str]:
        own = [SELF_CHECK] if self.settings.self_check is not None else []
        return [BUILT_IN_LOOK, DEPENDENCIES, *own, *(f"custom:{name}" for name in self._attempts)]

    async def close(self) -> None:
        """Check nothing any more."""
        await end(*self._tasks)
        self._tasks = []

    async def _every(self, name: str) -> None:
        """Run one at its interval, for ever."""
        while True:
            await self._once(name)
            await asyncio.sleep(self._interval(name))

    def _interval(self, name: str) -> float:
        if name in (BUILT_IN_LOOK, DEPENDENCIES):
            return self.settings.interval
        if name == SELF_CHECK and self.settings.self_check is not None:
            return self.settings.self_check.interval
        return self._attempts[name.removeprefix("custom:")].check.interval

    async def _once(self, name: str) -> None:
        try:
            if name == BUILT_IN_LOOK:
                await self.look()
            elif name == DEPENDENCIES:
                await self.ask()
            elif name == SELF_CHECK and self.settings.self_check is not None:
                self._take(name, await self._ask_self(self.settings.self_check))
            elif name.startswith("custom:"):
                self._take(name, await self._attempts[name.removeprefix("custom:")].once())
        except Exception:
            log.exception("a check failed by itself", extra={"check": name})

    async def look(self, state: State | None = None) -> None:
        """Run what is built in, now. It asks nobody but this process."""
        if state is None:
            async with asyncio.timeout(STATE_SECONDS):
                state = json.loads(await asyncio.to_thread(self._node.engine.state))
        self.services = list((state or {}).get("services", []))
        for name, (look, critical) in BUILT_IN.items():
            outcome = look(self._node, state or {})
            if outcome is None:
                self._standings.pop(name, None)
                continue
            self._standings.setdefault(name, Standing(name, critical))
            self._take(name, outcome)

    async def ask(self) -> None:
        """Ask what the node depends on, each within a time of its own. The next look tells of it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._node.stored_keys.ask())
            redis = tasks.create_task(ask_redis(self.settings.redis))
        self.redis_answer = redis.result()

    async def deep(self) -> bool:
        """Run everything now, unless somebody had that done a moment ago; give whether it was."""
        async with self._deep:
            if time.monotonic() - self._deep_at < self.settings.deep_interval and self._deep_at:
                return False
            async with asyncio.TaskGroup() as tasks:
                for name in self._names():
                    tasks.create_task(self._once(name))
            self._deep_at = time.monotonic()
            return True

    async def _ask_self(self, settings: SelfCheckSettings) -> Outcome:
        state = json.loads(await asyncio.to_thread(self._node.engine.state))
        listening = {one["name"]: one["address"] for one in state.get("listeners", [])}
        address = listening.get(settings.listener)
        if address is None:
            return Outcome(False, f"listener `{settings.listener}` is not open")
        target = Target(
            settings.listener,
            address_of(address),
            http2=settings.http2,
            tls_name=settings.tls_name,
            introduced=settings.introduced,
        )
        if settings.path is None:
            question = Question(self._node.engine.self_check())
        else:
            question = Question(settings.path, settings.host, own=False)
        patience = max(settings.within, LONGEST_SECONDS)
        try:
            seconds = await asyncio.to_thread(ask_listener, target, question, patience)
        except NoAnswerError as error:
            return Outcome(False, str(error))
        self.self_check_seconds = seconds
        slow = f"took {seconds * 1000:.1f} ms, more than {settings.within * 1000:g}"
        is_quick = seconds <= settings.within
        return Outcome(is_quick, None if is_quick else slow, took_ms=seconds * 1000)

    def _take(self, name: str, outcome: Outcome) -> None:
        standing = self._standings.get(name)
        if standing is None or not standing.take(outcome):
            return
        told = {"check": standing.name, "critical": standing.critical, "error": outcome.message}
        if outcome.well:
            log.info("check is healthy", extra=told)
        else:
            log.warning("check is unhealthy", extra=told)
            alerts.warning("health check failing", extra={"alert": "health_check_failing", **told})

    def failing(self, *, critical: bool | None = None) -> list[Standing]:
        """Checks that are unhealthy; critical ones only, or only others."""
        found = [one for one in self.standings if one.status == "unhealthy"]
        return [one for one in found if critical is None or one.critical is critical]

    def keeping_unready(self) -> list[str]:
        """The checks that keep the node from being ready, as `health.readiness` says."""
        wanted = self.settings.readiness
        return [
            one.name
            for one in self.failing(critical=True)
            if ("checks" if one.custom else GROUPS.get(one.name)) in wanted
        ]


def kept(before: Standing | None, new: Standing) -> Standing:
    """What was known of a check, under the settings of now."""
    if before is None:
        return new
    before.critical, before.patience = new.critical, new.patience
    return before
