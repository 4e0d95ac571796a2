"""Checks that users write: the decorator, finding them by name, running one with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from gatewright.config.quantities import Duration
from gatewright.errors import GatewrightError
from gatewright.health.standing import Outcome

MARK = "__gatewright_check__"
SHORTEST, LONGEST = 0.1, 86_400.0
LONGEST_NAME = 100

F = TypeVar("F", bound=Callable[[], Any])


class CheckError(GatewrightError):
    """A check cannot be found, or is none."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check with its function; times in seconds."""

    name: str
    interval: float
    timeout: float
    critical: bool
    function: Callable[[], Any]
    # The file that it came from, whose change makes it another one.
    file: Path | None = None


def check(
    *, name: str | None = None, interval: str = "10s", timeout: str = "2s", critical: bool = False
) -> Callable[[F], F]:
    """Make a function a check: run every `interval`, not well where it takes longer than `timeout`. A
    critical one makes the gateway unhealthy and, as `health.readiness` says, unready. Raises `ValueError`.
    """
    seconds, patience = Duration.of(interval) / 1000, Duration.of(timeout) / 1000
    if not SHORTEST <= seconds <= LONGEST or not 0.001 <= patience <= LONGEST:
        raise ValueError("a check has an `interval` of `100ms` to `1d`, and a `timeout` of `1ms` to `1d`")

    def marked(function: F) -> F:
        called = name or function.__name__
        if not 0 < len(called) <= LONGEST_NAME:
            raise ValueError(f"the name of a check has 1 to {LONGEST_NAME} characters")
        setattr(function, MARK, Check(called, seconds, patience, critical, function))
        return function

    return marked


def find(text: str, base: Path) -> Check:
    """The check that `FILE:FUNCTION` names, `FILE` without `.py` and relative to `base`, or an installed
    module. Runs that file. Raises `CheckError`.
    """
    module_name, _, function_name = text.partition(":")
    if not module_name or not function_name.isidentifier():
        raise CheckError(f"`{text}` is no check; write `FILE:FUNCTION`, as `my_checks:database`")
    file = base / f"{module_name.removesuffix('.py').replace('.', '/')}.py"
    try:
        module = run(file) if file.is_file() else importlib.import_module(module_name)
    except Exception as error:
        where = file if file.is_file() else f"`{module_name}` (there is no {file})"
        raise CheckError(f"{where} cannot be imported: {type(error).__name__}: {error}") from error
    function = getattr(module, function_name, None)
    found = getattr(function, MARK, None)
    if not isinstance(found, Check):
        named = [name for name, one in vars(module).items() if isinstance(getattr(one, MARK, None), Check)]
        known = ", ".join(named) or "none; a check has the decorator `gatewright.health.check`"
        raise CheckError(f"`{text}` is no check; known there: {known}")
    return replace(found, file=file if file.is_file() else None)


def run(file: Path) -> ModuleType:
    """A file as a module of its own, new for each content."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    name = f"gatewright_checks_{file.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise CheckError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # Data classes and pickling look themselves up by this name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


class Attempts:
    """Runs one check in threads, one at a time: while one hangs no other is begun."""

    def __init__(self, check: Check) -> None:
        self.check = check
        # Not whether its thread is alive: that is so for a moment after it has told its outcome.
        self._is_running = False
        self._began = 0.0

    async def once(self) -> Outcome:
        """How it went; after the timeout, that it has not ended. Never raises, and never blocks the loop."""
        if self._is_running:
            return Outcome(False, f"has not ended for {time.monotonic() - self._began:.0f} s")
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Outcome] = loop.create_future()

        def tell(outcome: Outcome) -> None:
            self._is_running = False
            if not told.done():
                told.set_result(outcome)

        def work() -> None:
            outcome = outcome_of(self.check.function)
            # Nobody waits any more where the loop has ended.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, outcome)

        self._began, self._is_running = time.monotonic(), True
        threading.Thread(target=work, name=f"check-{self.check.name}", daemon=True).start()
        try:
            async with asyncio.timeout(self.check.timeout):
                return await told
        except TimeoutError:
            return Outcome(False, f"has not ended within {self.check.timeout:g} s")


def outcome_of(function: Callable[[], Any]) -> Outcome:
    """Call a check and say how it went. Never raises."""
    began = time.monotonic()
    try:
        given = function()
        if inspect.isawaitable(given):
            given = asyncio.run(_awaited(given))
    except BaseException as error:
        # Also `SystemExit`: a check ends no gateway.
        message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return Outcome(False, message, took_ms=took(began))
    message = given if isinstance(given, str) else None
    return Outcome(given is not False, message, took_ms=took(began))


async def _awaited(given: Any) -> Any:
    return await given


def took(began: float) -> float:
    return (time.monotonic() - began) * 1000
