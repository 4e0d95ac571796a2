"""`python -m gatewright.records.query DIRECTORY`: answers one question about records in a process of its own.

The question is one JSON object on standard input (`{"request_id": ...}` or `{"where": [...], "status":
..., "since": ..., "limit": ...}`); the answer is one JSON object on standard output, `{"records": [...]}`
or `{"error": ...}`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime
from pathlib import Path

from gatewright.records.reader import (
    LIMIT,
    Question,
    RecordQueryError,
    find,
    find_request,
    parse_condition,
    parse_status,
)

SECONDS = 15.0
# Each question is a process; more at once would take the machine from the data plane.
AT_ONCE = asyncio.Semaphore(2)


def answer(directory: Path, asked: dict[str, object]) -> dict[str, object]:
    """Answers a question given as data. Never raises for a wrong one."""
    try:
        if "request_id" in asked:
            found = find_request(directory, str(asked["request_id"]))
            return {"records": [] if found is None else [found]}
        return {"records": list(find(directory, question_from(asked)))}
    except RecordQueryError as error:
        return {"error": str(error)}


def question_from(asked: dict[str, object]) -> Question:
    """A question from its JSON form. Raises `RecordQueryError`."""
    where, status, since, limit = (asked.get(name) for name in ("where", "status", "since", "limit"))
    try:
        return Question(
            conditions=tuple(
                parse_condition(str(text)) for text in (where if isinstance(where, list) else [])
            ),
            status=parse_status(str(status)) if status else None,
            since=datetime.fromisoformat(str(since)) if since else None,
            limit=int(str(limit)) if limit else LIMIT,
        )
    except ValueError as error:
        raise RecordQueryError(str(error)) from error


async def ask(directory: Path, asked: dict[str, object]) -> list[dict[str, object]]:
    """Answers a question from a process of its own, within 15 s. Raises `RecordQueryError`."""
    async with AT_ONCE:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gatewright.records.query", str(directory)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(SECONDS):
                output, _ = await process.communicate(json.dumps(asked).encode())
        except TimeoutError as error:
            raise RecordQueryError(f"no answer within {SECONDS:g} s; ask for less") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return records_from(output)


def records_from(output: bytes) -> list[dict[str, object]]:
    """The records in an answer. Raises `RecordQueryError` with the error that it holds instead."""
    try:
        given = json.loads(output)
    except ValueError as error:
        raise RecordQueryError("the query process failed; its error is in the log") from error
    if "error" in given:
        raise RecordQueryError(given["error"])
    return list(given["records"])


if __name__ == "__main__":
    json.dump(answer(Path(sys.argv[1]), json.load(sys.stdin)), sys.stdout)
