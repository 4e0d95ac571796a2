"""Where the commands about records ask: a node, or a directory of segments without one."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from gatewright.cli.admin import ask

Asked = dict[str, Any]
PATHS = {"page": "/api/v1/records", "summary": "/api/v1/records/summary", "newer": "/api/v1/records/stored"}
PAGE = 1000
QUICK_SECONDS = 0.5
"""What is over sooner needs no bar."""

DIRECTORY_SECONDS = 86_400.0
"""A reader of files of its own keeps nobody waiting but whoever started it."""


class Progress(Protocol):
    """Hears how much of a scan is done."""

    def __call__(self, done: int, of: int) -> None: ...


class RecordSource:
    """One of both. Every question raises `GatewrightError`."""

    def __init__(self, directory: Path | None, admin: str | None) -> None:
        self._directory = directory
        self._admin = admin

    def ask(self, kind: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a question."""
        given = {name: value for name, value in asked.items() if value is not None}
        if self._directory is None:
            return ask("GET", PATHS[kind], self._admin, given)
        return self._answered(kind, given)

    def summary(self, asked: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Counts by group. A node answers from its roll-ups or within its deadline, a directory takes its
        time.
        """
        if self._directory is None:
            return self.ask("summary", asked)
        from gatewright.records.query import answer_summary  # noqa: PLC0415 - start-up of the other commands.

        given = {name: value for name, value in asked.items() if value is not None}
        return answer_summary(given | self._places() | {"seconds": DIRECTORY_SECONDS}, progress)

    def records(self, asked: Asked, most: int | None, progress: Progress) -> Iterator[dict[str, Any]]:
        """Records, the newest first, page by page; all of them without `most`."""
        left, cursor = most, None
        while left is None or left > 0:
            limit = PAGE if left is None else min(PAGE, left)
            page = self.ask("page", asked | {"cursor": cursor, "limit": limit})
            yield from page["records"]
            progress(page["scanned"]["segments"], page["scanned"]["of"])
            cursor = page["cursor"]
            if cursor is None:
                return
            left = None if left is None else left - len(page["records"])

    def request(self, request_id: str) -> dict[str, Any] | None:
        """One record with its explanation, or `None`."""
        from urllib.parse import quote  # noqa: PLC0415 - start-up of the other commands.

        from gatewright.cli.admin import NodeError  # noqa: PLC0415

        if self._directory is not None:
            return self._answered("request", {"request_id": request_id})
        try:
            return ask("GET", f"/api/v1/records/{quote(request_id, safe='')}", self._admin)
        except NodeError as error:
            if error.status == 404 and "no record of" in str(error):
                return None
            raise

    def _answered(self, kind: str, asked: Mapping[str, Any]) -> Any:
        from gatewright.records.query import KINDS  # noqa: PLC0415 - start-up of the other commands.

        return KINDS[kind]({**asked, **self._places()})

    def _places(self) -> Asked:
        directory = self._directory or Path()
        state = directory.resolve().parent
        return {"records": str(directory), "rollups": str(state / "rollups"), "state": str(state)}


@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """A bar on standard error, where that is a terminal and the scan takes long; nothing elsewhere."""
    with ExitStack() as shown:
        yield told_by_bar(what, shown) if sys.stderr.isatty() else lambda done, of: None


def told_by_bar(what: str, shown: ExitStack) -> Progress:
    """What makes a bar once the scan has taken `QUICK_SECONDS`, and moves it; it goes away with `shown`."""
    from rich.console import Console  # noqa: PLC0415 - start-up of the other commands.
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("hours"),
        TimeRemainingColumn(),
    )
    bar = Bar(*columns, console=Console(stderr=True), transient=True)
    task, begun = bar.add_task(what, total=None), time.monotonic()

    def tell(done: int, of: int) -> None:
        if time.monotonic() - begun < QUICK_SECONDS:
            return
        if not bar.live.is_started:
            shown.enter_context(bar)
        bar.update(task, completed=done, total=of)

    return tell
