"""A whole node that is asked how it is."""

import time
from collections.abc import Callable
from typing import Any

import httpx2

from gateway.running import RunningGateway

DEADLINE = 60.0


class AskedGateway(RunningGateway):
    def asked(self, path: str) -> tuple[int, dict[str, Any]]:
        answer = httpx2.get(self.url + path, timeout=DEADLINE, trust_env=False)
        return answer.status_code, answer.json()

    def awaited(self, path: str, wanted: Callable[[int, dict[str, Any]], bool]) -> dict[str, Any]:
        """What it says as soon as it is as wanted."""
        end = time.monotonic() + DEADLINE
        while not wanted(*(told := self.asked(path))):
            assert time.monotonic() < end, told
            time.sleep(0.05)
        return told[1]

    def deeply(self) -> dict[str, Any]:
        """What it says once everything was asked anew for this very answer."""
        return self.awaited("/health?deep=1", lambda _, told: told["deep"] == "new")


def of(health: dict[str, Any], check: str) -> set[str]:
    return {one["status"] for one in health["checks"] if one["check"] == check}
